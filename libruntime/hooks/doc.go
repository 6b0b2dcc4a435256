// Package hooks runs the hooks of config.json that belong into the runtime's own namespaces: prestart,
// createRuntime, poststart and poststop. Those of the container's namespaces are run by the preamble.
//
// A hook is executed exactly as configured: its path without a search, its arguments from argv[0] on,
// its environment and nothing of the caller's, the container's state on standard input, and no
// descriptor of the caller's beyond the standard streams.
//
// The package must not decide what follows from a failure; that depends on the point in the container's
// life and is the caller's business.
package hooks

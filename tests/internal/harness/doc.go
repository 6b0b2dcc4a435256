// Package harness runs an OCI runtime's command line against real containers, as root, and finds out from
// the kernel what it did.
//
// A test gets an Env: a state root, bundles and a mount namespace of its own with one of the three cgroup
// views (v1, v2, hybrid), so that tests run in parallel, and none sees another's mounts. Everything that an
// Env's commands make is named after it; at the end of the test all of it has to be gone (Left).
//
// The runtime is built from this module, or is the one that $BAILEY_BINARY names.
//
// The package must not touch anything it has not made: no cgroup, mount or process of the machine's.
package harness

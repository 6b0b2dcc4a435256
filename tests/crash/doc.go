// Package crash kills the runtime with SIGKILL at every point of what it does: the preamble before each of its
// operations, the command line before each of them and before each change that it makes itself. Whatever is
// left then, `delete --force` has to remove, and the same ID has to be usable again.
package crash

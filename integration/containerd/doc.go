// Package containerd tests the shim with real daemons of containerd: Debian's and the newest. It is a module of its own, so
// that containerd is none of bailey's dependencies; `make test-engines` runs it, in scripts/sandbox.
package containerd

// Package docker tests bailey under real daemons of Docker: Debian's 20.10, and the newest, which takes containerd's shim as well.
// What Docker's users do is done with bailey and with runc, and counted. `make test-engines` runs it, in scripts/sandbox.
package docker

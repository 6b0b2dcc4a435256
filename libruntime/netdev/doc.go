// Package netdev moves network devices of the host's into a container's network namespace
// (linux.netDevices).
//
// It must not make, configure or give back devices: what happens to one when its namespace ends is the
// kernel's business, by the specification. It knows nothing of containers, only of two namespaces.
package netdev

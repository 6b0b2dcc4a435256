// Package cri tests pods: the CRI plugin of real daemons of containerd, as the kubelet uses it, with bailey's shim, with
// containerd's own shim and bailey's binary, and with runc.
package cri

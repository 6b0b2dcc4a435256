// Package systemd tests what takes a machine that systemd runs: the systemd cgroup driver, and the labels of security
// modules that the machine's kernel has. Elsewhere its tests skip themselves; `make test-vm` makes such machines.
package systemd

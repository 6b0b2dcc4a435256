// Package checkpoint tests checkpoint and restore with a real CRIU (scripts/criu) and real containers. What has to come
// back is what only the memory of a process has, and what the kernel knows of it.
package checkpoint

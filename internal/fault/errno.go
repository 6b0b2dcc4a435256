package fault

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrnoName returns the symbolic name of errno, such as "EPERM", or "" for a number without one.
func ErrnoName(errno syscall.Errno) string { return unix.ErrnoName(errno) }

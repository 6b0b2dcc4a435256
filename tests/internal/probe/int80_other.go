//go:build !amd64

package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// int80 is for other machines a system call that there is none of.
func int80(_, _ uintptr) syscall.Errno { return unix.ENOSYS }

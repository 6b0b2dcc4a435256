package main

import "syscall"

// int80raw makes a system call as programs for i386 do.
func int80raw(nr, arg uintptr) uintptr

func int80(nr, arg uintptr) syscall.Errno {
	if r := int(int80raw(nr, arg)); r < 0 {
		return syscall.Errno(-r)
	}
	return 0
}

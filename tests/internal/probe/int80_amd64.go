package main

import "syscall"

// int80raw makes a system call as programs for i386 do.
func int80raw(nr, arg uintptr) uintptr

// int80 makes one; ENOSYS, if the kernel does not know them.
func int80(nr, arg uintptr) syscall.Errno {
	const getpid = 20
	if pid, _, _ := syscall.RawSyscall(syscall.SYS_GETPID, 0, 0, 0); int80raw(getpid, 0) != pid {
		return syscall.ENOSYS
	}
	if r := int(int80raw(nr, arg)); r < 0 {
		return syscall.Errno(-r)
	}
	return 0
}

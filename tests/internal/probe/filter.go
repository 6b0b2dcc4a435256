package main

import (
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// filter executes a command under a system-call filter, as container engines do: args are the number of the system call that
// fails, the errno, and the command, whose first word is a path: with package os/exec
// in this program, the processes that attack.go makes without Go hang.
func filter(args []string) {
	number, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil {
		fail(err)
	}
	errno, err := strconv.ParseUint(args[1], 10, 12)
	if err != nil {
		fail(err)
	}
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // struct seccomp_data begins with the number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(number)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		fail(err)
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, e := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog))); e != 0 {
		fail(e)
	}
	fail(syscall.Exec(args[2], args[2:], os.Environ()))
}

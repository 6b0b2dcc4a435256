// Command probe is what tests run in a container to find out how the kernel treats it.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const usage = `probe syscall NUMBER [ARGUMENT...]   makes a system call, prints its result or errno
       probe fds                            lists its own descriptors
       probe open FLAGS PATH                opens a file ("r", "w", "rw"), prints "ok" or the errno
       probe lock PATH                      locks a file or directory (flock), says so, waits for ever
       probe notify MESSAGE                 sends a message to the service manager (sd_notify(3))
       probe serve                          counts, and tells how far at 127.0.0.1:7000, after a number of its own
       probe ask                            prints what serve says
       probe status NAME...                 prints lines of /proc/self/status, and Securebits
       probe filter NUMBER ERRNO COMMAND... executes a command for which that system call fails so
       probe pause                          waits for ever
`

func main() {
	if len(os.Args) < 2 {
		usageError()
	}
	command, args := os.Args[1], os.Args[2:]
	switch command {
	case "syscall":
		makeSyscall(args)
	case "fds":
		listDescriptors()
	case "open":
		open(args[0], args[1])
	case "lock":
		lock(args[0])
	case "notify":
		notify(args[0])
	case "serve":
		serve()
	case "ask":
		ask()
	case "status":
		showStatus(args)
	case "filter":
		filter(args)
	case "pause":
		for {
			unix.Pause()
		}
	default:
		usageError()
	}
}

func usageError() {
	fmt.Fprint(os.Stderr, "usage: "+usage)
	os.Exit(2)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "probe:", err)
	os.Exit(2)
}

func lock(path string) {
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	if err == nil {
		err = unix.Flock(fd, unix.LOCK_EX)
	}
	if err != nil {
		fail(err)
	}
	fmt.Println("locked")
	for {
		unix.Pause()
	}
}

func notify(message string) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err == nil {
		err = unix.Sendto(fd, []byte(message), 0, &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")})
	}
	if err != nil {
		fail(err)
	}
}

func makeSyscall(args []string) {
	var n [7]uintptr
	for i, a := range args {
		v, err := strconv.ParseInt(a, 0, 64)
		if err != nil {
			fail(err)
		}
		n[i] = uintptr(v)
	}
	r, _, errno := syscall.RawSyscall6(n[0], n[1], n[2], n[3], n[4], n[5], n[6])
	if errno != 0 {
		fmt.Println(errnoName(errno))
		return
	}
	fmt.Println(r)
}

func errnoName(errno syscall.Errno) string {
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return strconv.Itoa(int(errno))
}

// listDescriptors prints the descriptors that were open when we started: Go opens some of its own, but marks
// them close-on-exec.
func listDescriptors() {
	for fd := range 1024 {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			target, _ := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
			fmt.Println(fd, target)
		}
	}
}

func open(mode, path string) {
	flags := map[string]int{"r": unix.O_RDONLY, "w": unix.O_WRONLY, "rw": unix.O_RDWR}[mode]
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	var errno syscall.Errno
	switch {
	case err == nil:
		unix.Close(fd)
		fmt.Println("ok")
	case errors.As(err, &errno):
		fmt.Println(errnoName(errno))
	default:
		fail(err)
	}
}

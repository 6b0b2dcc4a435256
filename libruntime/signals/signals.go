// Package signals catches the signals that are sent to a process which stands for another one, so that they can be
// passed on, without the goroutines of os/signal: starting those takes two context switches for each signal, at a
// time when the container's init needs the processor.
//
// The handler, a few instructions of assembly, writes the signal's number into a pipe, which is waited for together
// with whatever else the process waits for.
//
// The package must not decide what a signal means.
package signals

import (
	"errors"
	"os"
	"os/signal"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Caught are the signals that have reached the process since Catch.
type Caught struct {
	// pipe is the end to read from; one byte is one signal's number.
	pipe int
	read []byte
	buf  [64]byte
}

// pipe is the end that the handler writes to. A full pipe loses signals, which is what happens to standard signals that
// are pending already.
var pipe int32 //nolint:unused // the handler reads it

// left are the signals that are not caught.
var left = []unix.Signal{
	unix.SIGKILL, unix.SIGSTOP, // cannot be
	unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS, unix.SIGSTKFLT, // faults of the process itself
	unix.SIGURG, unix.SIGPROF, // Go preempts with the one and profiles with the other
	unix.SIGTTIN, unix.SIGTTOU, // what is read or written would be tried again for ever
	32, 33, 34, // belong to C libraries
}

// action is struct sigaction of the kernel.
type action struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	ignore       = 1          // SIG_IGN
	saOnStack    = 0x08000000 // Go's threads have a stack for signals beside the small ones of goroutines
	saRestart    = 0x10000000
	saRestorer   = 0x04000000
	sizeOfSigset = 8
)

// handler returns the addresses of the handler and of the code that it returns to, 0 where the kernel has its own.
func handler() (handle, restorer uintptr)

// Catch begins to catch all signals but those that are about the process itself, and SIGHUP where the caller has it
// ignored (nohup(1)). It is called once in a program, which is not to use os/signal besides. Programs that it executes
// find the signals' default actions (execve(2)).
func Catch() (*Caught, error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	pipe = int32(ends[1])
	// Go ends a program by SIGPIPE that writes to a closed standard output, unless it is told to ignore that. What the
	// kernel is told is replaced below: ignored signals, unlike caught ones, would stay ignored in what is executed.
	signal.Ignore(unix.SIGPIPE)
	act := action{flags: saOnStack | saRestart, mask: ^uint64(0)}
	if act.handler, act.restorer = handler(); act.restorer != 0 {
		act.flags |= saRestorer
	}
	var skip uint64
	for _, s := range left {
		skip |= 1 << s
	}
	for s := unix.Signal(1); s < 65; s++ {
		if skip&(1<<s) != 0 {
			continue
		}
		var old action
		if s == unix.SIGHUP {
			if err := sigaction(s, nil, &old); err != nil {
				return nil, err
			}
			if old.handler == ignore {
				continue
			}
		}
		if err := sigaction(s, &act, nil); err != nil {
			return nil, err
		}
	}
	return From(ends[0]), nil
}

func sigaction(s unix.Signal, act, old *action) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(old)), sizeOfSigset, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("rt_sigaction", errno)
	}
	return nil
}

// From returns signals whose numbers are the bytes that are read from a pipe, which must not block.
func From(pipe int) *Caught { return &Caught{pipe: pipe} }

// Next returns a signal that has been caught, or 0 if there is none. It does not wait.
func (c *Caught) Next() unix.Signal {
	for len(c.read) == 0 {
		n, err := unix.Read(c.pipe, c.buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return 0
		}
		c.read = c.buf[:n]
	}
	s := unix.Signal(c.read[0])
	c.read = c.read[1:]
	return s
}

// Wait waits until Next would return a signal or the descriptor fd, which may be -1, can be read or is at its end, and
// reports whether it can.
func (c *Caught) Wait(fd int) (bool, error) {
	if fd < 0 && len(c.read) > 0 {
		return false, nil
	}
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(c.pipe), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return fds[0].Revents != 0, os.NewSyscallError("poll", err)
	}
}

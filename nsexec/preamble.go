package nsexec

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/memfd"
	"golang.org/x/sys/unix"
)

// early is what the entry point has left, before Go started: struct preamble_early in preamble/entry.h. It is
// zero in programs that are not linked with that entry point.
var early struct {
	pid, socket int32
	timerSlack  uint64 // ns
	errno       int32
	syscall     *byte // C's string
	_           [earlyRest]byte
}

// Preamble is a process that waits for a plan.
type Preamble struct {
	pid  int
	sync *os.File
}

// PID returns the preamble's process ID.
func (p *Preamble) PID() int { return p.pid }

var takeEarly sync.Once

// Streams are the standard streams of a process.
type Streams [3]*os.File

// Take takes over the preamble that the binary's entry point has started for this command line, or
// starts one. Its standard streams, and so those of the process that it becomes, are streams; it inherits nothing else then.
// nil: it inherits what this process passes on, its streams among them.
func Take(streams *Streams) (*Preamble, error) {
	var p *Preamble
	if streams == nil {
		takeEarly.Do(func() {
			if early.pid != 0 {
				p = &Preamble{pid: int(early.pid), sync: os.NewFile(uintptr(early.socket), "preamble")}
			}
		})
	}
	if p == nil {
		var err error
		if p, err = spawn(streams); err != nil {
			return nil, fault.Wrap(err, "start the preamble", "")
		}
	}
	// The kernel then says with every message which process sent it: this is how the init's process
	// ID becomes known.
	if err := unix.SetsockoptInt(int(p.sync.Fd()), unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		p.Discard()
		return nil, &fault.Error{Step: "start the preamble", Syscall: "setsockopt(SO_PASSCRED)", Err: err}
	}
	return p, nil
}

// executable returns the preamble as a sealed file in memory, so that nothing in a container can write to what
// it is executed from. It is made once.
var executable = sync.OnceValues(func() (*os.File, error) { return memfd.Program(name, image) })

// name is argv[0] of the preamble (PREAMBLE_NAME).
const name = "bailey-init"

// spawn starts a preamble.
func spawn(streams *Streams) (*Preamble, error) {
	exe, err := executable()
	if err != nil {
		return nil, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[1])
	// By way of this process, since the child closes what is not to be inherited before it executes.
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), exe.Fd())
	files := streams.with(pair[1])
	if streams == nil {
		files = inheritable(pair[1])
	}
	var pid int
	err = WithTimerSlack(func() (err error) {
		pid, err = syscall.ForkExec(path, []string{name, strconv.Itoa(len(files) - 1)}, &syscall.ProcAttr{Files: files})
		return err
	})
	runtime.KeepAlive(streams)
	if err != nil {
		unix.Close(pair[0])
		return nil, os.NewSyscallError("execve", err)
	}
	return &Preamble{pid: pid, sync: os.NewFile(uintptr(pair[0]), "preamble")}, nil
}

// with returns a child's descriptors: the streams, and last.
func (s *Streams) with(last int) []uintptr {
	if s == nil {
		return nil
	}
	files := make([]uintptr, 0, len(s)+1)
	for _, f := range s {
		fd := ^uintptr(0) // closed
		if f != nil {
			fd = f.Fd()
		}
		files = append(files, fd)
	}
	return append(files, uintptr(last))
}

// inheritable returns a child's descriptors up to last: those that this process passes on, and last itself.
func inheritable(last int) []uintptr {
	files := make([]uintptr, last+1)
	for fd := range files {
		files[fd] = uintptr(fd)
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); fd < last && (err != nil || flags&unix.FD_CLOEXEC != 0) {
			files[fd] = ^uintptr(0)
		}
	}
	return files
}

// Discard ends a preamble that was given no plan.
func (p *Preamble) Discard() {
	p.sync.Close() // the end of the connection is its sign to leave
	wait(p.pid)
}

// wait reaps a child and returns how it ended.
func wait(pid int) unix.WaitStatus {
	var ws unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &ws, 0, nil); err != unix.EINTR {
			return ws
		}
	}
}

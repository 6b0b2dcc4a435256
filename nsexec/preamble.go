package nsexec

import (
	"fmt"
	"os"
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

// Take takes over the preamble that the binary's entry point has started for this command line, or
// starts one.
func Take() (*Preamble, error) {
	var p *Preamble
	takeEarly.Do(func() {
		if early.pid != 0 {
			p = &Preamble{pid: int(early.pid), sync: os.NewFile(uintptr(early.socket), "preamble")}
		}
	})
	if p == nil {
		var err error
		if p, err = spawn(); err != nil {
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
func spawn() (*Preamble, error) {
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
	var pid int
	err = WithTimerSlack(func() (err error) {
		pid, err = syscall.ForkExec(path, []string{name, strconv.Itoa(pair[1])},
			&syscall.ProcAttr{Files: inheritable(pair[1])})
		return err
	})
	if err != nil {
		unix.Close(pair[0])
		return nil, os.NewSyscallError("execve", err)
	}
	return &Preamble{pid: pid, sync: os.NewFile(uintptr(pair[0]), "preamble")}, nil
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

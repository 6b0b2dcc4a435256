package nsexec

/*
#cgo CFLAGS: -O2 -Wall -Wextra -Werror -fno-stack-protector
#cgo LDFLAGS: -Wl,-e,baileyentry
#include "entry.h"
#include "wire.h"
*/
import "C"

import (
	"os"
	"sync"
	"syscall"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// Preamble is a process that waits for a plan.
type Preamble struct {
	pid  int
	sync *os.File
}

var early sync.Once

// Take takes over the preamble that the binary's entry point has started for this command line, or
// starts one.
func Take() (*Preamble, error) {
	var c C.struct_preamble_process
	early.Do(func() { c = C.preamble_early })
	if c.pid == 0 {
		// A fork must not happen between another thread's open and its close-on-exec.
		syscall.ForkLock.Lock()
		C.preamble_spawn(&c, 1)
		syscall.ForkLock.Unlock()
	}
	if c.pid == 0 {
		return nil, &fault.Error{Step: "start the preamble", Object: C.GoString(c.step),
			Err: syscall.Errno(c.error)}
	}
	p := &Preamble{pid: int(c.pid), sync: os.NewFile(uintptr(c.socket), "preamble")}
	// The kernel then says with every message which process sent it: this is how the init's process
	// ID becomes known.
	if err := unix.SetsockoptInt(int(c.socket), unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		p.Discard()
		return nil, &fault.Error{Step: "start the preamble", Syscall: "setsockopt(SO_PASSCRED)", Err: err}
	}
	return p, nil
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
		_, err := unix.Wait4(pid, &ws, 0, nil)
		if err != unix.EINTR {
			return ws
		}
	}
}

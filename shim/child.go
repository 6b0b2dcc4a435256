package shim

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/shim/wire"
)

// childInfo is siginfo_t as waitid(2) fills it in.
type childInfo struct {
	signo, errno, code, _ int32
	pid                   int32
	_                     [108]byte
}

// endedChild returns the process ID of a child that has ended and was not waited for, 0 if there is none. It stays as it is.
func endedChild() int {
	for {
		var info childInfo
		err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		switch err {
		case nil:
			return int(info.pid)
		case unix.EINTR:
		default:
			return 0 // no children
		}
	}
}

// child is a child of the shim's that has not been waited for.
type child struct {
	pid  int
	file *os.File // a pidfd that Go's poller watches, so that waiting takes no thread
}

func openChild(pid int) (*child, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return &child{pid, os.NewFile(uintptr(fd), "pidfd")}, nil
}

// wait waits for the child's end.
func (c *child) wait() wire.Exit {
	e := wire.Exit{PID: c.pid, Status: 255}
	conn, err := c.file.SyscallConn()
	if err == nil {
		_ = conn.Read(func(uintptr) (done bool) {
			var ws unix.WaitStatus
			pid, err := unix.Wait4(c.pid, &ws, unix.WNOHANG, nil)
			for err == unix.EINTR {
				pid, err = unix.Wait4(c.pid, &ws, unix.WNOHANG, nil)
			}
			if err == nil && pid == 0 {
				return false
			}
			if err == nil {
				e.Status = ws.ExitStatus()
				if ws.Signaled() {
					e.Status = 128 + int(ws.Signal())
				}
			}
			return true
		})
	}
	e.At = time.Now()
	return e
}

// close gives up the descriptor, after wait.
func (c *child) close() { c.file.Close() }

// signal sends a signal; a child that has ended is ESRCH.
func (c *child) signal(sig unix.Signal) error {
	conn, err := c.file.SyscallConn()
	if err != nil {
		return unix.ESRCH
	}
	ctlErr := conn.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if ctlErr != nil {
		return unix.ESRCH // closed
	}
	return err
}

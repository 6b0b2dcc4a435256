package nsexec

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// listenerWait is how long a filter's listener may take to appear, and to be let go of.
const listenerWait = 10 * time.Second

// handListener takes the seccomp listener that the process pid is about to have as its descriptor number, lets the
// process go on, and gives the listener to hand.
func handListener(sock *os.File, pid, number int, hand func(*os.File) error) error {
	const step, origin = "take the listener of the system-call filter", "/linux/seccomp/listenerPath"
	if hand == nil {
		return fault.New(step+": nobody wants it", origin)
	}
	var listener *os.File
	err := WithTimerSlack(func() (err error) {
		if listener, err = takeListener(sock, pid, number); err != nil {
			return err
		}
		if err = send(sock, wire_ANSWER, 0, nil); err != nil {
			return err
		}
		return serveRead(sock, int(listener.Fd()))
	})
	if listener != nil {
		defer listener.Close()
	}
	if err != nil {
		if f := (*fault.Error)(nil); errors.As(err, &f) {
			return err
		}
		return fault.Wrap(err, step, origin)
	}
	return hand(listener)
}

// takeListener duplicates the descriptor as soon as it is there.
func takeListener(sock *os.File, pid, number int) (*os.File, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(pidfd)
	for end := time.Now().Add(listenerWait); time.Now().Before(end); {
		fd, err := unix.PidfdGetfd(pidfd, number, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), "seccomp listener"), nil
		}
		if err != unix.EBADF && err != unix.ESRCH {
			return nil, os.NewSyscallError("pidfd_getfd", err)
		}
		// Not yet loaded, or it has ended, and a message tells why.
		poll := []unix.PollFd{{Fd: int32(sock.Fd()), Events: unix.POLLIN}}
		if n, _ := unix.Ppoll(poll, &unix.Timespec{Nsec: int64(50 * time.Microsecond)}, nil); n == 1 {
			m, err := receive(sock)
			if err != nil {
				return nil, err
			}
			if m.kind == wire_FAILED {
				return nil, startFailure(&m)
			}
			return nil, errors.New("the process ended before it had one")
		}
	}
	return nil, unix.ETIMEDOUT
}

// The structures of seccomp_unotify(2).
type (
	notification struct {
		id         uint64
		pid, flags uint32
		nr         int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	response struct {
		id    uint64
		val   int64
		error int32
		flags uint32
	}
)

// serveRead returns when the process has read what was sent to it last. Where the filter sends that very call to the
// listener, nobody but us is there to answer it.
func serveRead(sock *os.File, listener int) error {
	for end := time.Now().Add(listenerWait); time.Now().Before(end); {
		poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		_, _ = unix.Ppoll(poll, &unix.Timespec{Nsec: int64(50 * time.Microsecond)}, nil)
		// Afterwards: when it has been read, a call that waits is a later one, and the agent's to answer.
		unread, err := unix.IoctlGetInt(int(sock.Fd()), unix.SIOCOUTQ)
		if err != nil {
			return os.NewSyscallError("ioctl(SIOCOUTQ)", err)
		}
		if unread == 0 {
			return nil
		}
		if poll[0].Revents&unix.POLLIN == 0 {
			continue
		}
		var n notification
		if err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n)); err != nil {
			return os.NewSyscallError("ioctl(SECCOMP_IOCTL_NOTIF_RECV)", err)
		}
		r := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r)); err != nil {
			return os.NewSyscallError("ioctl(SECCOMP_IOCTL_NOTIF_SEND)", err)
		}
	}
	return unix.ETIMEDOUT
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

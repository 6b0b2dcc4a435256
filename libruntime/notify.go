package libruntime

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// A service manager that starts bailey wants to hear from the service, which is the payload (sd_notify(3)). The
// container gets a socket of its own at notifyInside; what comes there is passed on.
const (
	notifyInside = "/run/notify"
	notifyName   = "notify.sock"
	notifyOrigin = "NOTIFY_SOCKET"
)

// passedOn are the keys of messages that are the payload's to say. Who the main process is, and descriptors to
// keep, are not: process IDs are others inside.
var passedOn = []string{"READY", "RELOADING", "STOPPING", "STATUS", "ERRNO", "WATCHDOG", "WATCHDOG_USEC", "EXTEND_TIMEOUT_USEC", "MONOTONIC_USEC"}

// notifyMount shows the container the directory that its socket will be in, and tells the payload of it.
func (c *creation) notifyMount() error {
	if c.rt.NotifySocket == "" || c.spec.Process == nil {
		return nil
	}
	dir, err := c.dir.MakeNotify()
	if err != nil {
		return err
	}
	c.spec.Mounts = append(c.spec.Mounts, specs.Mount{Destination: notifyInside, Type: "bind", Source: dir,
		Options: []string{"bind", "nosuid", "noexec", "nodev"}})
	c.spec.Process.Env = append(c.spec.Process.Env, "NOTIFY_SOCKET="+notifyInside+"/"+notifyName)
	return nil
}

// notifier passes on what the payload says.
type notifier struct {
	fd      int
	manager string
	pid     int
}

// newNotifier makes the socket that the container sees, nil where there is nobody to pass anything on to. pid is the
// container's init.
func (rt *Runtime) newNotifier(dir string, pid int) (*notifier, error) {
	if rt.NotifySocket == "" || dir == "" {
		return nil, nil
	}
	failed := func(call string, err error) (*notifier, error) {
		return nil, &fault.Error{Step: "make the container's notification socket", Origin: notifyOrigin, Object: dir, Syscall: call, Err: err}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return failed("socket", err)
	}
	n := &notifier{fd: fd, manager: rt.NotifySocket, pid: pid}
	at, err := openHost(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		n.close()
		return failed("open", err)
	}
	defer unix.Close(at)
	_ = unix.Unlinkat(at, notifyName, 0)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(at) + "/" + notifyName}); err != nil {
		n.close()
		return failed("bind", err)
	}
	// Whoever the payload runs as may speak.
	if err := unix.Fchmodat(at, notifyName, 0o666, 0); err != nil {
		n.close()
		return failed("fchmodat", err)
	}
	return n, nil
}

func (n *notifier) close() {
	if n != nil {
		unix.Close(n.fd)
	}
}

// pass receives one message and passes on what may be; it reports whether the payload is ready.
func (n *notifier) pass() (ready bool, err error) {
	var buf [4096]byte
	size, _, err := unix.Recvfrom(n.fd, buf[:], unix.MSG_TRUNC)
	if err == unix.EINTR || err == nil && size > len(buf) {
		return false, nil // a message that is too long is none of sd_notify's
	}
	if err != nil {
		return false, err
	}
	var out bytes.Buffer
	for line := range strings.Lines(string(buf[:size])) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if slices.Contains(passedOn, key) {
			out.WriteString(key + "=" + value + "\n")
		}
		if key == "READY" && value == "1" {
			ready = true
			out.WriteString("MAINPID=" + strconv.Itoa(n.pid) + "\n")
		}
	}
	if out.Len() == 0 {
		return ready, nil
	}
	return ready, n.send(out.Bytes())
}

func (n *notifier) send(message []byte) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		err = unix.Sendto(fd, message, unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: n.manager})
	}
	if err != nil {
		return &fault.Error{Step: "tell the service manager", Origin: notifyOrigin, Object: n.manager, Err: err}
	}
	return nil
}

// untilReady passes messages on until the payload is ready, or has ended.
func (n *notifier) untilReady(p process) error {
	if n == nil {
		return nil
	}
	pidfd, err := p.open()
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	for {
		fds := []unix.PollFd{{Fd: int32(n.fd), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		switch {
		case fds[0].Revents != 0:
			if ready, err := n.pass(); ready || err != nil {
				return err
			}
		case fds[1].Revents != 0:
			return nil
		}
	}
}

// passAll passes messages on, in the background, as long as bailey lives.
func (n *notifier) passAll(warn func(...string)) {
	if n == nil {
		return
	}
	go func() {
		for {
			if _, err := n.pass(); err != nil {
				if f := (*fault.Error)(nil); !errors.As(err, &f) {
					return // the socket is closed
				}
				warn(err.Error())
			}
		}
	}()
}

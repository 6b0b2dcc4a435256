package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// agent answers the system calls that containers' filters send to it: mkdir is pretended, the rest goes on.
type agent struct {
	path string

	mu     sync.Mutex
	states []specs.ContainerProcessState
	calls  map[int32]int
}

// newAgent starts an agent for the rest of the test.
func newAgent(e *harness.Env) *agent {
	e.T.Helper()
	a := &agent{path: e.Path("agent"), calls: make(map[int32]int)}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: a.path, Net: "unix"})
	e.Must(err)
	e.T.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.AcceptUnix()
			if err != nil {
				return
			}
			if err := a.take(conn); err != nil {
				e.T.Error(err)
			}
			conn.Close()
		}
	}()
	return a
}

// take receives one listener and serves it until its filter is gone.
func (a *agent) take(conn *net.UnixConn) error {
	buf, oob := make([]byte, 4096), make([]byte, 256)
	n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
	if err != nil {
		return err
	}
	var state specs.ContainerProcessState
	if err := json.Unmarshal(buf[:n], &state); err != nil {
		return fmt.Errorf("%q: %w", buf[:n], err)
	}
	controls, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(controls) != 1 {
		return fmt.Errorf("%d control messages, %w", len(controls), err)
	}
	fds, err := unix.ParseUnixRights(&controls[0])
	if err != nil || len(fds) != 1 {
		return fmt.Errorf("%d descriptors, %w", len(fds), err)
	}
	a.mu.Lock()
	a.states = append(a.states, state)
	a.mu.Unlock()
	go a.serve(fds[0])
	return nil
}

func (a *agent) serve(fd int) {
	defer unix.Close(fd)
	for {
		var n struct {
			id         uint64
			pid, flags uint32
			nr         int32
			arch       uint32
			ip         uint64
			args       [6]uint64
		}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n)))
		if errors.Is(errno, unix.ENOENT) || errors.Is(errno, unix.EINTR) {
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if _, _ = unix.Poll(poll, 1000); poll[0].Revents&unix.POLLHUP != 0 {
				return
			}
			continue
		}
		if errno != 0 {
			return
		}
		a.mu.Lock()
		a.calls[n.nr]++
		a.mu.Unlock()
		r := struct {
			id    uint64
			val   int64
			error int32
			flags uint32
		}{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if n.nr == unix.SYS_MKDIR || n.nr == unix.SYS_MKDIRAT {
			r.flags = 0
		}
		// ENOENT: the call was interrupted, and comes again.
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
	}
}

// listeners returns how many the agent was sent, lastState what came with the newest.
func (a *agent) listeners() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.states)
}

func (a *agent) lastState() specs.ContainerProcessState {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.states[len(a.states)-1]
}

func (a *agent) seen(nr int32) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[nr]
}

// notifying has calls sent to the agent.
func (a *agent) notifying(names ...string) harness.Change {
	return func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.example.key": "value"}
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: a.path, ListenerMetadata: "of the test",
			Syscalls: []specs.LinuxSyscall{{Names: names, Action: specs.ActNotify}}}
	}
}

// The calls that a filter sends to a listener reach the agent, which is told whose they are: for the container's process
// and for those that are executed in it; with any call in the filter, those too that are made on the way to the payload.
func TestSeccompNotify(t *testing.T) {
	e := newEnv(t)
	a := newAgent(e)
	const script = "mkdir /work/pretended && test ! -e /work/pretended && echo agent"
	check := func(c *harness.Container, status specs.ContainerState, n int) {
		t.Helper()
		e.Eventually("the agent has the listener", func() bool { return a.listeners() >= n })
		s, got := a.lastState(), a.listeners()
		if s.Metadata != "of the test" || len(s.Fds) != 1 || s.Fds[0] != "seccompFd" || s.State.ID != c.ID || s.State.Status != status ||
			s.Pid == 0 || s.State.Bundle != c.Bundle || s.State.Annotations["org.example.key"] != "value" || s.Version != c.Spec.Version || got != n {
			t.Errorf("listener %d of %d: %+v", got, n, s)
		}
	}
	c := e.Container(harness.Sh(script), a.notifying("mkdir", "mkdirat"))
	if got := c.Run().OK(e); got != "agent\n" {
		t.Errorf("%q", got)
	}
	check(c, specs.StateCreated, 1)

	c = e.Container(harness.Sh(script+" > /work/out; sleep 100000"), a.notifying("mkdir", "mkdirat"), harness.UserNamespace)
	c.Create().OK(e)
	if a.listeners() != 1 {
		t.Error("the agent heard of a container that waits")
	}
	pid := c.PID()
	c.Start().OK(e)
	check(c, specs.StateCreated, 2)
	if s := a.lastState(); s.Pid != pid || s.State.Pid != pid {
		t.Errorf("process %d and %d, want %d", s.Pid, s.State.Pid, pid)
	}
	e.Eventually("the agent has answered", func() bool { return exists(c.Rootfs + "/work/out") })
	if got := c.Sh(script); got != "agent" {
		t.Errorf("exec: %q", got)
	}
	check(c, specs.StateRunning, 3)
	if s := a.lastState(); s.Pid == pid || s.State.Pid != pid {
		t.Errorf("exec: process %d of the container of %d", s.Pid, s.State.Pid)
	}

	c = e.Container(harness.Sh("echo hello"), a.notifying("read", "write", "sendmsg", "execve", "close", "mmap", "exit_group"))
	before := a.seen(unix.SYS_EXECVE)
	if got := c.Run().OK(e); got != "hello\n" {
		t.Errorf("%q", got)
	}
	if n := a.seen(unix.SYS_EXECVE) - before; n < 1 || a.seen(unix.SYS_WRITE) == 0 {
		t.Errorf("%d times execve, calls: %v", n, a.calls)
	}
	for _, flag := range []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagWaitKillableRecv, specs.LinuxSeccompFlagLog} {
		c = e.Container(harness.Sh(script), a.notifying("mkdir", "mkdirat"))
		c.Spec.Linux.Seccomp.Flags = []specs.LinuxSeccompFlag{flag}
		c.WriteSpec()
		if got := c.Run().OK(e); got != "agent\n" {
			t.Errorf("%s: %q", flag, got)
		}
	}
}

// Without an agent, and with a filter that keeps the listener from being handed over, the container does not start.
func TestSeccompNotifyFails(t *testing.T) {
	e := newEnv(t)
	a := newAgent(e)
	nobody := func(s *specs.Spec) { s.Linux.Seccomp.ListenerPath = e.Path("nobody") }
	e.Container(a.notifying("mkdir"), nobody).Run().Fails(e, "/linux/seccomp/listenerPath", "connect", "no such file")
	c := e.Container(a.notifying("mkdir"), nobody)
	c.Create().OK(e)
	c.Start().Fails(e, "/linux/seccomp/listenerPath", "connect", "no such file")
	c.WaitStatus("stopped")
	c.Delete().OK(e)

	c = e.Container(a.notifying("mkdir"))
	c.Spec.Linux.Seccomp.Syscalls = append(c.Spec.Linux.Seccomp.Syscalls, specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActErrno})
	c.WriteSpec()
	c.Run().Fails(e, "the filter must allow it", "read")
}

package cgroup

import (
	"strings"
	"time"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// FreezeState is what the freezer says of a container.
type FreezeState int

// The states. Unknown is that of a container without a freezer, or without a cgroup.
const (
	Unknown FreezeState = iota
	Thawed
	Frozen
)

// freezeTimeout bounds the wait for all tasks to stop. A task in uninterruptible sleep (a dead NFS
// server) can hold it up for any time.
const freezeTimeout = 10 * time.Second

// Freeze stops every process of the container and returns when all of them have stopped. When that
// does not happen in ten seconds it thaws them and returns an error: a half-frozen container is of no
// use to anyone.
func (m *Manager) Freeze() error {
	h, d, err := m.freezer("freeze the container")
	if err != nil {
		return err
	}
	defer d.close()
	if err := freeze(h, d, time.Now().Add(freezeTimeout)); err != nil {
		_ = thaw(h, d)
		return &fault.Error{Step: "freeze the container", Object: h.path, Err: err}
	}
	return nil
}

// Thaw lets a frozen container go on; thawing one that runs is no error.
func (m *Manager) Thaw() error {
	h, d, err := m.freezer("thaw the container")
	if err != nil {
		return err
	}
	defer d.close()
	if err := thaw(h, d); err != nil {
		return &fault.Error{Step: "thaw the container", Object: h.path, Syscall: "write", Err: err}
	}
	return nil
}

// State returns whether the container is frozen. One whose parent alone is frozen counts as thawed:
// thawing it would change nothing.
func (m *Manager) State() (FreezeState, error) {
	h := m.hierarchy("freezer")
	if h == nil {
		return Unknown, nil
	}
	file := "freezer.self_freezing"
	if h.v2() {
		file = "cgroup.freeze"
	}
	d, err := openDir(h.path)
	var text string
	if err == nil {
		text, err = d.value(file)
		d.close()
	}
	switch {
	case gone(err):
		return Unknown, nil
	case err != nil:
		return Unknown, &fault.Error{Step: "read the freezer's state", Object: h.path, Syscall: "read", Err: err}
	case text == "1":
		return Frozen, nil
	}
	return Thawed, nil
}

// freezer returns the hierarchy with the freezer, and its open directory.
func (m *Manager) freezer(step string) (*hierarchy, dir, error) {
	h := m.hierarchy("freezer")
	if h == nil {
		return nil, dir{fd: -1}, &fault.Error{Step: step, Cause: "the container has no freezer cgroup",
			Remedy: "run it with cgroups that have one"}
	}
	d, err := openDir(h.path)
	if err != nil {
		return nil, d, &fault.Error{Step: step, Object: h.path, Syscall: "openat2", Err: err}
	}
	return h, d, nil
}

// freeze returns ETIMEDOUT when not all tasks have stopped at the deadline; it does not thaw then.
func freeze(h *hierarchy, d dir, deadline time.Time) error {
	if h.v2() {
		if _, err := d.write("cgroup.freeze", "1"); err != nil {
			return err
		}
		return waitEvent(d, "frozen 1", deadline)
	}
	for pause := 20 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		// On v1 a task that forks can slip out of a pass: the request is repeated until the state is
		// reached.
		if _, err := d.write("freezer.state", "FROZEN"); err != nil {
			return err
		}
		text, err := d.value("freezer.state")
		if err != nil || text == "FROZEN" {
			return err
		}
		if time.Now().After(deadline) {
			return unix.ETIMEDOUT
		}
		time.Sleep(pause)
	}
}

func thaw(h *hierarchy, d dir) error {
	file, value := "freezer.state", "THAWED"
	if h.v2() {
		file, value = "cgroup.freeze", "0"
	}
	_, err := d.write(file, value)
	return err
}

// waitEvent waits until the line is in a v2 cgroup's cgroup.events. The kernel announces each change
// with POLLPRI.
func waitEvent(d dir, line string, deadline time.Time) error {
	fd, err := d.open("cgroup.events", unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, 256)
	for {
		n, err := unix.Pread(fd, buf, 0)
		if err != nil && err != unix.EINTR {
			return err
		}
		if err == nil && strings.Contains(string(buf[:n]), line+"\n") {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
		if _, err := unix.Poll(p, int(left.Milliseconds())+1); err != nil && err != unix.EINTR {
			return err
		}
	}
}

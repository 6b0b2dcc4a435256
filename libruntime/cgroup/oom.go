package cgroup

import (
	"encoding/binary"
	"io"
	"strconv"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// OOMKills returns how many processes of the container the kernel killed for lack of memory.
func (m *Manager) OOMKills() (uint64, error) {
	h := m.hierarchy("memory")
	if h == nil {
		return 0, nil
	}
	file := "memory.oom_control"
	if h.v2() {
		file = "memory.events"
	}
	d, err := openDir(h.path)
	if err != nil {
		return 0, &fault.Error{Step: "read the number of OOM kills", Object: h.path, Syscall: "openat2", Err: err}
	}
	defer d.close()
	r := &reader{dir: d}
	n := r.keyed(file)["oom_kill"]
	if r.err != nil {
		return 0, &fault.Error{Step: "read the number of OOM kills", Object: h.path + "/" + file, Err: r.err}
	}
	return n, nil
}

// OOMWatch tells of each time that the container runs out of memory.
type OOMWatch struct {
	// fd is an eventfd on v1, memory.events on v2.
	fd   int
	v2   bool
	path string
	// kills is the number of OOM kills that were told of (v2).
	kills uint64
}

// WatchOOM begins to watch; the caller closes the watch. It fails where the container has no memory
// controller.
func (m *Manager) WatchOOM() (*OOMWatch, error) {
	fail := func(object, call string, err error) (*OOMWatch, error) {
		return nil, &fault.Error{Step: "watch for lack of memory", Object: object, Syscall: call, Err: err}
	}
	h := m.hierarchy("memory")
	if h == nil {
		return fail("the memory controller is not available in this "+m.layout(), "", nil)
	}
	d, err := openDir(h.path)
	if err != nil {
		return fail(h.path, "openat2", err)
	}
	defer d.close()
	w := &OOMWatch{fd: -1, v2: h.v2(), path: h.path}
	if w.v2 {
		w.fd, err = d.open("memory.events", unix.O_RDONLY)
		if err == unix.ENOENT {
			return fail("the memory controller is not available in this "+m.layout(), "", nil)
		}
		if err != nil {
			return fail(h.path+"/memory.events", "open", err)
		}
		if w.kills, err = w.count(); err != nil {
			w.Close()
			return fail(h.path+"/memory.events", "read", err)
		}
		return w, nil
	}
	// The kernel keeps what it needs of both descriptors (Documentation/admin-guide/cgroup-v1/memory.rst,
	// "OOM Control").
	control, err := d.open("memory.oom_control", unix.O_RDONLY)
	if err != nil {
		return fail(h.path+"/memory.oom_control", "open", err)
	}
	defer unix.Close(control)
	if w.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fail("", "eventfd2", err)
	}
	if call, err := d.write("cgroup.event_control", strconv.Itoa(w.fd)+" "+strconv.Itoa(control)); err != nil {
		w.Close()
		return fail(h.path+"/cgroup.event_control", call, err)
	}
	return w, nil
}

// PollFd returns what poll(2) is to wait for; then Happened can be asked.
func (w *OOMWatch) PollFd() unix.PollFd {
	if w.v2 {
		return unix.PollFd{Fd: int32(w.fd), Events: unix.POLLPRI}
	}
	return unix.PollFd{Fd: int32(w.fd), Events: unix.POLLIN}
}

// Happened reports whether the container has run out of memory since it was last asked. It does not wait.
// The cgroup's removal is io.EOF on v2, which cannot tell of what was before it.
func (w *OOMWatch) Happened() (bool, error) {
	if w.v2 {
		n, err := w.count()
		if gone(err) {
			return false, io.EOF
		}
		if err != nil {
			return false, &fault.Error{Step: "watch for lack of memory", Object: w.path + "/memory.events", Syscall: "read", Err: err}
		}
		happened := n > w.kills
		w.kills = n
		return happened, nil
	}
	var buf [8]byte
	_, err := unix.Read(w.fd, buf[:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return false, nil
	case err != nil:
		return false, &fault.Error{Step: "watch for lack of memory", Object: "eventfd", Syscall: "read", Err: err}
	}
	n := binary.NativeEndian.Uint64(buf[:])
	if unix.Access(w.path, unix.F_OK) == nil {
		return n > 0, nil
	}
	// The removal of the cgroup was signalled as well, once.
	return n > 1, nil
}

// count reads the number of OOM kills from memory.events.
func (w *OOMWatch) count() (uint64, error) {
	var buf [1024]byte
	n, err := unix.Pread(w.fd, buf[:], 0)
	if err != nil {
		return 0, err
	}
	r := &reader{}
	kills := r.lines("memory.events", string(buf[:n]))["oom_kill"]
	return kills, r.err
}

// Close ends the watch.
func (w *OOMWatch) Close() { unix.Close(w.fd) }

package cgroup

import (
	"encoding/binary"
	"io"
	"path/filepath"
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
	// fd is what is polled: an eventfd on v1, on v2 an epoll of own and above.
	fd   int
	v2   bool
	path string
	// own is memory.events (v2), above that of the cgroup above, which counts the same kills and those of its other children,
	// and is there when systemd has removed the cgroup of a process that was killed; -1 below the root.
	own, above int
	// kills and killsAbove are the numbers of OOM kills that were read last.
	kills, killsAbove uint64
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
	w := &OOMWatch{fd: -1, v2: h.v2(), path: h.path, own: -1, above: -1}
	if w.v2 {
		w.own, err = d.open("memory.events", unix.O_RDONLY)
		if err == unix.ENOENT {
			return fail("the memory controller is not available in this "+m.layout(), "", nil)
		}
		if err != nil {
			return fail(h.path+"/memory.events", "open", err)
		}
		if call, err := w.watchV2(); err != nil {
			w.Close()
			return fail(h.path+"/memory.events", call, err)
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

// watchV2 reads where it stands and makes what is polled.
func (w *OOMWatch) watchV2() (call string, err error) {
	if d, err := openDir(filepath.Dir(w.path)); err == nil {
		if w.above, err = d.open("memory.events", unix.O_RDONLY); err != nil {
			w.above = -1
		}
		d.close()
	}
	w.killsAbove = w.countAbove()
	if w.kills, err = count(w.own); err != nil {
		return "read", err
	}
	if w.fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return "epoll_create1", err
	}
	for _, fd := range []int{w.own, w.above} {
		event := unix.EpollEvent{Events: unix.EPOLLPRI}
		if fd < 0 {
			continue
		}
		if err := unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return "epoll_ctl", err
		}
	}
	return "", nil
}

// PollFd returns what poll(2) is to wait for; then Happened can be asked.
func (w *OOMWatch) PollFd() unix.PollFd { return unix.PollFd{Fd: int32(w.fd), Events: unix.POLLIN} }

// Happened reports whether the container has run out of memory since it was last asked. It does not wait.
// The cgroup's removal is io.EOF on v2.
func (w *OOMWatch) Happened() (bool, error) {
	if w.v2 {
		above := w.countAbove()
		n, err := count(w.own)
		if gone(err) {
			// What was not read any more is in the numbers above. That is one of the container's, because each of its siblings'
			// is read at once.
			before := w.killsAbove
			w.killsAbove = w.countAbove()
			if w.killsAbove > before {
				return true, nil
			}
			return false, io.EOF
		}
		if err != nil {
			return false, &fault.Error{Step: "watch for lack of memory", Object: w.path + "/memory.events", Syscall: "read", Err: err}
		}
		happened := n > w.kills
		w.kills, w.killsAbove = n, above
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
func count(fd int) (uint64, error) {
	var buf [1024]byte
	n, err := unix.Pread(fd, buf[:], 0)
	if err != nil {
		return 0, err
	}
	r := &reader{}
	kills := r.lines("memory.events", string(buf[:n]))["oom_kill"]
	return kills, r.err
}

// countAbove is that of the cgroup above, as it was last where it is gone as well.
func (w *OOMWatch) countAbove() uint64 {
	if w.above >= 0 {
		if n, err := count(w.above); err == nil {
			return n
		}
	}
	return w.killsAbove
}

// Close ends the watch.
func (w *OOMWatch) Close() {
	for _, fd := range []int{w.fd, w.own, w.above} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

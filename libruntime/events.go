package libruntime

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/store"
)

// Event is something to tell of a container, in the form of `runc events`.
type Event struct {
	// Type is "stats", with Stats as Data, or "oom".
	Type string `json:"type"`
	ID   string `json:"id"`
	Data any    `json:"data,omitempty"`
}

// Events hands the figures of a container to emit, at once and then at every interval, and an event each time
// that the container runs out of memory: on cgroup v1 each time that the kernel says so, which may be more than once
// for one process that it kills. One that ends the container is not told where systemd has removed the cgroup by then.
// It returns when the container has ended, or with emit's error.
func (rt *Runtime) Events(id string, interval time.Duration, emit func(*Event) error) error {
	w := watch{rt: rt, id: id, emit: emit, pidfd: -1}
	defer w.close()
	if err := w.open(); err != nil {
		return err
	}
	return w.run(interval)
}

// WatchOOM begins to watch for lack of memory in a container, for callers who have more to wait for than Events has; the
// caller closes the watch.
func (rt *Runtime) WatchOOM(id string) (*cgroup.OOMWatch, error) {
	c, cg, err := rt.findCgroup(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return cg.WatchOOM()
}

// watch is the watching of one container.
type watch struct {
	rt   *Runtime
	id   string
	emit func(*Event) error

	container *container
	cgroup    *cgroup.Manager
	pidfd     int
	// oom is nil where the container's memory is not accounted.
	oom *cgroup.OOMWatch
}

func (w *watch) open() error {
	c, cg, err := w.rt.findCgroup(w.id)
	if err != nil {
		return err
	}
	w.container, w.cgroup = c, cg
	if status, err := c.status(nil); err != nil {
		return err
	} else if status == store.Creating {
		return cannot("cannot watch a container that is being created", "")
	}
	if w.pidfd, err = c.process().open(); err != nil {
		return w.ended(err)
	}
	if w.oom, err = w.cgroup.WatchOOM(); err == nil {
		return nil
	}
	w.oom = nil
	if ended(w.pidfd, 0) {
		return w.ended(nil)
	}
	w.rt.warn("that the container runs out of memory will not be told: " + err.Error())
	return nil
}

// ended returns the error for a container that has ended before anything could be told of it.
func (w *watch) ended(err error) error {
	if err == nil || errors.Is(err, unix.ESRCH) {
		err = ErrNotRunning
	}
	return fault.Wrap(err, "watch the container", "")
}

func (w *watch) close() {
	if w.oom != nil {
		w.oom.Close()
	}
	if w.pidfd >= 0 {
		unix.Close(w.pidfd)
	}
	if w.container != nil {
		w.container.Close()
	}
}

// run tells until the container has ended.
func (w *watch) run(interval time.Duration) error {
	next := time.Now()
	for {
		if wait := time.Until(next); wait > 0 {
			end, err := w.wait(wait)
			if end || err != nil {
				return err
			}
			continue
		}
		s, err := w.container.stats(w.cgroup)
		if errors.Is(err, ErrNotRunning) {
			return w.lastOOM()
		}
		if err == nil {
			err = w.emit(&Event{Type: "stats", ID: w.id, Data: s})
		}
		if err != nil {
			return err
		}
		// From now on and not from when it was due: figures that take longer than an interval to read must
		// not pile up.
		next = time.Now().Add(interval)
	}
}

// wait waits for something to happen, at most for the time given, and reports whether the container has ended.
func (w *watch) wait(most time.Duration) (end bool, err error) {
	fds := []unix.PollFd{{Fd: int32(w.pidfd), Events: unix.POLLIN}}
	if w.oom != nil {
		fds = append(fds, w.oom.PollFd())
	}
	timeout := unix.NsecToTimespec(int64(most))
	if _, err := unix.Ppoll(fds, &timeout, nil); err != nil && err != unix.EINTR {
		return false, &fault.Error{Step: "watch the container", Syscall: "ppoll", Err: err}
	}
	// What ended the container comes before its end.
	if w.oom != nil && fds[1].Revents != 0 {
		if err := w.tellOOM(); err != nil {
			return false, err
		}
	}
	if fds[0].Revents != 0 {
		return true, w.lastOOM()
	}
	return false, nil
}

// lastOOM tells of a lack of memory that ended the container.
func (w *watch) lastOOM() error {
	if w.oom == nil {
		return nil
	}
	return w.tellOOM()
}

func (w *watch) tellOOM() error {
	happened, err := w.oom.Happened()
	if errors.Is(err, io.EOF) {
		w.oom.Close()
		w.oom = nil
		return nil
	}
	if err != nil || !happened {
		return err
	}
	return w.emit(&Event{Type: "oom", ID: w.id})
}

package shim

import (
	"sync"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/shim/wire"
)

// oomWatcher watches all containers for lack of memory, with one thread for all.
type oomWatcher struct {
	tell func(id string)

	mu    sync.Mutex
	epoll int // -1 until there is something to watch
	byFD  map[int32]*oomWatch
}

type oomWatch struct {
	*cgroup.OOMWatch
	id string
	fd int32
}

// add watches a container until remove.
func (o *oomWatcher) add(id string, w *cgroup.OOMWatch) (*oomWatch, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byFD == nil {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			return nil, err
		}
		o.epoll, o.byFD = fd, make(map[int32]*oomWatch)
		go o.run()
	}
	poll := w.PollFd()
	// The numbers of epoll's events are those of poll's.
	event := unix.EpollEvent{Events: uint32(poll.Events) | unix.EPOLLET, Fd: poll.Fd}
	if err := unix.EpollCtl(o.epoll, unix.EPOLL_CTL_ADD, int(poll.Fd), &event); err != nil {
		return nil, err
	}
	watch := &oomWatch{w, id, poll.Fd}
	o.byFD[poll.Fd] = watch
	return watch, nil
}

// remove ends a watch, which may be nil, and tells what it has not told yet.
func (o *oomWatcher) remove(w *oomWatch) {
	if w == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.check(w)
	delete(o.byFD, w.fd)
	_ = unix.EpollCtl(o.epoll, unix.EPOLL_CTL_DEL, int(w.fd), nil)
	w.Close()
}

func (o *oomWatcher) check(w *oomWatch) {
	if happened, err := w.Happened(); err == nil && happened {
		o.tell(w.id)
	}
}

func (o *oomWatcher) run() {
	var events [16]unix.EpollEvent
	for {
		n, err := unix.EpollWait(o.epoll, events[:], -1)
		if err != nil && err != unix.EINTR {
			logrus.WithError(err).Error("watch for lack of memory")
			return
		}
		o.mu.Lock()
		for _, e := range events[:max(n, 0)] {
			if w := o.byFD[e.Fd]; w != nil {
				o.check(w)
			}
		}
		o.mu.Unlock()
	}
}

func (s *service) tellOOM(id string) { s.events.send(wire.TaskOOM(id)) }

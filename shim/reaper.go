package shim

import (
	"sync"

	"golang.org/x/sys/unix"
)

// reaper waits for children that nobody else waits for: orphans of containers that have no pid namespace of their own, which the
// kernel gives to the shim. libruntime waits for its own children (preambles, hooks), by their process IDs, and so does the
// shim for those that it knows; none of these may be taken from them. A child that was just made is not known yet, so
// nothing is reaped while a call is under way that can make one.
type reaper struct {
	mu sync.Mutex
	// making counts the calls under way.
	making int
	// missed: a child may have ended while nothing could be reaped.
	missed bool
	// known are the children that somebody waits for.
	known map[int]bool
}

// during calls make, which makes children, and returns when they are known or gone.
func (r *reaper) during(make func() error) error {
	r.mu.Lock()
	r.making++
	r.mu.Unlock()
	err := make()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.making--; r.making == 0 && r.missed {
		r.orphans()
	}
	return err
}

// know says that somebody is going to wait for a child.
func (r *reaper) know(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = make(map[int]bool)
	}
	r.known[pid] = true
}

// forget says that a child was waited for.
func (r *reaper) forget(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, pid)
	if r.missed {
		r.reap()
	}
}

// ended is called after SIGCHLD.
func (r *reaper) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reap()
}

func (r *reaper) reap() {
	if r.making > 0 {
		r.missed = true
		return
	}
	r.orphans()
}

// orphans reaps children that have ended, up to the first that somebody waits for, who calls forget then.
func (r *reaper) orphans() {
	for {
		pid := endedChild()
		if r.missed = r.known[pid]; r.missed || pid == 0 {
			return
		}
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}

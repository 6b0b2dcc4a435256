package cgroup

import (
	"errors"
	"time"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// killTimeout bounds the wait for killed processes to end.
const killTimeout = 10 * time.Second

// killFreezeTimeout bounds the attempt to freeze before the kill, which only makes it quicker.
const killFreezeTimeout = 500 * time.Millisecond

// Kill kills every process in the container's cgroup and its sub-cgroups and waits until they have
// ended; their parents still have to reap them. A cgroup that does not exist is no error, nor is a
// frozen one an obstacle.
func (m *Manager) Kill() error {
	h := m.main()
	if h == nil {
		return nil
	}
	err := m.kill(h)
	if err == nil || gone(err) {
		return nil
	}
	f := &fault.Error{Step: "kill the container's processes", Object: h.path, Err: err}
	if err == unix.ETIMEDOUT {
		f.Cause = "a process does not end on SIGKILL, as happens in an uninterruptible wait for a device or a file server"
	}
	return f
}

func (m *Manager) kill(h *hierarchy) error {
	d, err := openDir(h.path)
	if err != nil {
		return err
	}
	defer d.close()
	deadline := time.Now().Add(killTimeout)
	if h.v2() {
		if _, err := d.write("cgroup.kill", "1"); err != unix.EOPNOTSUPP { // threaded: one by one
			if err != nil {
				return err
			}
			return waitEvent(d, "populated 0", deadline)
		}
	}
	// Even so a process can slip through: one that was being forked, or everything where there is no
	// freezer. SIGKILL stops a process from forking, so repeating converges.
	var last time.Time
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		if time.Since(last) > killAgain {
			if err := m.killFrozen(d); err != nil {
				return err
			}
			last = time.Now()
		}
		pids, err := pidsBelow(d)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return unix.ETIMEDOUT
		}
		time.Sleep(pause)
	}
}

// killAgain is how long killed processes are given to end before they are looked at again.
const killAgain = 20 * time.Millisecond

// killFrozen freezes the container, signals all its processes, and thaws it so that they can die: a
// process in a frozen v1 cgroup survives even SIGKILL until then. While it is frozen nothing forks
// away, and no process ends, so that none of the process IDs can belong to a stranger by now.
func (m *Manager) killFrozen(d dir) error {
	fh, fd, err := m.freezer("")
	if err != nil {
		return killAll(d) // without a freezer, as well as can be
	}
	defer fd.close()
	frozen := freeze(fh, fd, time.Now().Add(killFreezeTimeout))
	err = killAll(d)
	// Sub-cgroups that the container made and froze itself have to be thawed as well.
	thawErr := walk(fd, func(sub dir) error { return thaw(fh, sub) })
	if frozen != nil && frozen != unix.ETIMEDOUT && !gone(frozen) {
		err = errors.Join(err, frozen)
	}
	if thawErr != nil && !gone(thawErr) {
		err = errors.Join(err, thawErr)
	}
	return err
}

// killAll sends SIGKILL to every process in and below d.
func killAll(d dir) error {
	pids, err := pidsBelow(d)
	for _, pid := range pids {
		if e := unix.Kill(pid, unix.SIGKILL); e != nil && e != unix.ESRCH && err == nil {
			err = e
		}
	}
	return err
}

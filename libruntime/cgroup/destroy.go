package cgroup

import (
	"time"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
	"golang.org/x/sys/unix"
)

// destroyTimeout bounds the wait for the last processes to leave a cgroup that is to be removed.
const destroyTimeout = 2 * time.Second

// Destroy removes the container's cgroups, with all sub-cgroups that were made below them, and
// nothing else: parents stay. It does not kill; while processes are still ending it waits, up to two
// seconds in all. It can be repeated, and what is gone already is no error.
func (m *Manager) Destroy() error {
	deadline := time.Now().Add(destroyTimeout)
	if m.scope != nil {
		// A systemd that does not answer does no harm: the cgroup can be removed without it, and it forgets a scope
		// without one by itself.
		_ = m.scope.stop()
	}
	var first error
	for i := range m.hs {
		if err := remove(m.hs[i].path, deadline); err != nil && first == nil {
			f := &fault.Error{Step: "remove the container's cgroup", Object: m.hs[i].path, Syscall: "rmdir", Err: err}
			if err == unix.EBUSY {
				f.Cause = "processes are still in the cgroup"
				f.Remedy = "kill them (bailey delete --force) and repeat"
			}
			first = f
		}
	}
	return first
}

// remove removes one cgroup and all below it.
func remove(path string, deadline time.Time) error {
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		faultpoint.Here()
		err := unix.Rmdir(path)
		switch {
		case err == nil || gone(err):
			return nil
		case err == unix.EINTR:
			continue
		case err != unix.EBUSY:
			// A read-only mount says EROFS for directories that do not exist, too.
			if d, e := openDir(path); gone(e) {
				return nil
			} else if e == nil {
				d.close()
			}
			return err
		}
		// Busy: sub-cgroups, or processes on their way out.
		if err := removeBelow(path, deadline); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return unix.EBUSY
		}
		if unix.Rmdir(path) == nil {
			return nil
		}
		time.Sleep(pause)
	}
}

// removeBelow removes the sub-cgroups of a cgroup, which it opens without following anything, so that
// only what really lies below it is met.
func removeBelow(path string, deadline time.Time) error {
	d, err := openDir(path)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.close()
	names, err := subdirs(d)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := remove(path+"/"+name, deadline); err != nil {
			return err
		}
	}
	return nil
}

package libruntime

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/store"
)

// Kill sends a signal to the container's init, or, if all, to every process of the container. The error
// for a container that has stopped wraps ErrNotRunning, except with all, where that is what was wanted.
//
// SIGKILL for a container without a pid namespace of its own goes to all of its processes in any case:
// there is no other way to end those that the init leaves behind.
func (rt *Runtime) Kill(id string, sig syscall.Signal, all bool) error {
	// No lock: a container whose create hangs must be killable, and the process cannot be mistaken.
	c, err := rt.find(id)
	if err != nil {
		return err
	}
	defer c.Close()
	cg, err := c.cgroup()
	if err != nil {
		return err
	}
	if sig == unix.SIGKILL && !all {
		if all = c.rec.SharedPIDs; all {
			if alive, err := c.process().alive(); err != nil || !alive {
				return notRunning(err)
			}
		}
	}
	if all {
		return c.killAll(cg, sig)
	}
	if err := c.process().signal(sig); err != nil {
		return notRunning(err)
	}
	if c.rec.Status != store.Running && terminates(sig) {
		// What waits for the start is bailey's and handles no signal, and a process 1 is not ended by one
		// that it does not handle. Whoever asks a created container to end wants it to.
		if err := c.process().signal(unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return notRunning(err)
		}
	}
	return c.afterKill(cg, sig)
}

// terminates reports whether a signal ends a process that does not handle it.
func terminates(sig syscall.Signal) bool {
	switch sig {
	case 0, unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH, unix.SIGCONT, unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		return false
	}
	return true
}

// killAll sends a signal to every process of the container.
func (c *container) killAll(cg *cgroup.Manager, sig syscall.Signal) error {
	if sig == unix.SIGKILL {
		if err := cg.Kill(); err != nil {
			return err
		}
		// Where cgroups are disabled, or before the init is in its own.
		if err := c.process().signal(sig); err != nil && !errors.Is(err, unix.ESRCH) {
			return fault.Wrap(err, "signal the container's init", "")
		}
		return nil
	}
	pids, err := cg.AllPids()
	if err != nil {
		return err
	}
	if len(pids) == 0 {
		if err := c.process().signal(sig); err != nil && !errors.Is(err, unix.ESRCH) {
			return fault.Wrap(err, "signal the container's init", "")
		}
		return nil
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, sig); err != nil && err != unix.ESRCH {
			return &fault.Error{Step: "signal a process of the container", Syscall: "kill", Err: err}
		}
	}
	return nil
}

// afterKill lets a process that was frozen die: in a cgroup v1 freezer SIGKILL waits for the thaw.
func (c *container) afterKill(cg *cgroup.Manager, sig syscall.Signal) error {
	if sig != unix.SIGKILL || cg.Mode() == cgroup.V2 {
		return nil
	}
	if state, err := cg.State(); err != nil || state != cgroup.Frozen {
		return err
	}
	return cg.Thaw()
}

// notRunning turns the errors of a process that has ended, or none at all, into ErrNotRunning.
func notRunning(err error) error {
	if err == nil || errors.Is(err, unix.ESRCH) {
		return fault.Wrap(ErrNotRunning, "signal the container's init", "")
	}
	return fault.Wrap(err, "signal the container's init", "")
}

package libruntime

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/hooks"
	"github.com/bailey-oci/bailey/libruntime/resctrl"
	"github.com/bailey-oci/bailey/libruntime/store"
)

const (
	// killWait is how long, in milliseconds, a killed init is given to end.
	killWait = 10_000
	// busyWait is how long a delete --force waits for a process that works on the container, after it
	// has killed the container under it.
	busyWait = 10 * time.Second
)

// Delete removes a container that has stopped, or that was created and not started: its cgroups, whatever
// process is left in them, and its record; then it runs the poststop hooks. With force it removes a
// container in any state, killing it if it lives; then an ID without a container is no error.
func (rt *Runtime) Delete(id string, force bool) error {
	c, err := rt.openToDelete(id, force)
	if err != nil || c == nil {
		return err
	}
	defer c.Close()
	if c.rec == nil {
		// A create was killed before it had done anything else, but for IDs perhaps.
		if err := rt.releaseAny(id); err != nil {
			return err
		}
		return c.Remove()
	}
	cg, err := c.cgroup()
	if err != nil {
		return err
	}
	status, err := c.status(nil)
	if err != nil {
		return err
	}
	if !force && status != store.Stopped && status != store.Created {
		// The freezer matters to nothing but the word.
		if status, err = c.status(cg); err != nil {
			return err
		}
		return cannot("cannot delete container "+id+" that is not stopped: "+string(status),
			"stop it with: bailey kill "+id+" KILL; or use: bailey delete --force "+id)
	}
	if status != store.Stopped {
		if err := c.end(cg); err != nil {
			return err
		}
	}
	poststop, err := c.poststop()
	if err != nil {
		// The record of the hooks is lost; that must not keep the container.
		rt.warn("the poststop hooks are not run: " + err.Error())
	}
	return rt.destroy(c, cg, poststop)
}

// openToDelete locks the container. With force the result is nil for one that does not exist, and its
// record may be nil.
func (rt *Runtime) openToDelete(id string, force bool) (*container, error) {
	dir, err := rt.Root.Open(id)
	if err != nil {
		if force && errors.Is(err, ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	c := &container{Container: dir, locked: true}
	if !force {
		err = dir.Lock()
	} else if err = dir.LockWithin(0); errors.Is(err, store.ErrBusy) {
		// A create or start that hangs, in a hook perhaps. Without the container's init it fails.
		if rec, readErr := dir.Read(); readErr == nil {
			hung := container{Container: dir, rec: rec}
			if cg, cgErr := hung.cgroup(); cgErr == nil {
				_ = hung.end(cg) // the lock will tell
			}
		}
		err = dir.LockWithin(busyWait)
	}
	if err == nil {
		c.rec, err = dir.Read()
		if err == nil || force && errors.Is(err, ErrNotExist) {
			return c, nil
		}
	}
	dir.Close()
	if force && errors.Is(err, ErrNotExist) {
		return nil, nil
	}
	return nil, err
}

// end kills the container's init and waits until it has ended.
func (c *container) end(cg *cgroup.Manager) error {
	if err := c.process().signal(unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fault.Wrap(err, "kill the container's init", "")
	}
	// The rest of the container too: a frozen init dies only when its cgroup is thawed.
	if err := cg.Kill(); err != nil {
		return err
	}
	ended, err := c.process().wait(killWait)
	if err != nil {
		return fault.Wrap(err, "wait for the container's init to end", "")
	}
	if !ended {
		return &fault.Error{Step: "kill the container's init", Err: unix.ETIMEDOUT,
			Cause: "it is in an uninterruptible sleep, most likely on a file system that does not answer"}
	}
	return nil
}

// poststop returns the container's poststop hooks.
func (c *container) poststop() ([]specs.Hook, error) {
	if !slices.Contains(c.rec.Hooks, "poststop") {
		return nil, nil
	}
	s, err := c.spec()
	if err != nil || s.Hooks == nil {
		return nil, err
	}
	return s.Hooks.Poststop, nil
}

// destroy removes what is left of a container whose init has ended, and runs hooks, the poststop hooks. A
// hook that fails is a warning, as the specification demands.
func (rt *Runtime) destroy(c *container, cg *cgroup.Manager, poststop []specs.Hook) error {
	// Processes can outlive the init where the pid namespace is shared and where the container is half-made.
	// Otherwise the kernel has ended them, and looking for them would cost more than all the rest.
	outlived := c.rec.SharedPIDs || c.rec.Status == store.Creating
	if !outlived {
		outlived = cg.Destroy() != nil
	}
	if outlived {
		if err := cg.Kill(); err != nil {
			return err
		}
		if err := cg.Destroy(); err != nil {
			return err
		}
	}
	if err := resctrl.Remove(c.rec.Resctrl); err != nil {
		return err
	}
	if err := removeWork(c.rec); err != nil {
		return err
	}
	if err := rt.release(c.ID, c.rec.IDs); err != nil {
		return err
	}
	if err := c.Remove(); err != nil {
		return err
	}
	if len(poststop) == 0 {
		return nil
	}
	state, err := hookState(c.rec, store.Stopped, 0)
	if err != nil {
		return err
	}
	for i := range poststop {
		if err := hooks.RunOne(context.Background(), "poststop", i, &poststop[i], c.rec.Bundle, state); err != nil {
			rt.warn(err.Error())
		}
	}
	return nil
}

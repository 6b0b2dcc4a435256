package libruntime

import (
	"errors"
	"os"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/userns"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/policy"
	"github.com/bailey-oci/bailey/libruntime/store"
)

// Runtime is a state directory and the choices that hold for every operation on it.
type Runtime struct {
	// Root is the state directory.
	Root store.Root
	// Rootless says whether what takes privileges over the machine is done without where it is not
	// possible. nil: decide by whether bailey has such privileges.
	Rootless *bool
	// CgroupsDisabled makes containers stay in the caller's cgroup.
	CgroupsDisabled bool
	// CgroupsSystemd asks for the systemd cgroup driver.
	CgroupsSystemd bool
	// NotifySocket is the socket of the service manager that bailey was started by (NOTIFY_SOCKET of sd_notify(3)), or
	// "".
	NotifySocket string
	// Policies are where the policies are looked for; the zero value is nowhere.
	Policies policy.Paths
	// Warn is told, in a sentence, what was asked for and is not done without being an error. It may be
	// nil.
	Warn func(message string)
}

// Errors whose text engines look for.
var (
	// ErrNotRunning is that a signal cannot be sent because the container has stopped.
	ErrNotRunning = errors.New("container not running")
	// ErrNotExist is that there is no container of that ID.
	ErrNotExist = store.ErrNotExist
	// ErrExist is that there is a container of that ID already.
	ErrExist = store.ErrExist
)

func (rt *Runtime) warn(messages ...string) {
	if rt.Warn == nil {
		return
	}
	for _, m := range messages {
		rt.Warn(m)
	}
}

// rootless reports whether the runtime works without privileges over the machine.
func (rt *Runtime) rootless() bool {
	if rt.Rootless != nil {
		return *rt.Rootless
	}
	return os.Geteuid() != 0 || userns.Other()
}

// container is an existing container: its directory and record.
type container struct {
	*store.Container
	rec *store.Record
	// locked: this process holds the lock.
	locked bool
}

// find opens a container for reading.
func (rt *Runtime) find(id string) (*container, error) {
	dir, err := rt.Root.Open(id)
	if err != nil {
		return nil, err
	}
	rec, err := dir.Read()
	if err != nil {
		dir.Close()
		return nil, err
	}
	return &container{Container: dir, rec: rec}, nil
}

// lock opens a container to change it. The caller closes it, which unlocks it.
func (rt *Runtime) lock(id string) (*container, error) {
	dir, err := rt.Root.Open(id)
	if err != nil {
		return nil, err
	}
	if err = dir.Lock(); err == nil {
		var rec *store.Record
		if rec, err = dir.Read(); err == nil {
			return &container{Container: dir, rec: rec, locked: true}, nil
		}
	}
	dir.Close()
	return nil, err
}

// process returns the container's init.
func (c *container) process() process { return process{c.rec.PID, c.rec.StartTime} }

// cgroup returns the manager of the container's cgroups.
func (c *container) cgroup() (*cgroup.Manager, error) {
	return cgroup.Load(c.rec.CgroupPaths, cgroup.Options{Rootless: c.rec.Rootless, Disabled: c.rec.CgroupsDisabled, Unit: c.rec.Unit})
}

// status finds out where the container is in its life. paused can only be told with the cgroup's
// manager; without one (nil) a paused container counts as running.
func (c *container) status(cg *cgroup.Manager) (store.Status, error) {
	alive, err := c.process().alive()
	if err != nil {
		return "", err
	}
	if !alive {
		// Creating without a process is either under way or was killed; the lock tells.
		if c.rec.Status == store.Creating && !c.locked && c.Busy() {
			return store.Creating, nil
		}
		return store.Stopped, nil
	}
	if cg != nil && c.rec.Status != store.Creating {
		state, err := cg.State()
		if err != nil {
			return "", err
		}
		if state == cgroup.Frozen {
			return store.Paused, nil
		}
	}
	return c.rec.Status, nil
}

// cannot returns the error for an operation that a container's status does not allow.
func cannot(what, remedy string) error { return &fault.Error{Step: what, Remedy: remedy} }

package libruntime

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/resctrl"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/spec"
)

// findCgroup opens a container, in whatever state it is, and its cgroup.
func (rt *Runtime) findCgroup(id string) (*container, *cgroup.Manager, error) {
	c, err := rt.find(id)
	if err != nil {
		return nil, nil, err
	}
	cg, err := c.cgroup()
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, cg, nil
}

// live opens and locks a container that has not stopped.
func (rt *Runtime) live(id, operation string) (*container, *cgroup.Manager, store.Status, error) {
	c, err := rt.lock(id)
	if err != nil {
		return nil, nil, "", err
	}
	cg, err := c.cgroup()
	if err == nil {
		var status store.Status
		if status, err = c.status(cg); err == nil {
			if status != store.Stopped {
				return c, cg, status, nil
			}
			err = cannot("cannot "+operation+" container "+id+": container not running", "")
		}
	}
	c.Close()
	return nil, nil, "", err
}

// Pause freezes every process of a container that runs or waits for its start.
func (rt *Runtime) Pause(id string) error {
	c, cg, status, err := rt.live(id, "pause")
	if err != nil {
		return err
	}
	defer c.Close()
	if status == store.Paused {
		return cannot("cannot pause container "+id+": it is paused already", "")
	}
	return cg.Freeze()
}

// Resume thaws a paused container.
func (rt *Runtime) Resume(id string) error {
	c, cg, status, err := rt.live(id, "resume")
	if err != nil {
		return err
	}
	defer c.Close()
	if status != store.Paused {
		return cannot("cannot resume container "+id+": it is not paused", "")
	}
	return cg.Thaw()
}

// Update changes the limits of a container; fields that are not set keep their values. schemata are lines for the
// container's resctrl class.
func (rt *Runtime) Update(id string, r *specs.LinuxResources, schemata ...string) error {
	if err := spec.ValidateResources(r); err != nil {
		return err
	}
	c, cg, _, err := rt.live(id, "update")
	if err != nil {
		return err
	}
	defer c.Close()
	err = cg.Update(r)
	rt.warn(cg.Warnings()...)
	if err != nil || len(schemata) == 0 {
		return err
	}
	s, err := c.spec()
	if err != nil {
		return err
	}
	if s.Linux.IntelRdt == nil {
		return cannot("cannot set schemata of container "+id+": it is in no resctrl class of its own", "set linux.intelRdt in its config.json")
	}
	g, err := resctrl.New(id, s.Linux.IntelRdt)
	if err != nil {
		return err
	}
	return g.Write(schemata)
}

// Ps returns the IDs of the container's processes as the caller sees them.
func (rt *Runtime) Ps(id string) ([]int, error) {
	c, cg, err := rt.findCgroup(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return cg.AllPids()
}

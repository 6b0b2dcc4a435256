package libruntime

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/store"
)

// State is what is told of a container: the state of the runtime specification and the further fields that
// runc prints.
type State struct {
	Version string `json:"ociVersion"`
	ID      string `json:"id"`
	// PID is 0 for a container that has stopped.
	PID         int               `json:"pid"`
	Status      store.Status      `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// Owner is the name of the user that made the container, or "#" and the user ID where it has none.
	Owner string `json:"owner"`
}

// State returns the state of a container.
func (rt *Runtime) State(id string) (*State, error) {
	c, err := rt.find(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.state()
}

// Status returns where a container is in its life, which costs less than all of its state.
func (rt *Runtime) Status(id string) (store.Status, error) {
	c, cg, err := rt.findCgroup(id)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.status(cg)
}

// List returns the states of all containers in the order of their IDs. A container whose record cannot be
// read is left out with a warning, so that one broken record does not hide the rest.
func (rt *Runtime) List() ([]*State, error) {
	ids, err := rt.Root.IDs()
	if err != nil {
		return nil, err
	}
	states := make([]*State, 0, len(ids))
	for _, id := range ids {
		s, err := rt.State(id)
		switch {
		case err == nil:
			states = append(states, s)
		case errors.Is(err, ErrNotExist): // removed meanwhile, or not yet made
		default:
			rt.warn("container " + id + ": " + err.Error())
		}
	}
	return states, nil
}

func (c *container) state() (*State, error) {
	cg, err := c.cgroup()
	if err != nil {
		return nil, err
	}
	status, err := c.status(cg)
	if err != nil {
		return nil, err
	}
	s := &State{
		Version: c.rec.Version, ID: c.rec.ID, PID: c.rec.PID, Status: status,
		Bundle: c.rec.Bundle, Rootfs: c.rec.Rootfs, Created: c.rec.Created,
		Annotations: c.rec.Annotations, Owner: userName(c.rec.UID),
	}
	if status == store.Stopped {
		s.PID = 0
	}
	return s, nil
}

// specState returns the state as the specification has it.
func specState(rec *store.Record, status store.Status, pid int) specs.State {
	return specs.State{
		Version: rec.Version, ID: rec.ID, Status: specs.ContainerState(status), Pid: pid,
		Bundle: rec.Bundle, Annotations: rec.Annotations,
	}
}

// hookState returns the state as a hook gets it on its standard input. pid is the process ID of the
// container's init as the hook sees it.
func hookState(rec *store.Record, status store.Status, pid int) ([]byte, error) {
	b, err := json.Marshal(specState(rec, status, pid))
	if err != nil {
		return nil, fault.Wrap(err, "encode the state for a hook", "")
	}
	return b, nil
}

// userName returns the name of a user of the host.
func userName(uid int) string {
	if name := passwdName(readPasswd(hostPasswd), uid); name != "" {
		return name
	}
	return "#" + strconv.Itoa(uid)
}

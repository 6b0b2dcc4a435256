package libruntime

import (
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
	"github.com/bailey-oci/bailey/libruntime/hooks"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/nsexec"
)

// Start lets the payload of a created container go, and runs the poststart hooks. If either fails, the
// container is stopped and the error says why; its record stays, to be deleted.
func (rt *Runtime) Start(id string) error {
	c, err := rt.lock(id)
	if err != nil {
		return err
	}
	defer c.Close()
	cg, err := c.cgroup()
	if err != nil {
		return err
	}
	// With the freezer: a frozen init would be waited for until somebody resumes it, who waits for the lock.
	status, err := c.status(cg)
	if err != nil {
		return err
	}
	switch status {
	case store.Created:
	case store.Running:
		return cannot("cannot start an already running container", "")
	case store.Stopped:
		return cannot("cannot start a container that has stopped", "delete it and create it again")
	default:
		return cannot("cannot start a container in the "+string(status)+" state", "")
	}
	state, err := startState(c.rec)
	if err != nil {
		return err
	}
	// On record before it is so: a payload that is taken for one that waits would be deleted without force.
	c.rec.Status = store.Running
	if err := c.Write(c.rec); err != nil {
		return err
	}
	notify, err := rt.newNotifier(c.NotifyPath(), c.rec.PID)
	if err != nil {
		return rt.stopped(c, err)
	}
	defer notify.close()
	faultpoint.Here()
	if err := nsexec.Start(c.SocketPath(), c.rec.PID, nsexec.Starting{State: state, Listener: c.handListener}); err != nil {
		return rt.stopped(c, err)
	}
	var poststart []specs.Hook
	if slices.Contains(c.rec.Hooks, "poststart") {
		s, err := c.spec()
		if err != nil {
			return rt.stopped(c, err)
		}
		poststart = s.Hooks.Poststart
	}
	if err := runPoststart(new(relay), c.rec, poststart); err != nil {
		return rt.stopped(c, err)
	}
	// Others may work on the container meanwhile.
	c.Unlock()
	return notify.untilReady(c.process())
}

// startState returns the state for startContainer hooks, nil where there are none.
func startState(rec *store.Record) ([]byte, error) {
	if !slices.Contains(rec.Hooks, "startContainer") {
		return nil, nil
	}
	pid, err := innerPID(rec.PID)
	if err != nil {
		return nil, err
	}
	return hookState(rec, store.Created, pid)
}

// runPoststart runs the poststart hooks of a container that runs.
func runPoststart(r *relay, rec *store.Record, poststart []specs.Hook) error {
	if len(poststart) == 0 {
		return nil
	}
	state, err := hookState(rec, store.Running, rec.PID)
	if err != nil {
		return err
	}
	return r.during(func(ctx context.Context) error {
		return hooks.Run(ctx, "poststart", poststart, rec.Bundle, state)
	})
}

// stopped kills a container whose start has failed because of err, waits for its end and returns err.
func (rt *Runtime) stopped(c *container, err error) error {
	p := c.process()
	if killErr := p.signal(unix.SIGKILL); killErr != nil && !errors.Is(killErr, unix.ESRCH) {
		rt.warn(fault.Wrap(killErr, "kill the container after a failed start", "").Error())
	}
	if _, waitErr := p.wait(killWait); waitErr != nil {
		rt.warn(fault.Wrap(waitErr, "wait for the container to end after a failed start", "").Error())
	}
	return err
}

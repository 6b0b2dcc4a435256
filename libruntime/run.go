package libruntime

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/nsexec"
)

// RunOptions are those of Create and what run adds.
type RunOptions struct {
	CreateOptions
	// Detach returns when the payload has been started, and leaves it running.
	Detach bool
	// Keep leaves the record of the container when it has stopped, to be deleted later.
	Keep bool
	// Mortal has the payload end by SIGINT, SIGTERM, SIGHUP and SIGQUIT, from outside or typed at its terminal, where it has
	// not provided for them, although it is the first process of its pid namespace.
	Mortal bool
	// NoSubreaper does not adopt the orphans of a container that shares the caller's pid namespace.
	NoSubreaper bool
}

// Run makes a container, starts it, and waits for the payload, whose exit status it returns: 128 and the
// signal's number if a signal ended it. Afterwards the container is deleted. On an error nothing is left of
// it.
func (rt *Runtime) Run(opts *RunOptions) (status int, err error) {
	own := opts.CreateOptions // what the policy decides is added
	c := &creation{rt: rt, opts: &own, attached: true, detach: opts.Detach}
	c.relay.caught, c.relay.mortal = opts.Signals, opts.Mortal
	if err := opts.adopt(); err != nil {
		return 0, err
	}
	init, err := c.make()
	if err != nil {
		return 0, err
	}
	c.hooked = true
	term, err := c.start(init)
	return rt.follow(c, opts, init.PID, term, err)
}

// adopt makes bailey the parent of the container's orphans, if it stays and nothing else is asked for.
func (opts *RunOptions) adopt() error {
	if opts.NoSubreaper || opts.Detach {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return &fault.Error{Step: "become the subreaper of the container", Syscall: "prctl", Err: err}
	}
	return nil
}

// follow does what remains once the container, whose init is the child pid, runs; or undoes it all where that has
// failed, with err. term, which may be nil, is its terminal.
func (rt *Runtime) follow(c *creation, opts *RunOptions, pid int, term *terminal, err error) (int, error) {
	if err != nil {
		term.close()
		c.undo(pid)
		return 0, err
	}
	defer c.dir.Close()
	if opts.Detach {
		return 0, nil
	}
	// Others may work on the container while it runs.
	c.dir.Unlock()
	status, err := c.relay.wait(pid, term)
	term.close()
	if opts.Keep {
		return status, err
	}
	if lockErr := c.dir.Lock(); lockErr != nil {
		if err == nil && !errors.Is(lockErr, ErrNotExist) { // which somebody else has deleted
			err = lockErr
		}
		return status, err
	}
	var poststop []specs.Hook
	if c.spec.Hooks != nil {
		poststop = c.spec.Hooks.Poststop
	}
	if deleteErr := rt.destroy(&container{Container: c.dir, rec: c.rec, locked: true}, c.cgroup, poststop); err == nil {
		err = deleteErr
	}
	return status, err
}

// start lets the payload go. The result, which serves its terminal, may be nil.
func (c *creation) start(init *nsexec.Init) (term *terminal, err error) {
	if c.console != nil {
		var typed func(*terminal, []byte)
		if c.relay.mortal {
			typed = c.typed
		}
		term, err = serveTerminal(c.console, typed)
		c.console = nil
		if err != nil {
			return nil, err
		}
	}
	c.rec.Status = store.Running
	if err := c.dir.Write(c.rec); err != nil {
		return term, err
	}
	if err := c.announce(init.PID); err != nil {
		return term, err
	}
	notify, err := c.rt.newNotifier(c.dir.NotifyPath(), init.PID)
	if err != nil {
		return term, err
	}
	state, err := startState(c.rec)
	if err == nil {
		faultpoint.Here()
		err = init.Start(nsexec.Starting{State: state, Await: c.relay.await, Listener: func(f *os.File) error {
			return sendListener(f, c.spec, c.rec, store.Created, init.PID)
		}})
	}
	if err == nil {
		var poststart []specs.Hook
		if c.spec.Hooks != nil {
			poststart = c.spec.Hooks.Poststart
		}
		err = runPoststart(&c.relay, c.rec, poststart)
	}
	switch {
	case err != nil:
		notify.close()
		if c.opts.PIDFile != "" {
			_ = os.Remove(c.opts.PIDFile)
		}
	case c.detach:
		err = notify.untilReady(process{c.rec.PID, c.rec.StartTime})
		notify.close()
	default:
		notify.passAll(c.rt.warn)
	}
	return term, err
}

package shim

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/shim/wire"
)

// container is one container that this shim serves.
type container struct {
	s          *service
	id, bundle string
	// checkpoint is the directory of the images that it is restored from when it is started, or "".
	checkpoint string
	runtime    *libruntime.Runtime
	record     record
	init       *process
	sharedPIDs bool
	oom        *oomWatch

	mu    sync.Mutex // for what follows
	execs map[string]*process
	// over: the init has ended, and nothing is executed any more.
	over bool
}

func (s *service) newContainer(r *wire.Create) (*container, error) {
	options, err := decodeOptions(r.Options)
	if err != nil {
		return nil, err
	}
	c := &container{s: s, id: r.ID, bundle: r.Bundle, checkpoint: r.Checkpoint, execs: make(map[string]*process)}
	if options != nil {
		c.record.Options = *options
	}
	c.runtime = runtimeFor(s.namespace, &c.record.Options, func(message string) {
		logrus.WithField("id", c.id).Warn(message)
	})
	c.init = newProcess(c, "", r.Stdio)
	return c, nil
}

// create makes the container. On an error nothing is left of it.
func (c *container) create(r *wire.Create) (pid int, err error) {
	p := c.init
	p.starting.Lock()
	defer p.starting.Unlock()
	// Before anything is made: by this it is found by who cleans up.
	if err := c.record.write(c.bundle); err != nil {
		return 0, err
	}
	if err := c.s.reaper.during(func() error { return mountRootfs(c.bundle, r.Rootfs) }); err != nil {
		return 0, err
	}
	if err = p.open(); err == nil && c.checkpoint == "" {
		if err = c.make(); err != nil {
			p.stdio.abort()
		}
	}
	if err != nil {
		c.unmount()
		return 0, err
	}
	c.s.events.send(wire.TaskCreate(r, p.pid()))
	return p.pid(), nil
}

// make has libruntime make the container.
func (c *container) make() error {
	p := c.init
	options := libruntime.CreateOptions{
		ID: c.id, Bundle: c.bundle, Streams: &p.stdio.child,
		NoPivot: c.record.Options.NoPivotRoot, NoNewKeyring: c.record.Options.NoNewKeyring,
	}
	if p.names.Terminal {
		options.Console = p.stdio.connect
	}
	return c.s.reaper.during(func() error {
		made, err := c.runtime.Create(&options)
		if err != nil {
			return err
		}
		return c.created(made)
	})
}

// created takes over the container's init, which waits or, if it was restored, runs.
func (c *container) created(made libruntime.Child) error {
	c.sharedPIDs = made.SharedPIDs
	c.init.own(made)
	if err := c.init.made(made); err != nil {
		_ = c.runtime.Delete(c.id, true)
		return err
	}
	c.init.stdio.started()
	if w, err := c.runtime.WatchOOM(c.id); err != nil {
		logrus.WithField("id", c.id).WithError(err).Debug("lack of memory is not told of")
	} else if c.oom, err = c.s.oom.add(c.id, w); err != nil {
		w.Close()
		logrus.WithField("id", c.id).WithError(err).Warn("lack of memory is not told of")
	}
	return nil
}

// start lets the init go.
func (c *container) start() (pid int, err error) {
	p := c.init
	p.starting.Lock()
	defer p.starting.Unlock()
	if status, _ := p.is(); status != wire.Created {
		return 0, precondition("cannot start a container that is not waiting for it")
	}
	if c.checkpoint != "" {
		err = c.restore()
	} else {
		err = c.s.reaper.during(func() error { return c.runtime.Start(c.id) })
	}
	if err != nil {
		return 0, err
	}
	p.setStatus(wire.Running)
	pid = p.pid()
	c.s.events.send(wire.TaskStart(c.id, pid))
	return pid, nil
}

// initEnded does what is to be done when the init has ended, before that is told.
func (c *container) initEnded(exit wire.Exit) {
	c.s.oom.remove(c.oom)
	c.oom = nil
	c.mu.Lock()
	c.over = true
	execs := make([]*process, 0, len(c.execs))
	for _, p := range c.execs {
		execs = append(execs, p)
	}
	c.mu.Unlock()
	if c.sharedPIDs {
		// The kernel has not ended the others.
		if err := c.runtime.Kill(c.id, unix.SIGKILL, true); err != nil {
			logrus.WithField("id", c.id).WithError(err).Warn("end what the init has left behind")
		}
	}
	// The container's end is the last that is told of it.
	for _, p := range execs {
		p.starting.Lock() // who is being started is known afterwards
		status, _ := p.is()
		p.starting.Unlock()
		if status == wire.Running || status == wire.Stopped {
			<-p.ended
		}
	}
	c.record.Exit = &exitRecord{exit.PID, exit.Status, exit.At}
	if err := c.record.write(c.bundle); err != nil {
		logrus.WithField("id", c.id).WithError(err).Warn("put the exit status on record")
	}
}

// delete removes a container that has ended, or that was never started.
func (c *container) delete(ctx context.Context) (wire.Exit, error) {
	switch status, _ := c.init.is(); {
	case status == wire.Running:
		return wire.Exit{}, precondition("cannot delete a running process")
	case c.checkpoint != "" && status == wire.Created:
		c.init.failed()
	}
	if err := c.s.reaper.during(func() error { return c.runtime.Delete(c.id, true) }); err != nil {
		return wire.Exit{}, err
	}
	select {
	case <-c.init.ended:
	case <-ctx.Done():
		return wire.Exit{}, ctx.Err()
	}
	exit := c.init.delete()
	c.unmount()
	return exit, nil
}

func (c *container) unmount() {
	if err := unmountAll(filepath.Join(c.bundle, rootfsName)); err != nil {
		logrus.WithField("id", c.id).WithError(err).Warn("the root file system stays mounted")
	}
}

// process returns the init, or one that was executed.
func (c *container) process(exec string) (*process, error) {
	if exec == "" {
		return c.init, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.execs[exec]; p != nil {
		return p, nil
	}
	return nil, notFound("process does not exist " + exec)
}

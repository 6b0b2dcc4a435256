package shim

import (
	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/shim/wire"
	"github.com/bailey-oci/bailey/spec"
)

// addExec notes a process that is to be executed.
func (c *container) addExec(r *wire.Exec) error {
	what, err := spec.ParseProcess(r.Spec.Value)
	if err != nil {
		return invalid("the process to execute: " + err.Error())
	}
	what.Terminal = r.Terminal
	p := newProcess(c, r.ExecID, r.Stdio)
	p.spec = what
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.execs[r.ExecID] != nil {
		return exists("id " + r.ExecID)
	}
	if c.over {
		return precondition("cannot exec in a stopped container")
	}
	c.execs[r.ExecID] = p
	c.s.events.send(wire.TaskExecAdded(c.id, r.ExecID))
	return nil
}

// startExec executes it.
func (c *container) startExec(p *process) (pid int, err error) {
	p.starting.Lock()
	defer p.starting.Unlock()
	if status, _ := p.is(); status != wire.Created {
		return 0, precondition("cannot start a process that was started already")
	}
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over {
		return 0, precondition("cannot exec in a stopped container")
	}
	if err := p.open(); err != nil {
		p.failed()
		return 0, err
	}
	options := libruntime.ExecOptions{Process: p.spec, Streams: &p.stdio.child}
	if p.names.Terminal {
		options.Console = p.stdio.connect
	}
	err = c.s.reaper.during(func() error {
		made, err := c.runtime.Spawn(c.id, &options)
		if err != nil {
			return err
		}
		return p.made(made)
	})
	if err != nil {
		p.failed()
		return 0, err
	}
	p.stdio.started()
	p.setStatus(wire.Running)
	pid = p.pid()
	c.s.events.send(wire.TaskExecStarted(c.id, p.exec, pid))
	return pid, nil
}

// deleteExec gives it up.
func (c *container) deleteExec(p *process) (wire.Exit, error) {
	p.starting.Lock()
	status, _ := p.is()
	if status == wire.Created {
		p.failed() // somebody may wait for its end
	}
	p.starting.Unlock()
	if status == wire.Running {
		return wire.Exit{}, precondition("cannot delete a running process")
	}
	exit := p.delete()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.execs, p.exec)
	return exit, nil
}

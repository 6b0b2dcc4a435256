package shim

import (
	"os"
	"sync"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/shim/wire"
)

// drainTimeout is how long what a process has written is waited for when it is deleted.
const drainTimeout = 2 * time.Second

// process is one process that containerd has asked for: a container's init, or one executed in it.
type process struct {
	c *container
	// exec is its ID among those executed, "" for the init.
	exec string
	// spec is what is to be executed; nil for the init.
	spec  *specs.Process
	names wire.Stdio
	stdio *stdio
	// starting is held while the process is being made or started, so that its end is told after that.
	starting sync.Mutex
	// ended is closed when the process has ended and that has been told.
	ended chan struct{}

	mu     sync.Mutex // for what follows
	status wire.Status
	child  *child
	exit   wire.Exit
}

func newProcess(c *container, exec string, names wire.Stdio) *process {
	return &process{c: c, exec: exec, names: names, status: wire.Created, ended: make(chan struct{})}
}

// id is what the process is called in events.
func (p *process) id() string {
	if p.exec == "" {
		return p.c.id
	}
	return p.exec
}

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.child != nil:
		return p.child.pid
	default:
		return p.exit.PID
	}
}

func (p *process) setStatus(s wire.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != wire.Stopped {
		p.status = s
	}
}

// is returns the status and, for one that has stopped, how it has ended.
func (p *process) is() (wire.Status, wire.Exit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status, p.exit
}

// open opens the process's standard streams.
func (p *process) open() (err error) {
	p.stdio, err = openStdio(p.names, func(uri string) (*os.File, *os.File, error) {
		return startLogger(uri, p.c.id, p.c.s.namespace, &p.c.s.reaper)
	})
	return err
}

// made takes over the child that the process has become. It is called before the reaper may take the child for an orphan.
func (p *process) made(made libruntime.Child) error {
	child, err := openChild(made.PID)
	if err != nil {
		return err
	}
	p.c.s.reaper.know(made.PID)
	p.mu.Lock()
	p.child = child
	p.mu.Unlock()
	go p.watch(child)
	return nil
}

// watch waits for the process's end and tells of it.
func (p *process) watch(child *child) {
	exit := child.wait()
	p.c.s.reaper.forget(child.pid)
	p.starting.Lock()
	defer p.starting.Unlock()
	if p.exec == "" {
		p.c.initEnded(exit)
	}
	p.mu.Lock()
	p.status, p.exit, p.child = wire.Stopped, exit, nil
	p.mu.Unlock()
	child.close()
	p.c.s.events.send(wire.TaskExit(p.c.id, p.id(), exit))
	close(p.ended)
}

// failed notes that the process could not be made, or is not going to be.
func (p *process) failed() {
	if p.stdio != nil {
		p.stdio.abort()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.exit = wire.Stopped, wire.Exit{Status: 255, At: time.Now()}
	select {
	case <-p.ended:
	default:
		close(p.ended)
	}
}

// signal sends a signal to a process that was executed; the container's init is libruntime's matter.
func (p *process) signal(sig unix.Signal) error {
	p.mu.Lock()
	child, status := p.child, p.status
	p.mu.Unlock()
	if child == nil {
		if status == wire.Created {
			return precondition("process not created")
		}
		return notFound("process already finished")
	}
	if err := child.signal(sig); err == unix.ESRCH {
		return notFound("process already finished")
	} else if err != nil {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	return nil
}

// own gives the streams to the user that the process runs as, or to the one that the options name.
func (p *process) own(made libruntime.Child) {
	uid, gid := int(made.UID), -1
	if o := &p.c.record.Options; o.IoUID != 0 || o.IoGID != 0 {
		uid, gid = int(o.IoUID), int(o.IoGID)
	}
	if uid == 0 && gid <= 0 {
		return // they are root's already
	}
	if err := p.stdio.own(uid, gid); err != nil {
		logrus.WithError(err).Warn("the standard streams stay root's")
	}
}

// delete gives up what belongs to a process that has ended.
func (p *process) delete() wire.Exit {
	if p.stdio != nil {
		p.stdio.drain(drainTimeout)
		p.stdio.abort()
	}
	_, exit := p.is()
	return exit
}

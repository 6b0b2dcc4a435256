package shim

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/shim/wire"
	"github.com/bailey-oci/bailey/spec"
)

// service is the task service of one shim.
type service struct {
	namespace, version string
	events             *publisher
	reaper             reaper
	oom                oomWatcher
	// shutdown ends the program.
	shutdown func()

	mu         sync.Mutex
	containers map[string]*container
}

// register adds the task service, in both generations, which differ in nothing but the name.
func (s *service) register(server *ttrpc.Server) {
	methods := map[string]ttrpc.Method{
		"State":      method(s.state),
		"Create":     method(s.create),
		"Start":      method(s.start),
		"Delete":     method(s.delete),
		"Pids":       method(s.pids),
		"Pause":      method(s.pause),
		"Resume":     method(s.resume),
		"Checkpoint": method(s.checkpoint),
		"Kill":       method(s.kill),
		"Exec":       method(s.exec),
		"ResizePty":  method(s.resize),
		"CloseIO":    method(s.closeIO),
		"Update":     method(s.update),
		"Wait":       method(s.wait),
		"Stats":      method(s.stats),
		"Connect":    method(s.connect),
		"Shutdown":   method(s.end),
	}
	server.Register("containerd.task.v2.Task", methods)
	server.Register("containerd.task.v3.Task", methods)
}

func (s *service) container(id string) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[id]; c != nil {
		return c, nil
	}
	return nil, notFound("container not created")
}

func (s *service) find(t *wire.Task) (*container, *process, error) {
	c, err := s.container(t.ID)
	if err != nil {
		return nil, nil, err
	}
	p, err := c.process(t.ExecID)
	return c, p, err
}

func (s *service) create(_ context.Context, r *wire.Create) (wire.Response, error) {
	c, err := s.newContainer(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.containers[r.ID] != nil {
		s.mu.Unlock()
		return nil, exists("container " + r.ID)
	}
	s.containers[r.ID] = c
	s.mu.Unlock()
	pid, err := c.create(r)
	if err != nil {
		s.remove(c)
		return nil, err
	}
	return wire.PID(pid), nil
}

func (s *service) remove(c *container) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.containers, c.id)
}

func (s *service) start(_ context.Context, r *wire.Task) (wire.Response, error) {
	c, p, err := s.find(r)
	if err != nil {
		return nil, err
	}
	var pid int
	if r.ExecID == "" {
		pid, err = c.start()
	} else {
		pid, err = c.startExec(p)
	}
	return wire.PID(pid), err
}

func (s *service) delete(ctx context.Context, r *wire.Task) (wire.Response, error) {
	c, p, err := s.find(r)
	if err != nil {
		return nil, err
	}
	var exit wire.Exit
	if r.ExecID != "" {
		exit, err = c.deleteExec(p)
	} else if exit, err = c.delete(ctx); err == nil {
		s.remove(c)
		s.events.send(wire.TaskDelete(c.id, exit))
	}
	return wire.Deleted(exit), err
}

func (s *service) state(_ context.Context, r *wire.Task) (wire.Response, error) {
	c, p, err := s.find(r)
	if err != nil {
		return nil, err
	}
	status, exit := p.is()
	if r.ExecID == "" && status == wire.Running {
		if now, err := c.runtime.Status(c.id); err == nil && now == store.Paused {
			status = wire.Paused
		}
	}
	return &wire.State{
		ID: c.id, Bundle: c.bundle, ExecID: r.ExecID, PID: p.pid(), Status: status, Stdio: p.names, Exit: exit,
	}, nil
}

func (s *service) wait(ctx context.Context, r *wire.Task) (wire.Response, error) {
	_, p, err := s.find(r)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	_, exit := p.is()
	return wire.Waited(exit), nil
}

func (s *service) kill(_ context.Context, r *wire.Kill) (wire.Response, error) {
	c, p, err := s.find(&r.Task)
	if err != nil {
		return nil, err
	}
	sig := unix.Signal(r.Signal)
	if r.ExecID != "" {
		return wire.Empty{}, p.signal(sig)
	}
	if status, _ := p.is(); status == wire.Stopped && !r.All {
		return nil, notFound("process already finished")
	}
	err = c.runtime.Kill(c.id, sig, r.All)
	if errors.Is(err, libruntime.ErrNotRunning) || errors.Is(err, libruntime.ErrNotExist) {
		return nil, notFound("process already finished")
	}
	return wire.Empty{}, err
}

func (s *service) exec(_ context.Context, r *wire.Exec) (wire.Response, error) {
	c, err := s.container(r.ID)
	if err != nil {
		return nil, err
	}
	return wire.Empty{}, c.addExec(r)
}

func (s *service) pids(_ context.Context, r *wire.Task) (wire.Response, error) {
	c, err := s.container(r.ID)
	if err != nil {
		return nil, err
	}
	// A containerd that restarts takes a shim without processes for one that was started in vain, and ends it. One whose
	// container has ended is yet to be asked how.
	if status, _ := c.init.is(); status == wire.Stopped {
		return nil, precondition("container not running")
	}
	pids, err := c.runtime.Ps(c.id)
	if err != nil {
		return nil, err
	}
	execs := make(map[int]string)
	c.mu.Lock()
	for id, p := range c.execs {
		execs[p.pid()] = id
	}
	c.mu.Unlock()
	list := make(wire.Pids, 0, len(pids))
	for _, pid := range pids {
		list = append(list, wire.Process{PID: pid, ExecID: execs[pid]})
	}
	return list, nil
}

func (s *service) pause(_ context.Context, r *wire.Task) (wire.Response, error) {
	return s.freeze(r.ID, (*libruntime.Runtime).Pause, wire.TaskPaused)
}

func (s *service) resume(_ context.Context, r *wire.Task) (wire.Response, error) {
	return s.freeze(r.ID, (*libruntime.Runtime).Resume, wire.TaskResumed)
}

func (s *service) freeze(id string, do func(*libruntime.Runtime, string) error, event func(string) wire.Event) (wire.Response, error) {
	c, err := s.container(id)
	if err != nil {
		return nil, err
	}
	if err := do(c.runtime, id); err != nil {
		return nil, err
	}
	s.events.send(event(id))
	return wire.Empty{}, nil
}

func (s *service) checkpoint(_ context.Context, r *wire.Checkpoint) (wire.Response, error) {
	c, err := s.container(r.ID)
	if err != nil {
		return nil, err
	}
	if err := c.doCheckpoint(r); err != nil {
		return nil, err
	}
	s.events.send(wire.TaskCheckpointed(r.ID, r.Path))
	return wire.Empty{}, nil
}

func (s *service) resize(_ context.Context, r *wire.Resize) (wire.Response, error) {
	_, p, err := s.find(&r.Task)
	if err != nil {
		return nil, err
	}
	if p.stdio == nil {
		return nil, precondition("the process was not started")
	}
	return wire.Empty{}, p.stdio.resize(r.Width, r.Height)
}

func (s *service) closeIO(_ context.Context, r *wire.CloseIO) (wire.Response, error) {
	_, p, err := s.find(&r.Task)
	if err != nil {
		return nil, err
	}
	if r.Stdin && p.stdio != nil {
		p.stdio.closeInput()
	}
	return wire.Empty{}, nil
}

func (s *service) update(_ context.Context, r *wire.Update) (wire.Response, error) {
	c, err := s.container(r.ID)
	if err != nil {
		return nil, err
	}
	resources, err := spec.ParseResources(r.Resources.Value)
	if err != nil {
		return nil, invalid("the resources: " + err.Error())
	}
	return wire.Empty{}, c.runtime.Update(c.id, resources)
}

func (s *service) stats(_ context.Context, r *wire.Task) (wire.Response, error) {
	c, err := s.container(r.ID)
	if err != nil {
		return nil, err
	}
	stats, err := c.runtime.Stats(c.id)
	if errors.Is(err, libruntime.ErrNotRunning) {
		// containerd asks at the end of a container whether it has lacked memory.
		stats, err = c.runtime.FinalStats(c.id)
	}
	if err != nil {
		return nil, err
	}
	return wire.Metrics(stats), nil
}

func (s *service) connect(_ context.Context, r *wire.Task) (wire.Response, error) {
	answer := wire.Connected{ShimPID: os.Getpid(), Version: s.version}
	if c, err := s.container(r.ID); err == nil {
		answer.TaskPID = c.init.pid()
	}
	return answer, nil
}

// end ends the shim, unless it still has containers.
func (s *service) end(context.Context, *wire.Task) (wire.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.containers) == 0 {
		s.shutdown()
	}
	return wire.Empty{}, nil
}

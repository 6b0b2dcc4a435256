package libruntime

import (
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/idmap"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/resctrl"
	"github.com/bailey-oci/bailey/libruntime/signals"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/nsexec"
	"github.com/bailey-oci/bailey/spec"
)

// ExecOptions are the caller's choices for a process that is executed in a container.
type ExecOptions struct {
	// Process is the process to execute. If nil, Change is applied to a copy of the container's own.
	Process *specs.Process
	// Change turns the container's own process, without its arguments, into the one to execute.
	Change func(*specs.Process) error
	// ConsoleSocket, Console, Streams, PidfdSocket, PIDFile and PreserveFDs are as for create.
	ConsoleSocket, PidfdSocket, PIDFile string
	Console                             func(master *os.File) error
	Streams                             *nsexec.Streams
	PreserveFDs                         uint32
	// Detach returns when the process has been executed.
	Detach bool
	// Cgroups are sub-cgroups to run in: "PATH" or "CONTROLLER:PATH".
	Cgroups []string
	// IgnorePaused executes the process even in a paused container, where it will wait.
	IgnorePaused bool
	// Signals and NoSubreaper are as for run.
	Signals     *signals.Caught
	NoSubreaper bool
}

// Exec executes a process in a container that runs (or waits for its start) and, unless detached, waits
// for it and returns its exit status, as Run does.
func (rt *Runtime) Exec(id string, opts *ExecOptions) (status int, err error) {
	e, init, err := rt.enter(id, opts)
	if err != nil {
		return 0, err
	}
	defer e.container.Close()
	return e.run(init)
}

// Spawn executes a process in a container as Exec does, and returns as soon as it has been executed; nobody but the caller
// waits for it. Detach is implied.
func (rt *Runtime) Spawn(id string, opts *ExecOptions) (Child, error) {
	own := *opts
	own.Detach = true
	e, init, err := rt.enter(id, &own)
	if err != nil {
		return Child{}, err
	}
	defer e.container.Close()
	if _, err := e.run(init); err != nil {
		return Child{}, err
	}
	return Child{PID: init.PID, UID: hostUser(e.spec, e.process), SharedPIDs: e.container.rec.SharedPIDs}, nil
}

// enter takes everything up to a process in the container that waits for its start. On an error nothing is left, not even
// an open container.
func (rt *Runtime) enter(id string, opts *ExecOptions) (*execution, *nsexec.Init, error) {
	preamble, err := nsexec.Take(opts.Streams)
	if err != nil {
		return nil, nil, err
	}
	e := &execution{rt: rt, opts: opts, preamble: preamble.PID(), relay: relay{caught: opts.Signals}}
	descriptors, err := e.prepare(id)
	var init *nsexec.Init
	if err != nil {
		preamble.Discard()
	} else {
		init, err = preamble.Run(e.plan, &nsexec.Server{
			Descriptors: descriptors, Cloned: e.cloned, Asked: e.asked, Await: e.relay.await,
			Explain: explained(e.plan, func(s plan.Slot) *os.File { return descriptors[s] }),
		})
	}
	if err != nil {
		if e.container != nil {
			e.container.Close()
		}
		return nil, nil, err
	}
	if opts.Streams == nil && !e.process.Terminal {
		givePipes(hostUser(e.spec, e.process))
	}
	return e, init, nil
}

// execution is the execution of one process in a container.
type execution struct {
	rt   *Runtime
	opts *ExecOptions

	container *container
	spec      *specs.Spec
	process   *specs.Process
	plan      *plan.Plan
	// preamble and pid are the process IDs of the preamble and of the process.
	preamble, pid int
	console       *os.File
	relay         relay
}

// prepare finds the container, decides what is executed and makes the plan and its descriptors.
func (e *execution) prepare(id string) (map[plan.Slot]*os.File, error) {
	c, err := e.rt.find(id)
	if err != nil {
		return nil, err
	}
	e.container = c
	cg, err := c.cgroup()
	if err != nil {
		return nil, err
	}
	status, err := c.status(cg)
	switch {
	case err != nil:
		return nil, err
	case status == store.Stopped:
		return nil, cannot("cannot exec in a stopped container", "")
	case status == store.Creating:
		return nil, cannot("cannot exec in a container that is being created", "")
	case status == store.Paused && !e.opts.IgnorePaused:
		return nil, cannot("cannot exec in a paused container", "use: bailey resume "+id+"; or --ignore-paused")
	}
	s, err := c.spec()
	if err != nil {
		return nil, err
	}
	e.spec = s
	if err := e.choose(s); err != nil {
		return nil, err
	}
	if err := checkInherited(0, e.opts.PreserveFDs, e.opts.Streams); err != nil {
		return nil, err
	}
	files := make(map[plan.Slot]*os.File)
	if err := e.open(s, cg, files); err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

// choose decides what is executed.
func (e *execution) choose(s *specs.Spec) error {
	own := s.Process
	if own == nil {
		own = &specs.Process{Cwd: "/"}
	}
	if e.process = e.opts.Process; e.process == nil {
		p := *own
		p.Args = nil
		p.Env = slices.Clone(own.Env)
		p.User.AdditionalGids = slices.Clone(own.User.AdditionalGids)
		if c := own.Capabilities; c != nil {
			p.Capabilities = &specs.LinuxCapabilities{
				Bounding: slices.Clone(c.Bounding), Effective: slices.Clone(c.Effective),
				Permitted: slices.Clone(c.Permitted), Inheritable: slices.Clone(c.Inheritable),
				Ambient: slices.Clone(c.Ambient),
			}
		}
		if err := e.opts.Change(&p); err != nil {
			return err
		}
		e.process = &p
	} else {
		inherit(e.process, own)
	}
	if err := e.container.processDecision(e.process); err != nil {
		return err
	}
	if err := spec.ValidateProcess(e.process, s); err != nil {
		return err
	}
	e.rt.warn(spec.Warnings(e.process)...)
	return checkTerminal(e.process.Terminal, !e.opts.Detach, e.opts.ConsoleSocket, e.opts.Console)
}

// inherit gives a process that says nothing about its confinement that of the container's own, as runc does.
func inherit(p, own *specs.Process) {
	if p.Capabilities == nil {
		p.Capabilities = own.Capabilities
	}
	if p.ApparmorProfile == "" {
		p.ApparmorProfile = own.ApparmorProfile
	}
	if p.SelinuxLabel == "" {
		p.SelinuxLabel = own.SelinuxLabel
	}
	if len(p.Rlimits) == 0 {
		p.Rlimits = own.Rlimits
	}
	if p.OOMScoreAdj == nil {
		p.OOMScoreAdj = own.OOMScoreAdj
	}
	if p.Scheduler == nil {
		p.Scheduler = own.Scheduler
	}
	if p.IOPriority == nil {
		p.IOPriority = own.IOPriority
	}
	if p.ExecCPUAffinity == nil {
		p.ExecCPUAffinity = own.ExecCPUAffinity
	}
}

// open makes the plan and opens what it needs into files.
func (e *execution) open(s *specs.Spec, cg *cgroup.Manager, files map[plan.Slot]*os.File) error {
	pidfd, err := e.container.process().open()
	if err != nil {
		return notRunning(err)
	}
	files[plan.SlotContainer] = os.NewFile(uintptr(pidfd), "pidfd")
	setHome(e.process, func() []byte { return passwdIn(e.container.process().rootPath()) })

	o := plan.ExecOptions{
		ID: e.container.ID, PreserveFDs: e.opts.PreserveFDs,
		SetgroupsDenied: idmap.DeniesSetgroups(s.Linux.GIDMappings),
		Securebits:      plan.Securebits(e.container.rec.Securebits),
		SeccompDenies:   plan.Namespace(e.container.rec.DeniedNamespaces),
		Sealed:          e.container.rec.Sealed,
	}
	o.LastCap, o.Held = capabilities()
	o.CgroupTasks, o.CgroupDirectory = cgroupFacts(cg)
	// Nobody of the container's user namespace may put a process into a cgroup that belongs to its user, a clone into it
	// included, and nobody from inside a cgroup namespace one that is outside: it goes by a file that was opened outside.
	byFile := o.CgroupDirectory && (o.Sealed || o.CgroupTasks == 0 && cgroupOwner(s) != nil)
	if byFile {
		o.CgroupTasks, o.CgroupDirectory = o.CgroupTasks+1, false
	}
	if o.SeccompProgram, o.SeccompFlags, err = e.rt.filter(s, o.SeccompDenies, e.rt.cachedSeccomp); err != nil {
		return err
	}
	if e.plan, err = plan.CompileExec(e.process, s, o); err != nil {
		return err
	}
	e.rt.warn(e.plan.Warnings...)
	if err := e.openOfInit(s, files); err != nil {
		return err
	}
	for _, op := range e.plan.Ops {
		if op.Where() != plan.Host {
			continue
		}
		if a, ok := op.Action.(plan.SetAffinity); ok {
			err = setAffinity(op, e.preamble, a)
		} else {
			err = openInto(files, op)
		}
		if err != nil {
			return err
		}
	}
	if err := cg.Bring(e.preamble); err != nil {
		return err
	}
	var joined cgroupFiles
	if byFile {
		joined.tasks, err = cg.ProcsFiles(e.opts.Cgroups)
	} else {
		joined.directory, joined.tasks, err = joinFiles(cg, e.opts.Cgroups)
	}
	if err != nil {
		return err
	}
	joined.into(files)
	return nil
}

// openOfInit opens what the plan needs and only /proc has of the container's init.
func (e *execution) openOfInit(s *specs.Spec, files map[plan.Slot]*os.File) error {
	p := e.container.process()
	open := func(slot plan.Slot, what, path string, flags int) error {
		fd, err := openHost(path, flags)
		if err != nil {
			return &fault.Error{Step: "open the container's " + what, Syscall: "open", Err: err}
		}
		files[slot] = os.NewFile(uintptr(fd), what)
		return nil
	}
	if !hasNamespace(s, specs.MountNamespace) {
		if err := open(plan.SlotRoot, "root", p.rootPath(), unix.O_PATH|unix.O_DIRECTORY); err != nil {
			return err
		}
	}
	if hasNamespace(s, specs.CgroupNamespace) && !e.container.rec.Sealed {
		if err := open(plan.SlotCgroupNamespace, "cgroup namespace", p.cgroupNamespacePath(), unix.O_RDONLY); err != nil {
			return err
		}
	}
	// Still the same process: then all of it was its own.
	if alive, err := p.alive(); err != nil || !alive {
		return notRunning(err)
	}
	return nil
}

func joinFiles(cg *cgroup.Manager, sub []string) (*os.File, []*os.File, error) {
	if len(sub) == 0 {
		return cg.JoinFiles()
	}
	return cg.JoinFilesSub(sub)
}

func (e *execution) cloned(pid int) error {
	e.pid = pid
	return nil
}

// asked does what the process asks for while it enters the container.
func (e *execution) asked(op plan.Op, received *os.File) (*os.File, error) {
	if _, ok := op.Action.(plan.SendConsole); ok {
		var err error
		e.console, err = takeConsole(received, e.opts.ConsoleSocket, e.opts.Console)
		return nil, err
	}
	if _, ok := op.Action.(plan.JoinResctrl); ok {
		g, err := resctrl.New(e.container.ID, e.spec.Linux.IntelRdt)
		if err != nil {
			return nil, err
		}
		return nil, g.Join(e.pid)
	}
	return nil, askedAction(op, e.pid, e.container.rec.Rootless, e.rt.warn)
}

// run lets the process go and waits for it.
func (e *execution) run(init *nsexec.Init) (status int, err error) {
	var term *terminal
	waited := false
	defer func() {
		term.close()
		if err != nil && !waited {
			endChild(init.PID)
		}
	}()
	if e.console != nil {
		if term, err = serveTerminal(e.console, nil); err != nil {
			return 0, err
		}
	}
	if e.opts.PidfdSocket != "" {
		p, err := observe(init.PID)
		if err == nil {
			err = sendPidfd(e.opts.PidfdSocket, p)
		}
		if err != nil {
			return 0, err
		}
	}
	if err := writePIDFile(e.opts.PIDFile, init.PID); err != nil {
		return 0, err
	}
	if err := init.Start(nsexec.Starting{Await: e.relay.await, Listener: func(f *os.File) error {
		return sendListener(f, e.spec, e.container.rec, store.Running, init.PID)
	}}); err != nil {
		if e.opts.PIDFile != "" {
			_ = os.Remove(e.opts.PIDFile)
		}
		return 0, err
	}
	if e.opts.Detach {
		return 0, nil
	}
	if !e.opts.NoSubreaper {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return 0, &fault.Error{Step: "become the subreaper of the process", Syscall: "prctl", Err: err}
		}
	}
	waited = true
	return e.relay.wait(init.PID, term)
}

package libruntime

import (
	"os"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/faultpoint"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/resctrl"
	"github.com/bailey-oci/bailey/libruntime/signals"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/nsexec"
	"github.com/bailey-oci/bailey/spec"
)

// CreateOptions are the caller's choices for one container. All but ID are optional.
type CreateOptions struct {
	ID string
	// Bundle is the bundle's directory; "" is the working directory.
	Bundle string
	// Config is the configuration's path, where it is not the bundle's config.json.
	Config string
	// Spec is a configuration in memory, instead of one in a bundle; Bundle and Config are not looked at then, and
	// the state directory counts as the bundle.
	Spec *specs.Spec
	// EmptyRoot makes the root filesystem a new and empty tmpfs that the mounts go into; root.path is not looked at.
	EmptyRoot bool
	// Foreign are the indices of bind mounts whose files stay their owners', and so nobody's in the container, where it
	// has IDs of its own. Those of all others are shown to it as belonging to the IDs that they belong to.
	Foreign map[int]bool
	// SpareIDs lets IDs of its own be those that nobody on the machine has, where there is no account to take them from.
	SpareIDs bool
	// ConsoleSocket is the path of a Unix socket that is sent the terminal's master.
	ConsoleSocket string
	// Console is given the terminal's master, and is to close it, where the caller serves the terminal itself.
	Console func(master *os.File) error
	// Streams are the payload's standard streams, which stay the caller's to close; nil: those of this process. With
	// them the payload inherits no other descriptor.
	Streams *nsexec.Streams
	// PidfdSocket is the path of a Unix socket that is sent a pidfd of the container's init.
	PidfdSocket string
	// PIDFile is the path of a file that the process ID of the container's init is written to.
	PIDFile string
	// NoPivot enters the root by moving its mount instead of pivot_root(2).
	NoPivot bool
	// NoNewKeyring leaves the payload the caller's session keyring.
	NoNewKeyring bool
	// PreserveFDs is how many descriptors above the standard streams and the ListenFDs the payload
	// inherits.
	PreserveFDs uint32
	// Userns asks for the user namespace to be as configured or for one with IDs of its own: "", "config", "auto" or
	// "auto:size=N".
	Userns string
	// Seal says whether the payload is sealed.
	Seal Seal
	// NamespaceLimits are how many namespaces of a kind each user of the container may make; kinds that are not in it
	// are not limited.
	NamespaceLimits map[plan.Namespace]uint32
	// Securebits are set for the payload and for every process executed in the container.
	Securebits plan.Securebits
	// ListenFDs is the number of sockets, from descriptor 3 on, that a service manager has given to
	// bailey for the payload (sd_listen_fds(3)).
	ListenFDs uint32
	// Signals are those that reach bailey. Until the payload has started, those that ask a program to end undo what
	// was made; afterwards all are passed on to it. nil leaves them their default actions.
	Signals *signals.Caught
}

// Child is a process that was made for the caller, and is a child of this process. Nobody but the caller waits for it.
type Child struct {
	PID int
	// UID is the user that it runs as, by the number that the user has for the caller.
	UID uint32
	// SharedPIDs: the container has no pid namespace of its own, so that the end of its init does not end the others.
	SharedPIDs bool
}

// Create makes a container and leaves it waiting for Start. The result is the container's init.
func (rt *Runtime) Create(opts *CreateOptions) (Child, error) {
	own := *opts // what the policy decides is added
	c := &creation{rt: rt, opts: &own}
	c.relay.caught = opts.Signals
	init, err := c.make()
	if err != nil {
		return Child{}, err
	}
	defer c.dir.Close()
	c.rec.Status = store.Created
	err = c.dir.Write(c.rec)
	if err == nil {
		err = c.announce(init.PID)
	}
	if err != nil {
		init.Release()
		c.undo(init.PID)
		return Child{}, err
	}
	faultpoint.Here()
	init.Release()
	return Child{PID: init.PID, UID: hostUser(c.spec, c.spec.Process), SharedPIDs: c.rec.SharedPIDs}, nil
}

// creation is the making of one container.
type creation struct {
	rt   *Runtime
	opts *CreateOptions
	// attached: one process makes and starts the container (run).
	attached bool
	// detach: bailey does not stay with the payload.
	detach bool

	*bundle
	plan   *plan.Plan
	dir    *store.Container
	rec    *store.Record
	cgroup *cgroup.Manager
	// resctrl is nil where config.json says nothing of it.
	resctrl *resctrl.Group
	// early are the cgroup's files where they had to be made before the plan.
	early *cgroupFiles
	// opened are the files that the host's actions have opened.
	opened map[plan.Slot]*os.File
	// userns is the container's user namespace, where mounts have needed it.
	userns *os.File
	// late are the host's actions that need the cgroup.
	late []plan.Op
	// console is the terminal's master, where bailey itself serves it.
	console *os.File
	// hooked: the hooks have begun, or might have, so that poststop hooks have something to undo.
	hooked bool
	// preamble and pid are the process IDs of the preamble and of the container's init.
	preamble, pid int
	relay         relay
}

// make takes everything up to the init that waits for its start. The container's directory stays
// locked. On an error nothing is left.
func (c *creation) make() (init *nsexec.Init, err error) {
	// First of all, so that it starts beside what follows.
	preamble, err := nsexec.Take(c.opts.Streams)
	if err != nil {
		return nil, err
	}
	c.preamble = preamble.PID()
	if c.bundle, err = c.rt.bundle(c.opts); err == nil {
		if err = c.rt.decide(c.bundle, c.opts); err == nil {
			err = c.record()
		}
	}
	if err != nil {
		preamble.Discard()
		return nil, err
	}
	descriptors, err := c.prepare()
	if err != nil {
		preamble.Discard()
		c.early.close()
		c.undo(0)
		return nil, err
	}
	defer func() {
		if c.userns != nil {
			c.userns.Close()
		}
	}()
	faultpoint.Here()
	init, err = preamble.Run(c.plan, &nsexec.Server{
		Descriptors: descriptors, Late: c.lateActions, Cloned: c.cloned, Asked: c.asked, Await: c.relay.await,
		Explain: explained(c.plan, func(s plan.Slot) *os.File { return c.opened[s] }),
	})
	c.early.close()
	if err != nil {
		c.undo(0)
		return nil, err
	}
	if p := c.spec.Process; c.opts.Streams == nil && p != nil && !p.Terminal {
		givePipes(hostUser(c.spec, p))
	}
	return init, nil
}

// record makes the container's directory and puts on record what is going to be made.
func (c *creation) record() error {
	// Before anything is named after it.
	if err := store.CheckID(c.opts.ID); err != nil {
		return err
	}
	if err := c.checkTerminal(); err != nil {
		return err
	}
	if err := checkInherited(c.opts.ListenFDs, c.opts.PreserveFDs, c.opts.Streams); err != nil {
		return err
	}
	c.rt.warn(spec.Warnings(c.spec.Process)...)
	rootless := c.rt.rootless()
	var err error
	c.cgroup, err = cgroup.New(c.opts.ID, c.spec, cgroup.Options{
		Rootless: rootless, Disabled: c.rt.CgroupsDisabled, Systemd: c.rt.CgroupsSystemd, Process: c.preamble,
		Owner: cgroupOwner(c.spec),
	})
	if err != nil {
		return err
	}
	if r := c.spec.Linux.IntelRdt; r != nil {
		if c.resctrl, err = resctrl.New(c.opts.ID, r); err != nil {
			return err
		}
	}
	c.rec = &store.Record{
		Version: c.spec.Version, ID: c.opts.ID, Status: store.Creating,
		Bundle: c.path, Rootfs: c.rootfs(), Created: time.Now(), UID: os.Geteuid(),
		Annotations: c.spec.Annotations, CgroupPaths: c.cgroup.Paths(), Unit: c.cgroup.Unit(),
		CgroupsDisabled: c.rt.CgroupsDisabled, Rootless: rootless,
		Securebits: uint8(c.opts.Securebits),
		OwnIDs:     c.ownIDs, SharedPIDs: sharesPIDs(c.spec), Hooks: laterHooks(c.spec.Hooks),
	}
	if c.resctrl != nil {
		c.rec.Resctrl = c.resctrl.Removable()
	}
	if c.rec.Policy, err = c.encodeDecision(); err != nil {
		return err
	}
	if c.dir, err = c.rt.Root.Create(c.opts.ID); err != nil {
		return err
	}
	if err = c.cgroup.CheckUnused(); err == nil {
		if err = c.allocate(); err == nil {
			err = c.dir.Write(c.rec)
		}
	}
	if err != nil {
		_ = c.rt.release(c.opts.ID, c.rec.IDs)
		_ = c.dir.Remove() // what it was made for has failed, and is what the caller has to know
		c.dir.Close()
	}
	return err
}

// prepare makes the plan and does the part of it that comes before the preamble.
func (c *creation) prepare() (map[plan.Slot]*os.File, error) {
	if c.rec.Rootless {
		// What a rootless manager cannot make it leaves out, and the plan depends on that.
		files, err := c.makeCgroup()
		if err != nil {
			return nil, err
		}
		c.early = files
		c.rec.CgroupPaths = c.cgroup.Paths()
	}
	setHome(c.spec.Process, func() []byte { return passwdOfBundle(c.bundle) })
	c.listenEnv()
	if err := c.notifyMount(); err != nil {
		return nil, err
	}
	o := c.rt.facts(c.bundle, c.opts, c.cgroup)
	o.Attached = c.attached
	c.rec.Sealed, c.rec.DeniedNamespaces = o.Seal, uint64(o.SeccompDenies)
	var err error
	if o.SeccompProgram, o.SeccompFlags, err = c.rt.filter(c.spec, o.SeccompDenies, c.rt.cachedSeccomp); err != nil {
		return nil, err
	}
	if c.plan, err = plan.Compile(c.spec, o); err != nil {
		return nil, err
	}
	c.rt.warn(c.plan.Warnings...)
	return c.hostActions()
}

// cloned puts the container's init on record.
func (c *creation) cloned(pid int) error {
	c.pid = pid
	p, err := observe(pid)
	if err != nil {
		return err
	}
	c.rec.PID, c.rec.StartTime = p.pid, p.start
	if err := c.dir.Write(c.rec); err != nil {
		return err
	}
	return c.cgroup.Cloned()
}

// announce tells the caller the process ID of the container's init, in the ways asked for.
func (c *creation) announce(pid int) error {
	if c.opts.PidfdSocket != "" {
		if err := sendPidfd(c.opts.PidfdSocket, process{c.rec.PID, c.rec.StartTime}); err != nil {
			return err
		}
	}
	return writePIDFile(c.opts.PIDFile, pid)
}

// undo removes everything that was made. init is the container's init, a child, or 0.
func (c *creation) undo(init int) {
	if c.console != nil {
		c.console.Close()
	}
	if init != 0 {
		endChild(init)
	}
	var poststop []specs.Hook
	if c.hooked && c.spec.Hooks != nil {
		poststop = c.spec.Hooks.Poststop
	}
	// A failing cleanup is only worth a warning: the error that led here is what the caller needs to see.
	if err := c.rt.destroy(&container{Container: c.dir, rec: c.rec, locked: true}, c.cgroup, poststop); err != nil {
		c.rt.warn("cleaning up: " + err.Error())
	}
	c.dir.Close()
}

// checkTerminal refuses what cannot work: a terminal nobody serves, or a socket that gets none.
func (c *creation) checkTerminal() error {
	stays := c.attached && !c.detach
	return checkTerminal(c.spec.Process != nil && c.spec.Process.Terminal, stays, c.opts.ConsoleSocket, c.opts.Console)
}

// listenEnv tells the payload of the sockets that it inherits, in the words of sd_listen_fds(3). It is
// process 1 of a pid namespace of its own; in any other it could not be told its number beforehand.
func (c *creation) listenEnv() {
	if c.opts.ListenFDs > 0 && c.spec.Process != nil {
		c.spec.Process.Env = append(c.spec.Process.Env,
			"LISTEN_FDS="+strconv.FormatUint(uint64(c.opts.ListenFDs), 10), "LISTEN_PID=1")
	}
}

// hostUser returns the user of a process, by the host's number.
func hostUser(s *specs.Spec, p *specs.Process) uint32 {
	if p == nil {
		return 0
	}
	uid := p.User.UID
	for _, m := range s.Linux.UIDMappings {
		if uid >= m.ContainerID && uid-m.ContainerID < m.Size {
			return m.HostID + (uid - m.ContainerID)
		}
	}
	return uid
}

// sharesPIDs reports whether the container has no pid namespace of its own.
func sharesPIDs(s *specs.Spec) bool {
	for _, ns := range s.Linux.Namespaces {
		if ns.Type == specs.PIDNamespace {
			return ns.Path != ""
		}
	}
	return true
}

// laterHooks returns the points with hooks that run after create.
func laterHooks(h *specs.Hooks) []string {
	if h == nil {
		return nil
	}
	var points []string
	for _, p := range []struct {
		name  string
		hooks []specs.Hook
	}{{"startContainer", h.StartContainer}, {"poststart", h.Poststart}, {"poststop", h.Poststop}} {
		if len(p.hooks) > 0 {
			points = append(points, p.name)
		}
	}
	return points
}

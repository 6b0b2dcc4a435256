package plan

import (
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
)

// CompileExec returns the plan of the process p in the running container that s has made. Both must be valid
// (spec.ValidateProcess, spec.Validate). p is used as it stands: what it lacks (capabilities, labels, user)
// is not taken from s.Process.
//
// Namespaces given by path in s are joined like the others: they are those of the container's init.
func CompileExec(p *specs.Process, s *specs.Spec, o ExecOptions) (*Plan, error) {
	if len(p.Args) == 0 {
		return nil, &fault.Error{Step: "find out what to execute", Origin: "process /args", Err: errMissing,
			Remedy: "name a command"}
	}
	c := &compiler{spec: s, process: p, origin: "process ", o: &Options{ID: o.ID, NoNewKeyring: o.NoNewKeyring,
		PreserveFDs: o.PreserveFDs, Attached: true, CgroupTasks: o.CgroupTasks, CgroupDirectory: o.CgroupDirectory,
		SeccompProgram: o.SeccompProgram, SeccompFlags: o.SeccompFlags, LastCap: o.LastCap, Held: o.Held,
		SetgroupsDenied: o.SetgroupsDenied, Securebits: o.Securebits, SeccompDenies: o.SeccompDenies}}
	c.ns = namespacesOf(s).existing()
	inJoiner := ^CgroupNS
	if o.Sealed { // see JoinContainer
		c.ns.joined |= UserNS
		inJoiner = ^Namespace(0)
	}
	if err := c.credentials(); err != nil {
		return nil, err
	}
	if a := p.ExecCPUAffinity; a != nil && a.Initial != "" {
		c.host = append(c.host, Op{SetAffinity{CPUs: a.Initial, Initial: true}, c.field("/execCPUAffinity/initial")})
	}

	c.givenToJoiner()
	joiner := []Op{{NotDumpable{}, ""}}
	if types := c.ns.joined & inJoiner; types != 0 {
		joiner = append(joiner, Op{JoinContainer{SlotContainer, types}, "/linux/namespaces"})
	}
	// Cloned even where nothing is joined: only a child is in a joined pid namespace, and the plan's second
	// part always belongs to one.
	joiner = append(joiner, Op{Clone{0, c.cgroup()}, ""})

	c.body = make([]Op, 0, 24)
	c.enterContainer(o.Sealed)
	c.add(DropBounding{c.caps.bounding}, c.field("/capabilities/bounding"))
	if !c.ns.has(MountNS) {
		c.give(SlotRoot)
		c.add(Chroot{}, "/root/path")
	}
	c.execTerminal()
	if err := c.beforeStart(); err != nil {
		return nil, err
	}
	c.add(ReportReady{}, "")
	c.add(AwaitStart{}, "")
	c.payload()
	return c.assemble(joiner), nil
}

// givenToJoiner lists the descriptors of the container that is entered.
func (c *compiler) givenToJoiner() {
	for i := range c.o.CgroupTasks {
		c.given = append(c.given, cgroupTasks(i))
	}
	if c.o.CgroupDirectory {
		c.given = append(c.given, SlotCgroup)
	}
	if c.ns.joined&^CgroupNS != 0 {
		c.given = append(c.given, SlotContainer)
	}
}

// enterContainer adds what the process in a container still lacks after the clone.
func (c *compiler) enterContainer(sealed bool) {
	if a := c.process.ExecCPUAffinity; a != nil && a.Final != "" {
		c.add(SetAffinity{CPUs: a.Final}, c.field("/execCPUAffinity/final"))
	}
	if c.ns.has(CgroupNS) && !sealed {
		// By a descriptor of its own: from within the container's user namespace its init cannot be looked
		// into (ptrace(2), "Ptrace access mode checking") while it is not dumpable, before start for one.
		c.give(SlotCgroupNamespace)
		c.add(JoinNamespace{SlotCgroupNamespace, CgroupNS}, c.ns.origin(CgroupNS))
	}
	if c.process.ApparmorProfile != "" || c.process.SelinuxLabel != "" {
		// What is mounted on the container's /proc has parts masked by now.
		c.openProc(false)
	}
}

// execTerminal adds the terminal of a process in a running container, made from its devpts if config.json
// has mounted one.
func (c *compiler) execTerminal() {
	if !c.process.Terminal {
		return
	}
	origin := c.field("/terminal")
	var devpts Slot
	for i := range c.spec.Mounts {
		if m := &c.spec.Mounts[i]; m.Type == "devpts" && path.Clean("/"+m.Destination) == "/dev/pts" {
			devpts = "devpts"
		}
	}
	if devpts != "" {
		c.add(OpenMount{Slot: devpts, Path: "/dev/pts", Type: "devpts"}, origin)
	}
	c.add(c.console(devpts), origin)
	c.add(SendConsole{}, origin)
}

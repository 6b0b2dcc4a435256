package plan

import (
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Compile returns the plan of the create (or run) of a container. s must be valid (spec.Validate); what
// cannot be decided without reading the machine must be in o. An error is a *fault.Error that names the
// field of config.json.
//
// The order of the operations is a security property; see Check for what holds of every plan.
func Compile(s *specs.Spec, o Options) (*Plan, error) {
	if s.Process == nil || len(s.Process.Args) == 0 {
		return nil, &fault.Error{Step: "find out what to execute", Origin: "/process/args", Err: errMissing,
			Cause:  "config.json says nothing about the process of the container",
			Remedy: "set process.args"}
	}
	c := &compiler{spec: s, process: s.Process, o: &o, origin: "/process"}
	c.ns = namespacesOf(s)
	if o.Unprivileged && !c.ns.has(UserNS) {
		return nil, &fault.Error{Step: "make the namespaces", Origin: "/linux/namespaces", Err: errNotPermitted,
			Cause:  "an ordinary user can make containers in a user namespace only, and config.json asks for none",
			Remedy: `add {"type": "user"} with uidMappings and gidMappings (bailey spec --rootless writes them), or run bailey as root`}
	}
	if err := c.credentials(); err != nil {
		return nil, err
	}

	if err := c.checkOwnIDs(); err != nil {
		return nil, err
	}
	// What is done where is decided first; what has to be sent and opened for it is known afterwards.
	c.body = make([]Op, 0, 96)
	c.namespaces()
	if err := c.filesystem(); err != nil {
		return nil, err
	}
	c.hooksBeforePivot()
	c.finishMounts()
	c.add(DropBounding{c.caps.bounding}, c.field("/capabilities/bounding"))
	c.enterRoot()
	c.restrictPaths()
	c.propagateRoot()
	c.warnOwnIDs()
	if err := c.seal(); err != nil {
		return nil, err
	}
	if err := c.beforeStart(); err != nil {
		return nil, err
	}
	c.add(ReportReady{}, "")
	c.add(AwaitStart{c.listener()}, "")
	c.hooksAtStart()
	c.payload()
	return c.assemble(c.joiner()), nil
}

// compiler collects the operations of a plan. The executor's phases are collected apart, because a mount
// that the init attaches is opened by the host long before.
type compiler struct {
	spec    *specs.Spec
	process *specs.Process
	o       *Options
	// origin is what the process's fields are relative to: "/process", or "process " for one given to exec.
	origin   string
	ns       namespaceSet
	caps     capabilitySets
	warnings []string

	// host are operations before the plan is handed over, in order; sent are the slots that they fill
	// for the init.
	host []Op
	sent []Slot
	// sources are the operations of the init that open the sources of mounts, where the host may not.
	sources []Op
	// body are the operations of the init.
	body []Op
	// given are slots that the caller fills.
	given []Slot
	// late are changes to mounts that must wait until nothing is made below them any more.
	late []Op
	// idmaps are the user namespaces made for the ID mappings of mounts.
	idmaps []MakeUserNamespace
	// mapped have the mounts that the host has opened show their owners by the maps of the container.
	mapped []Op
	// devpts is the slot of the container's /dev/pts.
	devpts Slot
}

func (c *compiler) add(a Action, origin string) { c.body = append(c.body, Op{a, origin}) }

// open adds an operation of the host whose result, in slot, goes to the init. What an ordinary user may not do there the
// init does first of all.
func (c *compiler) open(slot Slot, a Action, origin string) {
	if t, ok := a.(OpenTree); ok && c.o.Unprivileged {
		t.Inside = true
		c.sources = append(c.sources, Op{t, origin})
		return
	}
	c.host = append(c.host, Op{a, origin})
	c.sent = append(c.sent, slot)
}

// give has a descriptor of the caller's handed to the init.
func (c *compiler) give(slot Slot) {
	c.given = append(c.given, slot)
	c.sent = append(c.sent, slot)
}

// field returns the origin of a field of the process.
func (c *compiler) field(pointer string) string { return c.origin + pointer }

// at returns the JSON pointer of element i of the list at pointer.
func at(pointer string, i int) string { return pointer + "/" + strconv.Itoa(i) }

// escape returns key as a part of a JSON pointer (RFC 6901).
func escape(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
}

// inBundle returns p, which starts at the bundle if it is relative, as an absolute path. It is not cleaned:
// "x/.." is not "." where x is a symbolic link.
func (c *compiler) inBundle(p string) string {
	if path.IsAbs(p) {
		return p
	}
	return c.o.Bundle + "/" + p
}

// listener returns where the init waits for its start.
func (c *compiler) listener() Slot {
	if c.o.Attached {
		return ""
	}
	c.give(SlotListener)
	return SlotListener
}

// maxSent is how many descriptors one SendDescriptors hands over: less than SCM_MAX_FD (253).
const maxSent = 200

// assemble puts the phases together. The first operations of the init are those that need the host: they
// give it its identity and the descriptors that the rest works on.
func (c *compiler) assemble(joiner []Op) *Plan {
	ops := make([]Op, 0, len(c.host)+len(joiner)+len(c.body)+4)
	ops = append(ops, c.host...)
	ops = append(ops, joiner...)
	ops = append(ops, c.sources...)
	// Early, so that no memory of the container's is used under the caller's score.
	var score []Op
	if p := c.process.OOMScoreAdj; p != nil {
		score = []Op{{SetOOMScore{*p}, c.field("/oomScoreAdj")}}
	}
	if c.ns.made&UserNS != 0 {
		maps := Op{c.idMaps(), "/linux/uidMappings"}
		if c.o.Unprivileged {
			ops = append(append(ops, Op{SetDumpable{true}, maps.Origin}), score...)
			ops = append(ops, maps, Op{SetDumpable{false}, maps.Origin})
			score = nil
		} else {
			ops = append(ops, maps)
		}
	}
	if c.ns.has(UserNS) {
		ops = append(ops, Op{BecomeRoot{c.keepsGroups()}, c.ns.origin(UserNS)})
	}
	ops = append(ops, score...)
	if r := c.spec.Linux.IntelRdt; r != nil {
		join := JoinResctrl{Class: r.ClosID, Schemata: Schemata(r), Monitor: r.EnableMonitoring, Existing: c.origin != "/process"}
		ops = append(ops, Op{join, "/linux/intelRdt"})
	}
	ops = append(ops, c.mapped...)
	sent := make([]Slot, 0, len(c.sent)+c.o.CgroupTasks)
	for i := range c.o.CgroupTasks {
		sent = append(sent, cgroupTasks(i))
	}
	for rest := append(sent, c.sent...); len(rest) > 0; {
		n := min(len(rest), maxSent)
		ops = append(ops, Op{SendDescriptors{rest[:n:n]}, ""})
		rest = rest[n:]
	}
	ops = append(ops, c.joinCgroups()...)
	return &Plan{Ops: append(ops, c.body...), Given: c.given, Warnings: c.warnings}
}

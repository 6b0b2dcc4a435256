package plan

import (
	"maps"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/spec"
)

// namespaceKinds are the kinds of namespaces in the order in which they are joined. The user namespace
// comes first because it may own the others; the mount namespace last, since joining it changes the root
// directory.
var namespaceKinds = [...]struct {
	kind Namespace
	name specs.LinuxNamespaceType
	// file is the name in /proc/PID/ns.
	file string
}{
	{UserNS, specs.UserNamespace, "user"},
	{PIDNS, specs.PIDNamespace, "pid"},
	{NetworkNS, specs.NetworkNamespace, "net"},
	{IPCNS, specs.IPCNamespace, "ipc"},
	{UTSNS, specs.UTSNamespace, "uts"},
	{CgroupNS, specs.CgroupNamespace, "cgroup"},
	{TimeNS, specs.TimeNamespace, "time"},
	{MountNS, specs.MountNamespace, "mnt"},
}

// namespaceSet is what linux.namespaces asks for.
type namespaceSet struct {
	// made are new ones, joined are existing ones.
	made, joined Namespace
	// index is the place in linux.namespaces, in the order of namespaceKinds.
	index [len(namespaceKinds)]int
	path  [len(namespaceKinds)]string
}

func namespacesOf(s *specs.Spec) namespaceSet {
	var set namespaceSet
	for i, ns := range s.Linux.Namespaces {
		for k, kind := range namespaceKinds {
			if kind.name != ns.Type {
				continue
			}
			set.index[k], set.path[k] = i, ns.Path
			if ns.Path == "" {
				set.made |= kind.kind
			} else {
				set.joined |= kind.kind
			}
		}
	}
	return set
}

// existing returns the set as it is once the container runs: what was made for it is there to be joined.
func (n namespaceSet) existing() namespaceSet {
	n.joined, n.made = n.joined|n.made, 0
	return n
}

// has reports whether the container has a namespace of this kind, made or joined.
func (n namespaceSet) has(kind Namespace) bool { return (n.made|n.joined)&kind != 0 }

// origin returns the JSON pointer of a namespace that the container has.
func (n namespaceSet) origin(kind Namespace) string {
	for k := range namespaceKinds {
		if namespaceKinds[k].kind == kind {
			return at("/linux/namespaces", n.index[k])
		}
	}
	return ""
}

// pathOf returns the path of a namespace, "" for one that was made.
func (n namespaceSet) pathOf(kind Namespace) string {
	for k := range namespaceKinds {
		if namespaceKinds[k].kind == kind {
			return n.path[k]
		}
	}
	return ""
}

// namespaceSlot is the slot of a namespace that is given by path.
func namespaceSlot(kind Namespace) Slot { return Slot("ns/" + kind.names()[0]) }

// joiner opens the namespaces given by path and returns the operations of stage 0.
func (c *compiler) joiner() []Op {
	ops := make([]Op, 0, 4+len(namespaceKinds))
	ops = append(ops, Op{NotDumpable{}, ""})
	var host []Op
	var joins []Op
	for k, kind := range namespaceKinds {
		if c.ns.joined&kind.kind == 0 {
			continue
		}
		slot := namespaceSlot(kind.kind)
		origin := at("/linux/namespaces", c.ns.index[k])
		host = append(host, Op{OpenNamespace{slot, kind.kind, c.ns.path[k]}, origin})
		if kind.kind != CgroupNS {
			joins = append(joins, Op{JoinNamespace{slot, kind.kind}, origin})
		}
	}
	if c.o.CgroupTasks > 0 || c.o.CgroupDirectory {
		host = append(host, Op{CreateCgroup{Tasks: c.o.CgroupTasks, Directory: c.o.CgroupDirectory, Unit: c.o.CgroupUnit}, "/linux/cgroupsPath"})
	}
	c.host = append(host, c.host...)

	ops = append(ops, joins...)
	// The cgroup namespace has to wait until the init is in its cgroup, the time namespace until its offsets
	// are written.
	made := c.ns.made &^ (CgroupNS | TimeNS)
	return append(ops, Op{Clone{made, c.cgroup()}, "/linux/namespaces"})
}

// joinCgroups moves the init into the v1 cgroups.
func (c *compiler) joinCgroups() []Op {
	ops := make([]Op, 0, c.o.CgroupTasks)
	for i := range c.o.CgroupTasks {
		ops = append(ops, Op{JoinCgroup{cgroupTasks(i)}, "/linux/cgroupsPath"})
	}
	return ops
}

// cgroupTasks is the slot of the tasks file of the container's v1 cgroup i.
func cgroupTasks(i int) Slot { return Slot("cgroup/" + strconv.Itoa(i)) }

func (c *compiler) cgroup() Slot {
	if c.o.CgroupDirectory {
		return SlotCgroup
	}
	return ""
}

// idMaps returns the mappings of a new user namespace.
func (c *compiler) idMaps() WriteIDMaps {
	return WriteIDMaps{UIDs: idMappings(c.spec.Linux.UIDMappings), GIDs: idMappings(c.spec.Linux.GIDMappings)}
}

// namespaces adds what is set inside the namespaces other than the mount namespace.
func (c *compiler) namespaces() {
	l := c.spec.Linux
	c.moveNetworkDevices()
	switch {
	case c.ns.made&CgroupNS != 0:
		c.add(Unshare{CgroupNS}, c.ns.origin(CgroupNS))
	case c.ns.joined&CgroupNS != 0:
		// After the clone: on a hierarchy with nsdelegate nobody can be put into a cgroup from inside a
		// cgroup namespace which the source is not in (cgroup_procs_write_permission).
		c.sent = append(c.sent, SlotCgroupNamespace)
		c.add(JoinNamespace{SlotCgroupNamespace, CgroupNS}, c.ns.origin(CgroupNS))
	}
	newTime := c.ns.made&TimeNS != 0
	if newTime || c.o.Seal || c.ns.made&UserNS != 0 && len(c.o.NamespaceLimits) > 0 || c.ownSysctls() || c.process.ApparmorProfile != "" || c.process.SelinuxLabel != "" {
		c.openProc(c.ns.made&PIDNS != 0)
	}
	if newTime {
		c.timeNamespace()
	}
	if c.ns.made&NetworkNS != 0 {
		c.add(LoopbackUp{}, c.ns.origin(NetworkNS))
	}
	c.hostNames()
	// Sorted, because a map has no order and two plans of one config must be equal.
	for _, key := range slices.Sorted(maps.Keys(l.Sysctl)) {
		if _, _, limit := limitOf(key, l.Sysctl[key]); limit && c.o.Seal {
			continue // it would be in the way of the seal, which writes it in the end
		}
		c.sysctl(spec.SysctlPath(key), c.ownGroups(spec.SysctlPath(key), l.Sysctl[key]), "/linux/sysctl/"+escape(key))
	}
}

// openProc makes a procfs in SlotProc. fresh says that the pid namespace belongs to the container's user
// namespace and /proc there is not masked yet. Otherwise the kernel refuses a new procfs to a user
// namespace, and the host's own is handed in: what is written to (attr, sysctl) is the same there.
func (c *compiler) openProc(fresh bool) {
	if fresh || !c.ns.has(UserNS) && !c.o.InUserNamespace {
		c.add(OpenProc{}, "")
		return
	}
	c.open(SlotProc, OpenDirectory{SlotProc, "/proc"}, "")
}

// timeNamespace makes the time namespace.
func (c *compiler) timeNamespace() {
	c.add(Unshare{TimeNS}, c.ns.origin(TimeNS))
	if offsets := c.spec.Linux.TimeOffsets; len(offsets) > 0 {
		var w WriteTimeOffsets
		for _, clock := range slices.Sorted(maps.Keys(offsets)) {
			o := offsets[clock]
			w.Offsets = append(w.Offsets,
				clock+" "+strconv.FormatInt(o.Secs, 10)+" "+strconv.FormatUint(uint64(o.Nanosecs), 10))
		}
		if c.o.Unprivileged {
			c.add(SetDumpable{true}, "/linux/timeOffsets")
		}
		c.add(w, "/linux/timeOffsets")
		if c.o.Unprivileged {
			c.add(SetDumpable{false}, "/linux/timeOffsets")
		}
	}
	c.add(EnterTimeNamespace{}, c.ns.origin(TimeNS))
}

// moveNetworkDevices hands devices of the host's to the container's network namespace. It is asked for and
// not done by the init, because only the host may give them away.
func (c *compiler) moveNetworkDevices() {
	devices := c.spec.Linux.NetDevices
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		inside := devices[name].Name
		if inside == "" {
			inside = name
		}
		c.add(MoveNetworkDevice{Name: name, Inside: inside}, "/linux/netDevices/"+escape(name))
	}
}

package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/spec"
)

// What a container needs that bailey has given a user namespace (Options.OwnIDs), and that shares other namespaces with
// the machine or with a pod: over those it has no power, and what its configuration wants of them is done outside.

// checkOwnIDs refuses what a user namespace of the container's own makes impossible.
func (c *compiler) checkOwnIDs() error {
	if !c.o.OwnIDs {
		return nil
	}
	const remedy = ", or start it with its user namespace as configured (--userns config)"
	switch {
	case c.ns.joined&CgroupNS != 0:
		return &fault.Error{Step: "join the cgroup namespace", Origin: c.ns.origin(CgroupNS), Err: errNotPermitted,
			Cause:  "the container's user namespace, which bailey has given it, has no power over the cgroup namespace that it is to share with others",
			Remedy: "give it a cgroup namespace of its own" + remedy}
	case c.ns.made&MountNS == 0:
		return &fault.Error{Step: "make the container's mounts", Origin: "/linux/namespaces", Err: errNotPermitted,
			Cause:  "the container's user namespace, which bailey has given it, has no power over the mount namespace that it is to share with others",
			Remedy: "give it a mount namespace of its own" + remedy}
	case c.keepsGroups():
		return &fault.Error{Step: "keep the caller's supplementary groups", Origin: "/annotations/" + escape(keepGroupsAnnotation), Err: errNotPermitted,
			Cause:  "the container has IDs of its own, and through the caller's groups it would reach files that belong to others",
			Remedy: "leave the annotation out" + remedy}
	}
	return nil
}

// hostNames sets the names of the UTS namespace, outside where it is shared: who joins a pod's may say once more what it
// is called.
func (c *compiler) hostNames() {
	shared := c.o.OwnIDs && c.ns.made&UTSNS == 0
	if name := c.spec.Hostname; name != "" && shared {
		c.sysctl("kernel/hostname", name, "/hostname")
	} else if name != "" {
		c.add(SetHostname{name}, "/hostname")
	}
	if name := c.spec.Domainname; name != "" && shared {
		c.sysctl("kernel/domainname", name, "/domainname")
	} else if name != "" {
		c.add(SetDomainname{name}, "/domainname")
	}
}

// ownDevice has a device node made outside, as config.json describes it, and attached; false where the host's own will do.
func (c *compiler) ownDevice(d MakeDevice, slot Slot, origin string) (bool, error) {
	if !c.o.OwnIDs || slices.Contains(defaultDevices[:], d) {
		return false, nil
	}
	uid, okUID := hostID(c.spec.Linux.UIDMappings, d.UID, 1)
	gid, okGID := hostID(c.spec.Linux.GIDMappings, d.GID, 1)
	if !okUID || !okGID {
		return false, &fault.Error{Step: "make the device " + d.Path, Origin: origin, Err: errInvalid,
			Cause:  "its owner is not one of the IDs of the user namespace that bailey has given the container",
			Remedy: "give it more: userns_size in a policy, or --userns auto:size=N"}
	}
	c.open(slot, NewDevice{Slot: slot, Device: d.Device, Mode: d.Mode, UID: uid, GID: gid}, origin)
	c.add(Attach{Slot: slot, Path: d.Path, Create: CreateFile}, origin)
	return true, nil
}

// seenInside has the maps of a mount, whose host IDs are meant as those that a container without a user namespace sees, lead
// to those that it has.
func (c *compiler) seenInside(m mountMap) (mountMap, bool) {
	if !c.o.OwnIDs {
		return m, true
	}
	for _, side := range []struct {
		list  *[]IDMapping
		inner []specs.LinuxIDMapping
	}{{&m.uids, c.spec.Linux.UIDMappings}, {&m.gids, c.spec.Linux.GIDMappings}} {
		*side.list = slices.Clone(*side.list)
		for i, line := range *side.list {
			host, ok := hostID(side.inner, line.Host, line.Size)
			if !ok {
				return m, false
			}
			(*side.list)[i].Host = host
		}
	}
	return m, true
}

// hostID returns the first of the host's IDs that count IDs of the container have from id on.
func hostID(maps []specs.LinuxIDMapping, id, count uint32) (uint32, bool) {
	for _, m := range maps {
		if id >= m.ContainerID && uint64(id)+uint64(count) <= uint64(m.ContainerID)+uint64(m.Size) {
			return m.HostID + (id - m.ContainerID), true
		}
	}
	return 0, false
}

// outside returns the action that makes a filesystem in the caller's namespaces, nil where the container's init can make
// it itself.
func (c *compiler) outside(m *mountJob) (*NewFilesystemIn, error) {
	if !c.o.OwnIDs {
		return nil, nil
	}
	var kind Namespace
	switch m.Type {
	case "sysfs":
		kind = NetworkNS
	case "mqueue":
		kind = IPCNS
	case "proc":
		if c.ns.made&PIDNS == 0 {
			return nil, m.fault(errNotPermitted, "the container's user namespace, which bailey has given it, has no power over the PID namespace "+
				"that it shares with others, so the kernel does not let it mount a procfs of that",
				"give it a PID namespace of its own, or start it with its user namespace as configured (--userns config)")
		}
		return nil, nil
	default:
		return nil, nil
	}
	if c.ns.made&kind != 0 {
		return nil, nil
	}
	return &NewFilesystemIn{Slot: m.slot, Kind: kind, Namespace: c.shared(kind), Type: m.Type, Source: m.Source}, nil
}

// shared returns the slot of a namespace that the container joins, "" for the caller's.
func (c *compiler) shared(kind Namespace) Slot {
	if c.ns.joined&kind != 0 {
		return namespaceSlot(kind)
	}
	return ""
}

// sysctl adds the writing of a kernel parameter, outside where it is one of a namespace that the container has no power
// over.
func (c *compiler) sysctl(path, value, origin string) {
	if kind, outside := c.outsideSysctl(path); outside {
		c.host = append(c.host, Op{WriteSysctlIn{Kind: kind, Namespace: c.shared(kind), Key: path, Value: value}, origin})
		return
	}
	c.add(WriteSysctl{path, value}, origin)
}

// ownGroups returns a kernel parameter's value for the groups that the container has: engines that give it no user namespace let
// all groups there can be send echo requests, and the kernel takes none that is not mapped.
func (c *compiler) ownGroups(path, value string) string {
	const first, all = "0", "2147483647"
	if fields := strings.Fields(value); !c.o.OwnIDs || c.ns.made&NetworkNS == 0 || path != "net/ipv4/ping_group_range" || !slices.Equal(fields, []string{first, all}) {
		return value
	}
	var last uint32
	for _, m := range c.spec.Linux.GIDMappings {
		last = max(last, m.ContainerID+m.Size-1)
	}
	return first + " " + strconv.FormatUint(uint64(min(last, 1<<31-1)), 10)
}

// outsideSysctl returns which namespace a kernel parameter is of, and whether it is written outside of the container.
func (c *compiler) outsideSysctl(path string) (kind Namespace, outside bool) {
	kind = IPCNS
	switch {
	case strings.HasPrefix(path, "net/"):
		kind = NetworkNS
	case strings.HasPrefix(path, "user/"):
		kind = UserNS
	case path == "kernel/domainname", path == "kernel/hostname":
		kind = UTSNS
	}
	return kind, c.o.OwnIDs && kind != UserNS && c.ns.made&kind == 0
}

// ownSysctls reports whether the init writes some of the kernel parameters.
func (c *compiler) ownSysctls() bool {
	for key := range c.spec.Linux.Sysctl {
		if _, outside := c.outsideSysctl(spec.SysctlPath(key)); !outside {
			return true
		}
	}
	return false
}

// warnOwnIDs says which capabilities of the configuration are of no use over namespaces that are not the container's.
func (c *compiler) warnOwnIDs() {
	if !c.o.OwnIDs {
		return
	}
	for _, over := range []struct {
		kind Namespace
		set  uint64
	}{
		{NetworkNS, 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_NET_BROADCAST},
		{IPCNS, 1<<unix.CAP_IPC_OWNER | 1<<unix.CAP_IPC_LOCK},
	} {
		set := over.set & c.caps.bounding
		if over.kind == NetworkNS && c.spec.Linux.Sysctl["net.ipv4.ip_unprivileged_port_start"] == "0" {
			set &^= 1 << unix.CAP_NET_BIND_SERVICE // everybody may
		}
		if set == 0 || c.ns.made&over.kind != 0 {
			continue
		}
		c.warnings = append(c.warnings, "config.json "+c.field("/capabilities")+": over the "+over.kind.String()+
			" namespace, which the container shares, these have no effect, since it has a user namespace of its own: "+
			strings.Join(CapabilityNames(set), ", "))
	}
}

package plan

import (
	"strings"

	"golang.org/x/sys/unix"
)

// What a container needs that bailey has given a user namespace (Options.OwnIDs), and that shares other namespaces with
// the machine or with a pod: over those it has no power, and what its configuration wants of them is done outside.

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
	kind := IPCNS
	switch {
	case strings.HasPrefix(path, "net/"):
		kind = NetworkNS
	case strings.HasPrefix(path, "user/"):
		kind = UserNS
	case path == "kernel/domainname", path == "kernel/hostname":
		kind = UTSNS
	}
	if c.o.OwnIDs && kind != UserNS && c.ns.made&kind == 0 {
		c.host = append(c.host, Op{WriteSysctlIn{Kind: kind, Namespace: c.shared(kind), Key: path, Value: value}, origin})
		return
	}
	c.add(WriteSysctl{path, value}, origin)
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

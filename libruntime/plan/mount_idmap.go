package plan

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// mountMap is an ID mapping of a mount.
type mountMap struct{ uids, gids []IDMapping }

// idmapped returns the slot of the user namespace by whose maps the mount is to show the owners of files, "" where
// nothing asks for that. Mounts of one mapping share a namespace.
//
// The mapping is that of the mount itself, else that of the option (crun's "idmap=uids=0-1-10;gids=0-1-10"), else that
// of the container's user namespace.
func (c *compiler) idmapped(m *mountJob) (Slot, error) {
	if o := &m.options.idmap; c.o.OwnIDs && m.isBind() && !o.asked && len(m.UIDMappings)+len(m.GIDMappings) == 0 {
		if m.unmapped || m.options.remount || m.options.propagationOnly(m.Type) {
			return "", nil
		}
		o.asked, o.recursive = true, m.options.recursive
	}
	o := m.options.idmap
	if !o.asked && len(m.UIDMappings)+len(m.GIDMappings) == 0 {
		return "", nil
	}
	if c.o.Unprivileged {
		return "", m.fault(errNotPermitted, "only root may map the IDs of a filesystem that it has mounted", "remove the mapping, or run bailey as root")
	}
	if m.options.remount || m.options.propagationOnly(m.Type) {
		return "", m.fault(errInvalid, "the IDs of what is mounted already cannot be mapped any more", "map them in the mount itself")
	}
	var mapping mountMap
	switch {
	case strings.HasPrefix(m.Type, "cgroup"):
		return "", m.fault(errInvalid, "cgroups show the owners that they have", "remove the mapping")
	case len(m.UIDMappings)+len(m.GIDMappings) > 0:
		var ok bool
		if mapping, ok = c.seenInside(mountMap{idMappings(m.UIDMappings), idMappings(m.GIDMappings)}); !ok {
			return "", m.fault(errInvalid, "its ID mappings lead to IDs that the user namespace which bailey has given the container has not",
				"give it more: userns_size in a policy, or --userns auto:size=N")
		}
	case o.mapping != "":
		var err error
		if mapping, err = parseIDMap(o.mapping, idMappings(c.spec.Linux.UIDMappings), idMappings(c.spec.Linux.GIDMappings), c.o.OwnIDs); err != nil {
			return "", m.fault(errInvalid, "the mapping "+strconv.Quote(o.mapping)+" is not understood: "+err.Error(),
				`write "idmap=uids=0-100000-65536;gids=0-100000-65536", several ranges separated by "#"`)
		}
	case !m.isBind():
		// It belongs to the container's user namespace, whose maps apply already.
		return "", nil
	case c.ns.joined&UserNS != 0 && (c.ns.pathOf(UserNS) != "" || len(c.spec.Linux.UIDMappings) == 0):
		return namespaceSlot(UserNS), nil
	case c.ns.made&UserNS != 0:
		m.mapSource = true // its own namespace will do, and is there anyway
		return "", nil
	default:
		mapping = mountMap{idMappings(c.spec.Linux.UIDMappings), idMappings(c.spec.Linux.GIDMappings)}
	}
	for _, known := range c.idmaps {
		if slices.Equal(known.UIDs, mapping.uids) && slices.Equal(known.GIDs, mapping.gids) {
			return known.Slot, nil
		}
	}
	ns := MakeUserNamespace{Slot: Slot("idmap/" + strconv.Itoa(len(c.idmaps))), UIDs: mapping.uids, GIDs: mapping.gids}
	c.idmaps = append(c.idmaps, ns)
	c.host = append(c.host, Op{ns, m.origin})
	return ns.Slot, nil
}

func idMappings(l []specs.LinuxIDMapping) []IDMapping {
	m := make([]IDMapping, len(l))
	for i, e := range l {
		m[i] = IDMapping{Container: e.ContainerID, Host: e.HostID, Size: e.Size}
	}
	return m
}

// parseIDMap reads the value of the option idmap: "uids=0-1-10#10-11-10;gids=0-100-10". The numbers of a range are its
// first ID in the filesystem, the ID on the host that it is shown as, and its size. With "@" before them the second is
// an ID in the container, whose mappings uids and gids are; inside says that it always is.
func parseIDMap(value string, uids, gids []IDMapping, inside bool) (mountMap, error) {
	var m mountMap
	for part := range strings.SplitSeq(value, ";") {
		name, ranges, _ := strings.Cut(part, "=")
		list, container := &m.uids, uids
		switch name {
		case "uids":
		case "gids":
			list, container = &m.gids, gids
		default:
			return m, fmt.Errorf("neither uids nor gids: %q", part)
		}
		if len(*list) > 0 {
			return m, fmt.Errorf("%s twice", name)
		}
		for r := range strings.SplitSeq(ranges, "#") {
			line, err := parseIDRange(r, container, inside)
			if err != nil {
				return m, err
			}
			*list = append(*list, line)
		}
	}
	if len(m.uids) == 0 || len(m.gids) == 0 {
		return m, errors.New("it takes both uids and gids")
	}
	return m, nil
}

func parseIDRange(text string, container []IDMapping, inside bool) (IDMapping, error) {
	numbers, relative := strings.CutPrefix(text, "@")
	var n [3]uint32
	parts := strings.Split(numbers, "-")
	if len(parts) != len(n) {
		return IDMapping{}, fmt.Errorf("not three numbers: %q", text)
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return IDMapping{}, fmt.Errorf("not a number from 0 to 4294967295: %q", p)
		}
		n[i] = uint32(v)
	}
	m := IDMapping{Container: n[0], Host: n[1], Size: n[2]}
	if m.Size == 0 {
		return m, fmt.Errorf("a range of no IDs: %q", text)
	}
	if !relative && !inside {
		return m, nil
	}
	for _, c := range container {
		if m.Host >= c.Container && uint64(m.Host)+uint64(m.Size) <= uint64(c.Container)+uint64(c.Size) {
			m.Host = c.Host + (m.Host - c.Container)
			return m, nil
		}
	}
	return m, fmt.Errorf("no single range of the container's user namespace has all the IDs of %q", text)
}

package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	// maxMapLines is UID_GID_MAP_MAX_EXTENTS of the kernel.
	maxMapLines = 340
	// noID is (uid_t)-1: system calls take it for "leave as it is", so it is nobody's ID.
	noID = 1<<32 - 1
)

// validateIDMaps checks linux.uidMappings and linux.gidMappings (config-linux.md, "User namespace
// mappings") against what the kernel takes (user_namespaces(7)).
//
// A user namespace that is joined by path has its mappings already. Engines repeat them nevertheless, so they
// are not refused; whether they agree with the namespace is for the caller to find out, as it means
// reading the namespace.
func validateIDMaps(s *specs.Spec) error {
	uids, gids := s.Linux.UIDMappings, s.Linux.GIDMappings
	ns := namespace(s, specs.UserNamespace)
	if ns == nil {
		for _, m := range []struct {
			field string
			lines []specs.LinuxIDMapping
		}{{"uidMappings", uids}, {"gidMappings", gids}} {
			if len(m.lines) > 0 {
				return because(bad(at("linux", m.field), "%s needs a user namespace", m.field),
					"without one there is nothing that the mapping could be the mapping of",
					`add {"type": "user"} to linux.namespaces, or remove uidMappings and gidMappings`)
			}
		}
		return nil
	}
	if ns.Path == "" && len(uids) == 0 && len(gids) == 0 {
		return because(bad("/linux/uidMappings", "a new user namespace needs uidMappings and gidMappings"),
			"in a user namespace without them nobody is root",
			`add both, such as {"containerID": 0, "hostID": 100000, "size": 65536}; or have bailey choose: --userns auto`)
	}
	return validateMapPair(uids, gids, "/linux")
}

// validateMapPair checks the two maps of a user namespace or an idmapped mount, which is at base.
func validateMapPair(uids, gids []specs.LinuxIDMapping, base string) error {
	switch {
	case len(uids) == 0 && len(gids) == 0:
		return nil
	case len(uids) == 0:
		return bad(base+"/uidMappings", "uidMappings is missing, but gidMappings is given")
	case len(gids) == 0:
		return bad(base+"/gidMappings", "gidMappings is missing, but uidMappings is given")
	}
	if err := validateMap(uids, base+"/uidMappings"); err != nil {
		return err
	}
	return validateMap(gids, base+"/gidMappings")
}

// validateMap checks one ID map.
func validateMap(lines []specs.LinuxIDMapping, origin string) error {
	if len(lines) > maxMapLines {
		return because(bad(origin, "%d mapping lines, the kernel takes %d", len(lines), maxMapLines),
			"a user namespace's map has room for no more (UID_GID_MAP_MAX_EXTENTS)", joinLines)
	}
	text := 0
	for i, m := range lines {
		text += digits(m.ContainerID) + digits(m.HostID) + digits(m.Size) + len("  \n")
		if m.Size == 0 {
			return because(bad(origin+at(i, "size"), "size 0 is not allowed, a mapping holds at least one ID"),
				fmt.Sprintf("line %d maps nothing, and the kernel refuses a map with such a line as a whole", i),
				"remove the line, or give it the number of IDs that follow each other")
		}
		for _, f := range []struct {
			name  string
			first uint32
		}{{"containerID", m.ContainerID}, {"hostID", m.HostID}} {
			if uint64(f.first)+uint64(m.Size) > noID {
				return because(bad(origin+at(i, f.name), "%s %d with size %d goes beyond 4294967294, the last usable ID",
					f.name, f.first, m.Size), "IDs are numbers of 32 bits, and the last of them means nobody",
					fmt.Sprintf("make size %d or less", noID-uint64(f.first)))
			}
		}
	}
	// The map is written at once, and the kernel takes less than a page (map_write in user_namespace.c),
	// which long numbers exceed well before 340 lines.
	if page := unix.Getpagesize(); text >= page {
		return because(bad(origin, "the %d mapping lines are %d bytes of text, the kernel takes %d", len(lines), text, page-1),
			"a map is written with one write of less than a page, and these numbers are long", joinLines)
	}
	if err := overlap(lines, origin, "containerID", func(m *specs.LinuxIDMapping) uint32 { return m.ContainerID }); err != nil {
		return err
	}
	return overlap(lines, origin, "hostID", func(m *specs.LinuxIDMapping) uint32 { return m.HostID })
}

const joinLines = "join lines that adjoin on both sides, or use fewer and larger ranges"

func span(first, size uint32) string {
	return fmt.Sprintf("%d to %d", first, uint64(first)+uint64(size)-1)
}

// spans shows what the lines of a map have in the container.
func spans(lines []specs.LinuxIDMapping) string {
	const most = 3
	var parts []string
	for i, m := range lines {
		if i == most {
			parts = append(parts, fmt.Sprintf("%d more", len(lines)-most))
			break
		}
		parts = append(parts, span(m.ContainerID, m.Size))
	}
	return strings.Join(parts, ", ")
}

func digits(n uint32) int {
	var buf [10]byte
	return len(strconv.AppendUint(buf[:0], uint64(n), 10))
}

// overlap refuses lines that map an ID twice, on the side that first returns.
func overlap(lines []specs.LinuxIDMapping, origin, field string, first func(*specs.LinuxIDMapping) uint32) error {
	if len(lines) < 2 {
		return nil
	}
	order := make([]int, len(lines))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(first(&lines[a]), first(&lines[b])) })
	for k := 1; k < len(order); k++ {
		i, j := order[k-1], order[k]
		if uint64(first(&lines[i]))+uint64(lines[i].Size) > uint64(first(&lines[j])) {
			return because(bad(origin+at(max(i, j), field), "%s %d is mapped twice, in lines %d and %d",
				field, first(&lines[j]), min(i, j), max(i, j)),
				fmt.Sprintf("the %ss of lines %d and %d overlap: %s and %s; the kernel maps each ID once",
					field, i, j, span(first(&lines[i]), lines[i].Size), span(first(&lines[j]), lines[j].Size)),
				"shorten one of the lines, or move it")
		}
	}
	return nil
}

// mapped reports whether id of the container is in lines.
func mapped(id uint32, lines []specs.LinuxIDMapping) bool {
	for _, m := range lines {
		if id >= m.ContainerID && id-m.ContainerID < m.Size {
			return true
		}
	}
	return false
}

package idmap

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/explain"
	"github.com/bailey-oci/bailey/libruntime/plan"
)

// explainWrite says why the kernel refuses a map that bailey writes itself.
func (k kind) explainWrite(m *explain.Machine, pid int, maps []plan.IDMapping) explain.Why {
	if outside := unmapped(k, maps); outside != "" {
		return explain.Why{Cause: outside, Remedy: "map only IDs that exist here, or have the outer container given more of them (its own ID mappings, " +
			"or the lines in /etc/subuid and /etc/subgid of who started it)"}
	}
	if why := acrossLines(k, maps); why != (explain.Why{}) {
		return why
	}
	if os.Geteuid() != 0 {
		return m.AppArmor(pid)
	}
	number, name := k.capability()
	if why := m.Lacks(number, strings.ToUpper(name), false, "mapping other IDs than bailey's own"); why != (explain.Why{}) {
		return why
	}
	for _, line := range maps {
		if line.Host == 0 {
			return m.Lacks(unix.CAP_SETFCAP, "CAP_SETFCAP", false, "mapping the ID 0 of the host")
		}
	}
	return explain.Why{}
}

// acrossLines explains a mapping that the kernel refuses although its IDs exist here: they have to lie in one line of the map that
// bailey itself has.
func acrossLines(k kind, maps []plan.IDMapping) explain.Why {
	own, err := os.ReadFile("/proc/self/" + k.file)
	if err != nil {
		return explain.Why{}
	}
	lines := parse(string(own))
	for _, m := range maps {
		first, size := uint64(m.Host), uint64(m.Size)
		if !slices.ContainsFunc(lines, func(s span) bool { return first >= s.first && first+size <= s.first+s.size }) {
			return explain.Why{
				Cause: fmt.Sprintf("the host IDs %s lie in more than one line of /proc/self/%s (%s), and the kernel wants each line of a map in one",
					describe([]span{{first, size}}), k.file, describe(lines)),
				Remedy: "split the line where those lines meet"}
		}
	}
	return explain.Why{}
}

// ExplainOverlap says why IDs of the host are mapped twice (the error at pointer), where that is because an ordinary user's own
// ID is in the range that the user is granted, so that mapping both does.
func ExplainOverlap(pointer string, s *specs.Spec) explain.Why {
	for _, of := range []struct {
		kind
		maps []specs.LinuxIDMapping
	}{{users, s.Linux.UIDMappings}, {groups, s.Linux.GIDMappings}} {
		if os.Geteuid() == 0 || !strings.HasPrefix(pointer, of.origin+"/") || !strings.HasSuffix(pointer, "/hostID") {
			continue
		}
		if g := of.grants(); mappedTwice(of.maps, g.own) {
			return g.explainOwn()
		}
	}
	return explain.Why{}
}

func (g grants) explainOwn() explain.Why {
	granted := parseSubIDs(g.text, g.name, g.uid)
	if !covered(granted, g.own, 1) {
		return explain.Why{}
	}
	return explain.Why{
		Cause: fmt.Sprintf("%d is the own ID of who runs bailey, and lies in what %s grants (%s), too", g.own, g.file, describe(granted)),
		Remedy: fmt.Sprintf("as root: change the user's line in %s to a range without the own ID; or map the range in two lines, before and after %d",
			g.file, g.own)}
}

// mappedTwice reports whether an ID of the host is in more than one line.
func mappedTwice(maps []specs.LinuxIDMapping, id uint64) bool {
	n := 0
	for _, m := range maps {
		if id >= uint64(m.HostID) && id < uint64(m.HostID)+uint64(m.Size) {
			n++
		}
	}
	return n > 1
}

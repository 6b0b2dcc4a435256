package plan

import (
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// CompileMounts returns the plan of mounting spec.Mounts in the running container that s, but for its mounts, describes;
// or with remove, of unmounting them. The process that does it ends with the plan; it is never started.
func CompileMounts(s *specs.Spec, remove bool, o ExecOptions, links map[int]string) (*Plan, error) {
	c := &compiler{spec: s, process: &specs.Process{}, o: &Options{ID: o.ID, Bundle: o.Bundle, SourceLinks: links, NoMountLabel: o.NoMountLabel}}
	c.ns = namespacesOf(s).existing()
	c.given = append(c.given, SlotContainer)
	c.add(OpenMount{Slot: SlotRoot, Path: "/"}, "")
	for i := range s.Mounts {
		if remove {
			c.add(Unmount{Path: path.Clean("/" + s.Mounts[i].Destination)}, at("/mounts", i))
			continue
		}
		if err := c.mount(i); err != nil {
			return nil, err
		}
	}
	c.body = append(c.body, c.late...)
	c.add(ReportReady{}, "")
	c.add(AwaitStart{}, "")
	joiner := []Op{{NotDumpable{}, ""}, {JoinContainer{SlotContainer, c.ns.joined &^ CgroupNS}, "/linux/namespaces"}, {Clone{0, ""}, ""}}
	if c.ns.has(UserNS) && len(s.Linux.UIDMappings) == 0 {
		// What a mapping without IDs of its own is that of.
		c.host = append([]Op{{OpenNamespace{namespaceSlot(UserNS), UserNS, c.ns.pathOf(UserNS)}, c.ns.origin(UserNS)}}, c.host...)
	}
	return c.assemble(joiner), nil
}

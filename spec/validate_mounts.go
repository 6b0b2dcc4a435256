package spec

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// isTypeless reports whether a mount with option o needs no filesystem type, because it takes an existing
// mount or changes one.
func isTypeless(o string) bool {
	switch o {
	case "bind", "rbind", "remount",
		"shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable":
		return true
	}
	return false
}

// isBind reports whether m makes a new bind mount. Changing the flags of one takes no source.
func isBind(m *specs.Mount) bool {
	if slices.Contains(m.Options, "remount") {
		return false
	}
	return m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

// validateMounts checks config.md, "Mounts". A relative destination is allowed; the specification wants it
// taken as relative to the container's root.
func validateMounts(s *specs.Spec) error {
	for i := range s.Mounts {
		m := &s.Mounts[i]
		if m.Destination == "" {
			return bad(at("mounts", i, "destination"), "the destination is missing")
		}
		for _, f := range []struct{ name, value string }{
			{"destination", m.Destination}, {"type", m.Type}, {"source", m.Source},
		} {
			if err := noNUL(f.value, func() string { return at("mounts", i, f.name) }); err != nil {
				return err
			}
		}
		if err := noNULs(m.Options, func(j int) string { return at("mounts", i, "options", j) }); err != nil {
			return err
		}
		if m.Type == "" && !slices.ContainsFunc(m.Options, isTypeless) {
			return bad(at("mounts", i, "type"), "the mount on %q has neither a type nor the option bind", m.Destination)
		}
		if m.Source == "" && isBind(m) {
			return bad(at("mounts", i, "source"), "the bind mount on %q has no source", m.Destination)
		}
		if err := validateMountMap(s, i); err != nil {
			return err
		}
	}
	return nil
}

// validateMountMap checks the ID mapping of mount i (config.md, uidMappings and the option idmap).
func validateMountMap(s *specs.Spec, i int) error {
	m := &s.Mounts[i]
	if len(m.UIDMappings)+len(m.GIDMappings) > 0 {
		return validateMapPair(m.UIDMappings, m.GIDMappings, at("mounts", i))
	}
	for j, o := range m.Options {
		// With "idmap=" the option carries the mapping itself; reading it is for whoever takes options apart.
		if (o == "idmap" || o == "ridmap") && namespace(s, specs.UserNamespace) == nil {
			return bad(at("mounts", i, "options", j), "option %s needs uidMappings and gidMappings or a user namespace", o)
		}
	}
	return nil
}

// validateLinuxRest checks the small fields of linux that belong to mounts and labels, and the cgroup path.
func validateLinuxRest(s *specs.Spec) error {
	l := s.Linux
	switch l.RootfsPropagation {
	case "", "shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable":
	default:
		return bad("/linux/rootfsPropagation", "propagation %q is unknown, allowed are shared, slave, private, unbindable "+
			"and the same with an r before them", l.RootfsPropagation)
	}
	for _, list := range []struct {
		field string
		paths []string
	}{{"maskedPaths", l.MaskedPaths}, {"readonlyPaths", l.ReadonlyPaths}} {
		for i, p := range list.paths {
			if err := absolute(p, func() string { return at("linux", list.field, i) }); err != nil {
				return err
			}
			// What covers the root is not what the process, which is in the root already, gets to see.
			if path.Clean(p) == "/" {
				return bad(at("linux", list.field, i), "the root itself cannot be covered; root.readonly makes it read-only")
			}
		}
	}
	if err := oneLine(l.MountLabel, fixed("/linux/mountLabel")); err != nil {
		return err
	}
	if err := oneLine(l.CgroupsPath, fixed("/linux/cgroupsPath")); err != nil {
		return err
	}
	if slices.Contains(strings.Split(l.CgroupsPath, "/"), "..") {
		return bad("/linux/cgroupsPath", `cgroupsPath %q contains "..", which could leave the cgroup mount`, l.CgroupsPath)
	}
	if p := l.Personality; p != nil {
		if p.Domain != specs.PerLinux && p.Domain != specs.PerLinux32 {
			return bad("/linux/personality/domain", "personality %q is unknown, allowed are LINUX and LINUX32", p.Domain)
		}
		if len(p.Flags) > 0 {
			return bad("/linux/personality/flags/0", "flag %q is unknown, no personality flags are defined", p.Flags[0])
		}
	}
	return nil
}

package spec

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// maxName is __NEW_UTS_LEN: the bytes that the kernel keeps of a host or domain name.
const maxName = 64

// maxOffset is half of KTIME_SEC_MAX, the seconds above which the kernel refuses a clock (ERANGE).
const maxOffset = 9223372036 / 2

var namespaceTypes = []specs.LinuxNamespaceType{
	specs.PIDNamespace, specs.NetworkNamespace, specs.MountNamespace, specs.IPCNamespace,
	specs.UTSNamespace, specs.UserNamespace, specs.CgroupNamespace, specs.TimeNamespace,
}

// namespace returns the entry of the given type, nil where the container stays in the runtime's namespace.
func namespace(s *specs.Spec, t specs.LinuxNamespaceType) *specs.LinuxNamespace {
	for i := range s.Linux.Namespaces {
		if s.Linux.Namespaces[i].Type == t {
			return &s.Linux.Namespaces[i]
		}
	}
	return nil
}

// validateNamespaces checks config-linux.md, "Namespaces". It runs before all that call namespace.
func validateNamespaces(s *specs.Spec) error {
	if s.Linux == nil {
		return bad("/linux", "linux is missing")
	}
	for i, ns := range s.Linux.Namespaces {
		if !slices.Contains(namespaceTypes, ns.Type) {
			return bad(at("linux", "namespaces", i, "type"), "namespace type %q is unknown, allowed are %s",
				ns.Type, choice(namespaceTypes))
		}
		if first := namespace(s, ns.Type); first != &s.Linux.Namespaces[i] {
			return bad(at("linux", "namespaces", i), "the %s namespace is given twice", ns.Type)
		}
		if ns.Path != "" {
			if err := absolute(ns.Path, func() string { return at("linux", "namespaces", i, "path") }); err != nil {
				return err
			}
		}
	}
	return nil
}

// validateNames checks hostname and domainname (config.md).
func validateNames(s *specs.Spec) error {
	for _, n := range []struct{ field, value string }{
		{"hostname", s.Hostname}, {"domainname", s.Domainname},
	} {
		if n.value == "" {
			continue
		}
		if len(n.value) > maxName {
			return bad(at(n.field), "%s %q has %d bytes, at most %d are allowed", n.field, n.value, len(n.value), maxName)
		}
		if err := noNUL(n.value, func() string { return at(n.field) }); err != nil {
			return err
		}
		if namespace(s, specs.UTSNamespace) == nil {
			return bad(at(n.field), "%s %q needs a uts namespace, it would rename the host", n.field, n.value)
		}
	}
	return nil
}

// validateTimeOffsets checks config-linux.md, "Offset for Time Namespace".
func validateTimeOffsets(s *specs.Spec) error {
	if len(s.Linux.TimeOffsets) == 0 {
		return nil
	}
	const origin = "/linux/timeOffsets"
	switch ns := namespace(s, specs.TimeNamespace); {
	case ns == nil:
		return bad(origin, "timeOffsets needs a time namespace")
	case ns.Path != "":
		return bad(origin, "timeOffsets cannot be set in the existing time namespace %q, only in a new one", ns.Path)
	}
	for clock, o := range s.Linux.TimeOffsets {
		if clock != "monotonic" && clock != "boottime" {
			return bad(at("linux", "timeOffsets", clock), "clock %q is unknown, allowed are monotonic and boottime", clock)
		}
		if o.Secs < -maxOffset || o.Secs > maxOffset {
			return bad(at("linux", "timeOffsets", clock, "secs"), "offset %d is out of range, allowed are %d to %d seconds",
				o.Secs, -maxOffset, maxOffset)
		}
		if o.Nanosecs >= 1e9 {
			return bad(at("linux", "timeOffsets", clock, "nanosecs"), "offset %d is out of range, allowed are 0 to 999999999 nanoseconds", o.Nanosecs)
		}
	}
	return nil
}

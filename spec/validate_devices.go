package spec

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	maxMajor = 1<<12 - 1 // MINORBITS is 20, which leaves 12 of the kernel's 32 bits
	maxMinor = 1<<20 - 1
	maxMode  = 0o177777 // permissions and the type bits, which some engines leave in
	maxIface = 15       // IFNAMSIZ without its NUL
)

// validateDevices checks linux.devices (config-linux.md, "Devices").
func validateDevices(s *specs.Spec) error {
	for i, dev := range s.Linux.Devices {
		if err := absolute(dev.Path, func() string { return at("linux", "devices", i, "path") }); err != nil {
			return err
		}
		switch dev.Type {
		case "b", "c", "u":
			if dev.Major < 0 || dev.Major > maxMajor {
				return bad(at("linux", "devices", i, "major"), "major %d is out of range, allowed are 0 to %d", dev.Major, maxMajor)
			}
			if dev.Minor < 0 || dev.Minor > maxMinor {
				return bad(at("linux", "devices", i, "minor"), "minor %d is out of range, allowed are 0 to %d", dev.Minor, maxMinor)
			}
		case "p":
		default:
			return bad(at("linux", "devices", i, "type"), "device type %q is unknown, allowed are b, c, u and p", dev.Type)
		}
		if dev.FileMode != nil && *dev.FileMode > maxMode {
			return bad(at("linux", "devices", i, "fileMode"), "mode %d has bits that are neither permissions nor a file type",
				*dev.FileMode)
		}
		for _, id := range []struct {
			field string
			id    *uint32
		}{{"uid", dev.UID}, {"gid", dev.GID}} {
			if id.id != nil && *id.id == noID {
				return bad(at("linux", "devices", i, id.field), "%s %d is nobody's ID", id.field, *id.id)
			}
		}
	}
	return nil
}

// validateNetDevices checks linux.netDevices (config-linux.md, "Network Devices").
func validateNetDevices(s *specs.Spec) error {
	if len(s.Linux.NetDevices) == 0 {
		return nil
	}
	if namespace(s, specs.NetworkNamespace) == nil {
		return bad("/linux/netDevices", "netDevices needs a network namespace to move them to")
	}
	owner := make(map[string]string, len(s.Linux.NetDevices))
	for name, dev := range s.Linux.NetDevices {
		if why := badIface(name); why != "" {
			return bad(at("linux", "netDevices", name), "network device name %q %s", name, why)
		}
		inside := name
		if dev.Name != "" {
			inside = dev.Name
			// A "%d" at the end is a template, for which the kernel finds a number.
			if why := badIface(strings.TrimSuffix(inside, "%d")); why != "" || len(inside) > maxIface {
				if why == "" {
					why = longIface
				}
				return bad(at("linux", "netDevices", name, "name"), "network device name %q %s", inside, why)
			}
		}
		if first, ok := owner[inside]; ok && !strings.HasSuffix(inside, "%d") {
			return bad(at("linux", "netDevices", max(name, first)), "devices %q and %q would both be named %q",
				min(name, first), max(name, first), inside)
		}
		owner[inside] = name
	}
	return nil
}

const longIface = "has more than 15 bytes"

// badIface says why name is not one of a network device (dev_valid_name of the kernel), or returns "".
func badIface(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > maxIface:
		return longIface
	case name == "." || name == "..":
		return "is not allowed"
	case strings.ContainsAny(name, "/:% \t\n\v\f\r\x00"):
		return "has a character that is not allowed"
	}
	return ""
}

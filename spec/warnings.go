package spec

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// capabilities are the names of capabilities(7) up to Linux 6.x.
var capabilities = []string{
	"CAP_AUDIT_CONTROL", "CAP_AUDIT_READ", "CAP_AUDIT_WRITE", "CAP_BLOCK_SUSPEND", "CAP_BPF",
	"CAP_CHECKPOINT_RESTORE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER",
	"CAP_FSETID", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_KILL", "CAP_LEASE", "CAP_LINUX_IMMUTABLE",
	"CAP_MAC_ADMIN", "CAP_MAC_OVERRIDE", "CAP_MKNOD", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST", "CAP_NET_RAW", "CAP_PERFMON", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP",
	"CAP_SETUID", "CAP_SYSLOG", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_CHROOT", "CAP_SYS_MODULE",
	"CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_SYS_RESOURCE",
	"CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_WAKE_ALARM",
}

// UnknownCapabilities returns the names in c that are no capabilities, each once, sorted. They cannot be
// granted, which the specification wants to be a warning and no error (config.md, "capabilities").
func UnknownCapabilities(c *specs.LinuxCapabilities) []string {
	if c == nil {
		return nil
	}
	var unknown []string
	for _, set := range [][]string{c.Bounding, c.Effective, c.Inheritable, c.Permitted, c.Ambient} {
		for _, name := range set {
			if _, ok := slices.BinarySearch(capabilities, name); !ok {
				unknown = append(unknown, name)
			}
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

// Warnings returns one line for each thing that p asks for and will not get, and that is no error by the
// specification or by the custom of engines. p may be nil.
func Warnings(p *specs.Process) []string {
	if p == nil {
		return nil
	}
	var w []string
	if c := p.Capabilities; c != nil {
		for _, name := range UnknownCapabilities(c) {
			w = append(w, fmt.Sprintf("capability %q is unknown and is not granted", name))
		}
		// What capset(2) and PR_CAP_AMBIENT_RAISE refuse. Where nothing at all is inheritable, an ambient set is what an engine
		// has not thought of when it emptied that one (`runc spec` of old, Buildah up to 1.29 for every command): users could
		// do nothing about a line for each capability.
		for _, rule := range []struct {
			set, needs string
			have, of   []string
		}{
			{"effective", "permitted", c.Effective, c.Permitted},
			{"inheritable", "bounding", c.Inheritable, c.Bounding},
			{"ambient", "permitted", c.Ambient, c.Permitted},
			{"ambient", "inheritable", c.Ambient, c.Inheritable},
		} {
			if rule.needs == "inheritable" && len(rule.of) == 0 {
				continue
			}
			for _, name := range rule.have {
				if !slices.Contains(rule.of, name) {
					w = append(w, fmt.Sprintf("capability %q is %s, but not %s, and is not granted", name, rule.set, rule.needs))
				}
			}
		}
	}
	if p.ConsoleSize != nil && !p.Terminal {
		w = append(w, "consoleSize is ignored, as the process has no terminal")
	}
	return w
}

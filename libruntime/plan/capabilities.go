package plan

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
)

// capabilityNames are the kernel's capabilities by number (include/uapi/linux/capability.h), up to
// Linux 5.9, which made the last one so far.
var capabilityNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE",
	"CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT",
	"CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE",
	"CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
	"CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
}

const capSysAdmin = 1 << 21

// The numbers of the other capabilities that code names.
const (
	capKill, capLinuxImmutable, capNetBindService, capNetBroadcast, capNetAdmin, capNetRaw = 5, 9, 10, 11, 12, 13
	capIPCLock, capIPCOwner, capSysModule, capSysRawIO, capSysPtrace, capSysPacct          = 14, 15, 16, 17, 19, 20
	capSysBoot, capSysNice, capSysResource, capSysTime, capSysTTYConfig, capMknod          = 22, 23, 24, 25, 26, 27
	capLease, capAuditWrite, capAuditControl, capMACOverride, capMACAdmin, capSyslog       = 28, 29, 30, 32, 33, 34
	capWakeAlarm, capBlockSuspend, capAuditRead, capPerfmon, capBPF, capCheckpointRestore  = 35, 36, 37, 38, 39, 40
)

// CapabilityNumber returns the kernel's number of a capability such as "CAP_KILL".
func CapabilityNumber(name string) (number int, ok bool) {
	for i, n := range capabilityNames {
		if n == name {
			return i, true
		}
	}
	return 0, false
}

// CapabilityNames returns the names of the capabilities in set (bit n: capability n), in the order of their
// numbers. One without a name is written as a number.
func CapabilityNames(set uint64) []string {
	names := make([]string, 0, bits.OnesCount64(set))
	for ; set != 0; set &= set - 1 {
		names = append(names, capabilityName(bits.TrailingZeros64(set)))
	}
	return names
}

// capabilitySets are the five sets of a thread.
type capabilitySets struct{ bounding, effective, permitted, inheritable, ambient uint64 }

// credentials decides which capabilities the payload gets. A process without capabilities in config.json
// gets none.
//
// Names that the kernel does not know are left out, and so is what the kernel would refuse (effective
// beyond permitted, inheritable beyond bounding, ambient beyond either); the specification wants a warning
// for these (spec.Warnings). Permitted beyond bounding is left out as well: no execve(2) would let it
// through. What bailey itself does not hold cannot be granted; by the specification that is a warning, too.
func (c *compiler) credentials() error {
	known := uint64(1)<<(c.o.LastCap+1) - 1
	held := c.o.Held & known
	if c.ns.has(UserNS) || c.o.Seal {
		// Whoever makes or joins a user namespace has all of them in it.
		held = known
	}
	var wanted capabilitySets
	var warned uint64
	if p := c.process.Capabilities; p != nil {
		for _, set := range []struct {
			names []string
			field string
			to    *uint64
		}{
			{p.Bounding, "bounding", &wanted.bounding},
			{p.Permitted, "permitted", &wanted.permitted},
			{p.Effective, "effective", &wanted.effective},
			{p.Inheritable, "inheritable", &wanted.inheritable},
			{p.Ambient, "ambient", &wanted.ambient},
		} {
			for i, name := range set.names {
				number, ok := CapabilityNumber(name)
				if !ok || number > c.o.LastCap {
					continue
				}
				bit := uint64(1) << number
				// A bounding set is a limit and no wish.
				if (held|warned)&bit == 0 && set.field != "bounding" {
					warned |= bit
					c.warnNotHeld(name, at(c.field("/capabilities/"+set.field), i))
				}
				*set.to |= bit
			}
		}
	}
	c.caps.bounding = wanted.bounding & held
	c.caps.permitted = wanted.permitted & c.caps.bounding
	c.caps.effective = wanted.effective & c.caps.permitted
	c.caps.inheritable = wanted.inheritable & c.caps.bounding
	c.caps.ambient = wanted.ambient & c.caps.permitted & c.caps.inheritable
	if c.spec.Linux.Seccomp != nil && len(c.o.SeccompProgram) == 0 {
		return &fault.Error{Step: "load the system-call filter", Origin: "/linux/seccomp", Err: errMissing,
			Cause: "the profile has not been compiled"}
	}
	if c.keepsSysAdmin() && held&capSysAdmin == 0 {
		return &fault.Error{Step: "load the system-call filter", Origin: "/linux/seccomp", Err: errNotPermitted,
			Cause: "without no_new_privs the kernel takes a filter only from a process with CAP_SYS_ADMIN, which bailey " +
				"does not have itself",
			Remedy: "set process.noNewPrivileges to true, or add a user namespace"}
	}
	return nil
}

// warnNotHeld says that a capability cannot be granted.
func (c *compiler) warnNotHeld(name, origin string) {
	c.warnings = append(c.warnings, fmt.Sprintf("config.json %s: capability %q is not granted: it is not in bailey's own "+
		"bounding set, as in a container or under a service manager that has dropped it; a container with a user "+
		"namespace can have it", origin, name))
}

// keepsSysAdmin reports whether CAP_SYS_ADMIN must be kept until the filter is loaded: seccomp(2) asks for
// it where no_new_privs is not set.
func (c *compiler) keepsSysAdmin() bool {
	return len(c.o.SeccompProgram) > 0 && !c.process.NoNewPrivileges
}

func (s capabilitySets) action(bits Securebits) SetCapabilities {
	return SetCapabilities{Effective: s.effective, Permitted: s.permitted, Inheritable: s.inheritable, Ambient: s.ambient,
		Securebits: bits}
}

// withSysAdmin returns the sets with CAP_SYS_ADMIN in force. As it is added to neither the bounding nor the
// ambient set, no execve(2) takes it along.
func (s capabilitySets) withSysAdmin() capabilitySets {
	s.permitted |= capSysAdmin
	s.effective |= capSysAdmin
	return s
}

func capabilityName(n int) string {
	if n < len(capabilityNames) {
		return capabilityNames[n]
	}
	var b strings.Builder
	b.WriteString("capability ")
	b.WriteByte(byte('0' + n/10))
	b.WriteByte(byte('0' + n%10))
	return b.String()
}

package plan

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// The sealed payload.
//
// A payload with CAP_SYS_ADMIN over its mount namespace can unmount the masks of config.json, make read-only paths
// writable and mount a procfs without either; and one that may make user namespaces has CAP_SYS_ADMIN in those,
// whatever was taken from it. The kernel protects mounts from those who did not make them in one case: where they come
// from a mount namespace of a more privileged user namespace (mount_namespaces(7), "Restrictions on mount
// namespaces"). So the payload is put into a second user and mount namespace, and the ones around it are left to nobody.
//
// The limits of a user namespace (namespaces(7), /proc/sys/user) can be raised by who has CAP_SYS_RESOURCE in it, and
// are looked up in the one that a process is in. What is made below is charged at every level up to the top. So the
// limits are those of the namespace around the sealed one, where the payload has no capability and whose files it
// does not see. Where that is not the container's own (it shares the machine's, or joins one), there is none to put
// limits on, and one more is made in between.
//
// User namespaces are limited to none, and so are cgroup namespaces: the latter's owner may mount the cgroup filesystem
// anew, which the kernel does not compare with what is mounted (it does for procfs and sysfs, SB_I_USERNS_VISIBLE).
//
// The namespaces that the container had before (net, uts, ipc, pid, cgroup) belong to the outer user namespace:
// over them, over filesystems mounted there, and over the machine, the payload has no capability. See SealFits.

// seal adds what seals the payload: after everything that is done to mounts, and before anything that a new user
// namespace would undo (bounding set, securebits, capabilities) or that should belong to the inner one (the session
// keyring). Hooks of the container's image run inside of it.
func (c *compiler) seal() error {
	if !c.o.Seal {
		return c.limitNamespaces()
	}
	if c.ns.made&MountNS == 0 {
		return &fault.Error{Step: "seal the container", Origin: "/linux/namespaces", Err: errNotPermitted,
			Cause:  "the mounts that a seal protects are those of a mount namespace, and the container has none of its own",
			Remedy: `add {"type": "mount"} without a path to linux.namespaces, or do without the seal`}
	}
	if c.o.NoPivot {
		return &fault.Error{Step: "seal the container", Origin: "--no-pivot", Err: errNotPermitted,
			Cause: "without pivot_root the machine's mounts stay below those of the container, its procfs among them, which " +
				"has no masks; so the kernel would let the payload mount another one",
			Remedy: "do without one of both"}
	}
	limits, err := c.sealLimits()
	if err != nil {
		return err
	}
	uids, gids := c.o.UIDs, c.o.GIDs
	if c.ns.made&UserNS != 0 {
		uids, gids = idMappings(c.spec.Linux.UIDMappings), idMappings(c.spec.Linux.GIDMappings)
	} else if c.ns.joined&UserNS != 0 && len(uids) == 0 {
		return &fault.Error{Step: "seal the container", Origin: c.ns.origin(UserNS), Err: errMissing,
			Cause:  "which IDs there are in the user namespace that it joins is not known",
			Remedy: "give its path as /proc/PID/ns/user, or do without the seal"}
	}
	uids, gids = identity(uids), identity(gids)

	shared := slices.DeleteFunc(rlimits(c.process.Rlimits), func(l Rlimit) bool { return !ofUserNamespace(l.Resource) })
	if len(shared) > 0 {
		c.add(RaiseRlimits{shared}, c.field("/rlimits"))
	}
	// Its files in /proc belong to the machine's root otherwise, who is nobody in a user namespace.
	dumpable := c.ns.has(UserNS)
	if dumpable {
		c.add(SetDumpable{true}, "")
	}
	if c.ns.made&UserNS == 0 {
		c.add(Seal{Namespaces: UserNS, UIDs: uids, GIDs: gids}, "")
	}
	c.add(Seal{Namespaces: UserNS | MountNS, UIDs: uids, GIDs: gids, Limits: limits}, "")
	if dumpable {
		c.add(SetDumpable{false}, "")
	}
	c.add(DropBounding{c.caps.bounding}, c.field("/capabilities/bounding"))
	c.add(ProveSeal{Masked: c.spec.Linux.MaskedPaths, Readonly: c.spec.Linux.ReadonlyPaths}, "")
	c.warnSeal()
	return nil
}

// ofUserNamespace reports whether a resource is limited for all processes of a user namespace together, too.
func ofUserNamespace(resource int) bool {
	switch resource {
	case unix.RLIMIT_NPROC, unix.RLIMIT_MEMLOCK, unix.RLIMIT_SIGPENDING, unix.RLIMIT_MSGQUEUE:
		return true
	}
	return false
}

// sealLimits returns the limits of the namespace around the sealed one: those asked for, by the caller or by
// linux.sysctl, whose values would be in the way of the seal if they were written earlier; and none of the two
// kinds that would break the seal.
func (c *compiler) sealLimits() ([]NamespaceLimit, error) {
	asked := c.askedLimits()
	for _, kind := range [...]Namespace{UserNS, CgroupNS} {
		if most := asked[kind]; most > 0 {
			return nil, &fault.Error{Step: fmt.Sprintf("limit %s namespaces to %d", kind, most), Err: errNotPermitted,
				Cause:  "in a sealed container no " + kind.String() + " namespace can be made at all",
				Remedy: "limit them to 0, or do without the seal"}
		}
	}
	asked[UserNS], asked[CgroupNS] = 0, 0
	return namespaceLimits(asked)
}

// identity returns a map to themselves of the IDs that exist inside of maps, of all IDs if there are no maps. It has the
// same lines: the kernel takes no line that reaches from one line of the map around it into another, even where they
// adjoin (map_id_range_down).
func identity(maps []IDMapping) []IDMapping {
	if len(maps) == 0 {
		// The last one, 1<<32-1, stands for none.
		return []IDMapping{{Size: 1<<32 - 1}}
	}
	out := make([]IDMapping, 0, len(maps))
	for _, m := range maps {
		out = append(out, IDMapping{m.Container, m.Container, m.Size})
	}
	return out
}

// isSandbox reports whether containerd or CRI-O says that the container holds a pod's namespaces.
func isSandbox(s *specs.Spec) bool {
	return s.Annotations["io.kubernetes.cri.container-type"] == "sandbox" || s.Annotations["io.kubernetes.cri-o.ContainerType"] == "sandbox"
}

// sealedPropagation says what of the propagation of mounts a seal does away with, "" if nothing.
func sealedPropagation(s *specs.Spec) string {
	lost := func(kind string) bool {
		return strings.HasSuffix(kind, "shared") || strings.HasSuffix(kind, "unbindable")
	}
	const sealed = ": all mounts of a sealed container are slaves or private"
	if kind := s.Linux.RootfsPropagation; lost(kind) {
		return "linux.rootfsPropagation is " + kind + sealed
	}
	for i := range s.Mounts {
		if slices.ContainsFunc(s.Mounts[i].Options, lost) {
			return "the mount on " + s.Mounts[i].Destination + " is to be shared or unbindable" + sealed
		}
	}
	return ""
}

// warnSeal says what of the configuration the seal has done away with: the propagation of mounts, and what capabilities
// of the payload were for.
func (c *compiler) warnSeal() {
	if what := sealedPropagation(c.spec); what != "" {
		c.warnings = append(c.warnings, what)
	}
	losses := sealLosses(c.spec)
	parts := make([]string, 0, len(losses))
	for _, over := range slices.Sorted(maps.Keys(losses)) {
		parts = append(parts, over+": "+strings.Join(CapabilityNames(losses[over]), ", "))
	}
	if len(parts) > 0 {
		c.warnings = append(c.warnings, "config.json "+c.field("/capabilities")+
			": in the sealed container these have no effect over "+strings.Join(parts, "; over "))
	}
}

// overKinds says over what, besides the user namespace that a process is in and the files whose owners are mapped
// there, a capability has power. Those that are not listed need nothing else: file permissions (CHOWN, DAC_OVERRIDE,
// DAC_READ_SEARCH, FOWNER, FSETID), the IDs and sets of processes (SETUID, SETGID, SETPCAP, SETFCAP, SYS_CHROOT) are
// asked of the caller's own user namespace (capable_wrt_inode_uidgid, ns_capable(current_user_ns())).
var overKinds = [...]struct {
	over Namespace // 0: the machine, which the capabilities of no container with a user namespace have power over
	set  uint64
}{
	// SYS_ADMIN: sethostname, setdomainname. Mounting works in the sealed namespace, but not of what belongs to the
	// outer ones.
	{UTSNS, capSysAdmin},
	// netlink, ioctls, sysctls; sockets; ports below net.ipv4.ip_unprivileged_port_start.
	{NetworkNS, 1<<capNetAdmin | 1<<capNetRaw | 1<<capNetBindService | 1<<capNetBroadcast | capSysAdmin},
	// Permissions of System V objects; SHM_LOCK.
	{IPCNS, 1<<capIPCOwner | 1<<capIPCLock | capSysAdmin},
	// reboot(2); clone3's set_tid and ns_last_pid; a new procfs.
	{PIDNS, 1<<capSysBoot | 1<<capCheckpointRestore | capSysAdmin},
	// capable(), which asks the initial user namespace: clocks, devices, modules, limits and priorities beyond what
	// is allowed, locked memory, the audit and kernel logs, immutable files, leases, BPF.
	{0, 1<<capLinuxImmutable | 1<<capIPCLock | 1<<capSysModule | 1<<capSysRawIO | 1<<capSysPacct | capSysAdmin |
		1<<capSysBoot | 1<<capSysNice | 1<<capSysResource | 1<<capSysTime | 1<<capSysTTYConfig | 1<<capMknod |
		1<<capLease | 1<<capAuditWrite | 1<<capAuditControl | 1<<capMACOverride | 1<<capMACAdmin | 1<<capSyslog |
		1<<capWakeAlarm | 1<<capBlockSuspend | 1<<capAuditRead | 1<<capPerfmon | 1<<capBPF | 1<<capCheckpointRestore},
}

// sealLosses returns the capabilities that lose what they are for when the container is sealed, by what they lose it
// over. What counts is every capability that a process of the payload can come by: the bounding set, which limits what
// set-user-ID programs and files with capabilities give, with the others.
func sealLosses(s *specs.Spec) map[string]uint64 {
	p := s.Process
	if p == nil || p.Capabilities == nil {
		return nil
	}
	var held uint64
	for _, names := range [...][]string{p.Capabilities.Bounding, p.Capabilities.Permitted, p.Capabilities.Effective,
		p.Capabilities.Inheritable, p.Capabilities.Ambient} {
		for _, name := range names {
			if n, ok := CapabilityNumber(name); ok {
				held |= 1 << n
			}
		}
	}
	ns := namespacesOf(s)
	losses := make(map[string]uint64)
	for _, k := range overKinds {
		set := k.set & held
		over := "the " + k.over.String() + " namespace"
		switch {
		case k.over == 0:
			over = "the machine"
			if ns.has(UserNS) {
				continue
			}
		case !ns.has(k.over):
			over = "the machine's " + k.over.String() + " namespace"
			if ns.has(UserNS) {
				continue
			}
		case k.over == NetworkNS && ns.made&NetworkNS != 0 && s.Linux.Sysctl["net.ipv4.ip_unprivileged_port_start"] == "0":
			set &^= 1 << capNetBindService // everybody may
		}
		if set != 0 {
			losses[over] |= set
		}
	}
	if ns.made&PIDNS == 0 && !ns.has(UserNS) {
		if set := held & (1<<capKill | 1<<capSysPtrace | 1<<capSysNice); set != 0 {
			losses["processes outside of the container"] |= set
		}
	}
	return losses
}

// SealFits reports whether the payload can be sealed without losing anything that its configuration asks for, and if
// not, why. It is what "auto" goes by. It does not fit:
//
//   - a capability whose power is over a namespace that stays outside of the seal, or over the machine
//     (overKinds), wherever the payload could come by it;
//   - a mount namespace that is not the container's own, whose mounts would not be what is sealed, and a user namespace
//     that is joined, whose other members the container shares IDs and limits with;
//   - a pod's sandbox: who joins the user namespace of its process is in the inner one, and has no capability over the
//     other namespaces of the pod;
//   - mounts that are shared or unbindable: in a less privileged mount namespace all of them are slaves or private;
//   - a mount of the machine's /proc, beside which masks of the container's own hide nothing: the kernel refuses a new
//     procfs only where none without masks is to be seen;
//   - a limit above 0 of user or cgroup namespaces in linux.sysctl, which says that they are wanted.
func SealFits(s *specs.Spec) (fits bool, reason string) {
	ns := namespacesOf(s)
	switch {
	case ns.made&MountNS == 0:
		return false, "the container has no mount namespace of its own"
	case ns.joined&UserNS != 0:
		return false, "the container joins a user namespace, which it shares with others"
	case isSandbox(s):
		return false, "the container is a pod's sandbox, whose namespaces the pod's containers join"
	}
	if what := sealedPropagation(s); what != "" {
		return false, what
	}
	for _, m := range s.Mounts {
		recursive := slices.Contains(m.Options, "rbind")
		bind := recursive || m.Type == "bind" || slices.Contains(m.Options, "bind")
		if source := path.Clean(m.Source); bind && (source == "/proc" || source == "/" && recursive) {
			return false, "the mount on " + m.Destination + " shows a procfs without masks, so that another one could be mounted"
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Linux.Sysctl)) {
		kind, most, ok := limitOf(key, s.Linux.Sysctl[key])
		if ok && (kind == UserNS || kind == CgroupNS) && most > 0 {
			return false, "linux.sysctl allows " + kind.String() + " namespaces: in a sealed container there are none"
		}
	}
	losses := sealLosses(s)
	for _, over := range slices.Sorted(maps.Keys(losses)) {
		return false, strings.Join(CapabilityNames(losses[over]), ", ") + " would have no effect over " + over
	}
	return true, ""
}

package plan

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// generator makes random configurations that are valid, and options to compile them with. The same seed
// makes the same ones.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 0))} }

// one reports true in one of n cases.
func (g generator) one(n int) bool { return g.IntN(n) == 0 }

// pick returns a random element.
func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

// some returns a random part of list, in its order.
func some[T any](g generator, list []T) []T {
	var part []T
	for _, e := range list {
		if g.one(3) {
			part = append(part, e)
		}
	}
	return part
}

// config returns a valid configuration.
func (g generator) config() *specs.Spec {
	s := &specs.Spec{Version: "1.3.0", Root: &specs.Root{Path: pick(g, "rootfs", "/images/a"), Readonly: g.one(2)},
		Linux: &specs.Linux{}}
	g.namespaces(s)
	s.Process = g.process(s)
	g.mounts(s)
	l := s.Linux
	l.RootfsPropagation = pick(g, "", "", "shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable",
		"runbindable")
	l.MaskedPaths = some(g, []string{"/proc/kcore", "/proc/acpi", "/sys/firmware", "/etc/shadow"})
	l.ReadonlyPaths = some(g, []string{"/proc/sys", "/proc/bus", "/usr"})
	if g.one(4) {
		l.MountLabel = "system_u:object_r:container_file_t:s0:c1,c2"
	}
	if g.one(3) {
		l.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	}
	for i := range g.IntN(4) {
		mode := os.FileMode(g.IntN(0o1000))
		id := uint32(g.IntN(3))
		l.Devices = append(l.Devices, specs.LinuxDevice{Path: pick(g, "/dev/d", "/dev/null", "/x/y") + strconv.Itoa(i),
			Type: pick(g, "c", "b", "u", "p"), Major: int64(g.IntN(200)), Minor: int64(g.IntN(200)), FileMode: &mode,
			UID: &id, GID: &id})
	}
	if g.one(5) {
		l.Personality = &specs.LinuxPersonality{Domain: pick(g, specs.PerLinux, specs.PerLinux32)}
	}
	if g.one(5) {
		l.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0",
			Flags: some(g, []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes, specs.MpolFNumaBalancing})}
	}
	g.hooks(s)
	return s
}

func (g generator) namespaces(s *specs.Spec) {
	l := s.Linux
	for _, kind := range namespaceKinds {
		switch g.IntN(4) {
		case 0, 1:
			l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: kind.name})
		case 2:
			l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: kind.name, Path: "/run/ns/" + kind.file})
		}
	}
	g.Shuffle(len(l.Namespaces), func(i, j int) { l.Namespaces[i], l.Namespaces[j] = l.Namespaces[j], l.Namespaces[i] })
	ns := namespacesOf(s)
	if ns.made&UserNS != 0 {
		l.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1000}, {ContainerID: 1000, HostID: 1000, Size: 1}}
		l.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	}
	if ns.made&TimeNS != 0 && g.one(2) {
		l.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: int64(g.IntN(1000))}, "monotonic": {Nanosecs: 7}}
	}
	if ns.has(UTSNS) {
		s.Hostname = pick(g, "", "box")
		s.Domainname = pick(g, "", "example.org")
	}
	l.Sysctl = map[string]string{}
	if ns.has(NetworkNS) {
		for _, key := range some(g, []string{"net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding"}) {
			l.Sysctl[key] = "1"
		}
		if g.one(4) {
			l.NetDevices = map[string]specs.LinuxNetDevice{"eth1": {Name: "lan0"}, "dummy0": {}}
		}
	}
	if ns.has(IPCNS) && g.one(3) {
		l.Sysctl["kernel.shmmax"] = "1024"
	}
	if ns.made&UserNS != 0 && g.one(3) {
		l.Sysctl["user.max_user_namespaces"] = "0"
	}
}

func (g generator) process(s *specs.Spec) *specs.Process {
	p := &specs.Process{Args: pick(g, []string{"sh"}, []string{"/bin/a", "b c", ""}, []string{"./x"}),
		Env: []string{"PATH=/usr/bin:/bin", "A="}, Cwd: pick(g, "/", "/work", "/a/../b/"),
		Terminal: g.one(3), NoNewPrivileges: g.one(2)}
	p.User = specs.User{UID: pick(g, uint32(0), 0, 1, 1000), GID: pick(g, uint32(0), 1, 1000)}
	if g.one(3) {
		p.User.AdditionalGids = []uint32{1, 5}
	}
	if g.one(3) {
		mask := uint32(g.IntN(0o1000))
		p.User.Umask = &mask
	}
	if p.Terminal && g.one(2) {
		p.ConsoleSize = &specs.Box{Width: 80, Height: 24}
	}
	if g.one(3) {
		score := g.IntN(2001) - 1000
		p.OOMScoreAdj = &score
	}
	if !g.one(4) {
		set := func() []string { return append(some(g, capabilityNames[:]), "CAP_FROM_THE_FUTURE") }
		p.Capabilities = &specs.LinuxCapabilities{Bounding: set(), Effective: set(), Permitted: set(), Inheritable: set(), Ambient: set()}
	}
	p.ApparmorProfile = pick(g, "", "", "docker-default")
	p.SelinuxLabel = pick(g, "", "", "system_u:system_r:container_t:s0")
	for _, name := range some(g, rlimitNames[:]) {
		p.Rlimits = append(p.Rlimits, specs.POSIXRlimit{Type: name, Soft: 4, Hard: 5})
	}
	if g.one(5) {
		p.Scheduler = &specs.Scheduler{Policy: specs.SchedRR, Priority: 5}
		p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE}
	}
	if g.one(5) {
		p.ExecCPUAffinity = &specs.CPUAffinity{Initial: pick(g, "", "0-1"), Final: pick(g, "", "0")}
	}
	return p
}

func (g generator) mounts(s *specs.Spec) {
	standard := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc"},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs"},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs"},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue"},
		{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind"}},
		{Destination: "/dev", Type: "bind", Source: "/dev"},
		{Destination: "/proc/stat", Type: "bind", Source: "/var/lib/lxcfs/stat"},
		{Destination: "/opt", Type: "overlay", Source: "overlay", Options: []string{`lowerdir=/a\,b:/c`}},
	}
	if namespacesOf(s).made&CgroupNS != 0 || g.one(2) {
		standard = append(standard, specs.Mount{Destination: "/sys/fs/cgroup", Type: pick(g, "cgroup", "cgroup2"), Source: "cgroup"})
	}
	for i := range g.IntN(6) {
		standard = append(standard, specs.Mount{Destination: fmt.Sprintf("/m/%d", i), Type: pick(g, "bind", "none", "tmpfs"),
			Source: pick(g, "/src", "src"), Options: []string{"rbind"}})
	}
	for _, m := range some(g, standard) {
		for range g.IntN(5) {
			o := mountOptions[g.IntN(len(mountOptions))]
			maps := o.kind == idmap || o.kind == idmapRecursive
			if maps && (strings.HasPrefix(m.Type, "cgroup") || !namespacesOf(s).has(UserNS)) || o.kind == remount && hasIDMap(m.Options) ||
				maps && slices.Contains(m.Options, "remount") {
				continue
			}
			if (o.kind != copyUp || m.Type == "tmpfs" && !slices.Contains(m.Options, "rbind")) &&
				o.kind != bind && o.kind != bindRecursive {
				m.Options = append(m.Options, o.name)
			}
		}
		if m.Type == "tmpfs" && strings.HasPrefix(m.Destination, "/m/") && g.one(2) {
			m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "rbind" })
		}
		s.Mounts = append(s.Mounts, m)
	}
	g.Shuffle(len(s.Mounts), func(i, j int) { s.Mounts[i], s.Mounts[j] = s.Mounts[j], s.Mounts[i] })
}

func (g generator) hooks(s *specs.Spec) {
	if g.one(2) {
		return
	}
	list := func(name string) []specs.Hook {
		timeout := 1 + g.IntN(10)
		return some(g, []specs.Hook{{Path: "/hooks/" + name}, {Path: "/hooks/" + name, Args: []string{name, "-x"}, Timeout: &timeout}})
	}
	s.Hooks = &specs.Hooks{Prestart: list("prestart"), CreateRuntime: list("createRuntime"),
		CreateContainer: list("createContainer"), StartContainer: list("startContainer"), Poststart: list("poststart")}
}

// options returns options that s can be compiled with.
func (g generator) options(s *specs.Spec) Options {
	o := machine()
	// Without a cgroup namespace a mount of the type cgroup2 takes a unified hierarchy to show.
	unified := !namespacesOf(s).has(CgroupNS) &&
		slices.ContainsFunc(s.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup2" })
	if !unified && g.one(3) {
		cgroup1(&o)
	}
	o.NoPivot, o.NoNewKeyring, o.Attached, o.InUserNamespace = g.one(4), g.one(4), g.one(2), g.one(4)
	mapped := slices.ContainsFunc(s.Mounts, func(m specs.Mount) bool { return hasIDMap(m.Options) })
	o.Unprivileged = namespacesOf(s).has(UserNS) && !mapped && g.one(3)
	o.PreserveFDs = uint32(g.IntN(4))
	if len(s.Process.User.AdditionalGids) == 0 {
		o.SetgroupsDenied = g.one(4)
	}
	if s.Linux.Seccomp != nil {
		o.SeccompProgram = make([]byte, 8*(1+g.IntN(20)))
	}
	g.ownIDs(s, &o)
	g.confinement(s, &o)
	return o
}

// ownIDs has the user namespace be one that bailey has given the container, where that is possible.
func (g generator) ownIDs(s *specs.Spec, o *Options) {
	ns := namespacesOf(s)
	fits := ns.made&UserNS != 0 && ns.made&MountNS != 0 && ns.joined&CgroupNS == 0 && !o.Unprivileged
	for i, m := range s.Mounts {
		fits = fits && (m.Type != "proc" || ns.made&PIDNS != 0)
		if fits && g.one(5) {
			if o.Unmapped == nil {
				o.Unmapped = make(map[int]bool)
			}
			o.Unmapped[i] = true
		}
	}
	if !fits || g.one(3) {
		o.Unmapped = nil
		return
	}
	o.OwnIDs = true
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 300000, Size: 65536}}
	s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 400000, Size: 65536}}
	for i := range s.Mounts {
		if m := &s.Mounts[i]; m.Type == "bind" && g.one(4) && !slices.Contains(m.Options, "remount") {
			m.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 7, Size: 3}}
			m.GIDMappings = m.UIDMappings
		}
	}
}

// confinement adds what config.json has no words for.
func (g generator) confinement(s *specs.Spec, o *Options) {
	ns := namespacesOf(s)
	if ns.joined&UserNS != 0 && g.one(2) {
		o.UIDs, o.GIDs = []IDMapping{{0, 5000, 100}, {100, 7000, 5}}, []IDMapping{{0, 5000, 100}}
	}
	o.Seal = ns.made&MountNS != 0 && !o.NoPivot && (ns.joined&UserNS == 0 || len(o.UIDs) > 0) && g.one(2)
	o.EmptyRoot = g.one(8)
	if g.one(3) {
		o.Securebits = Securebits(g.IntN(256)) &^ 0x10
	}
	if g.one(3) {
		o.NamespaceLimits = map[Namespace]uint32{UserNS: 0}
		if o.Seal || ns.made&UserNS != 0 {
			o.NamespaceLimits[NetworkNS] = uint32(g.IntN(3))
		}
		if o.SeccompDenies = o.DeniedByFilter(ns.made&UserNS != 0); o.SeccompDenies != 0 && len(o.SeccompProgram) == 0 {
			o.SeccompProgram = make([]byte, 8)
		}
	}
}

func hasIDMap(options []string) bool {
	return slices.Contains(options, "idmap") || slices.Contains(options, "ridmap")
}

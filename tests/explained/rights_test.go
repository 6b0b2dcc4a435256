package explained

import (
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func ptr[T any](v T) *T { return &v }

func device(path string, major, minor int64) harness.Change {
	return func(s *specs.Spec) {
		s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: path, Type: "c", Major: major, Minor: minor})
	}
}

func sysctl(key, value string) harness.Change {
	return func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{key: value} }
}

// delegated makes a cgroup that belongs to the ordinary user, in one that does not and hands no controllers on. It returns its path.
func (p *place) delegated() (path string, remove func()) {
	p.T.Helper()
	const root = "/sys/fs/cgroup"
	outer := "/" + p.ID + "-user"
	p.Do(func() {
		// As any runtime does that is run by root.
		if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+hugetlb"), 0); err != nil {
			p.T.Skip("no hugetlb controller on cgroup v2: ", err)
		}
		for _, dir := range []string{outer, outer + "/own"} {
			if err := os.Mkdir(root+dir, 0o755); err != nil {
				p.T.Error(err)
			}
		}
		os.Chown(root+outer+"/own", harness.UserID, harness.UserID)
	})
	return outer + "/own", func() {
		p.Do(func() {
			os.Remove(root + outer + "/own")
			os.Remove(root + outer)
		})
	}
}

var rightsFailures = []failure{
	{row: 15, name: "a hard limit is to be raised without CAP_SYS_RESOURCE",
		finds: "the limit that is in force, CapEff, and whether bailey is in a user namespace", met: "podman#7510, podman#24692, podman#24508, kbin#8",
		run: func(p *place) *harness.Result {
			c := p.Container(harness.Args("true"), func(s *specs.Spec) {
				s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 1000, Hard: 1000}}
			})
			by := without("sys_resource")
			by.Prefix = append(by.Prefix, "prlimit", "--core=10:10")
			return p.as(by, c.RunArgs()...)
		}, line: "/process/rlimits/0", cause: "raising the hard limit, which is 10 here, takes CAP_SYS_RESOURCE, which bailey does not have", try: "lower the limit"},
	{row: 15, name: "a hard limit is to be raised in a user namespace",
		finds: "the limit that is in force, and whether bailey is in a user namespace", met: "podman#24508, podman#24692",
		run: func(p *place) *harness.Result {
			c := p.inner(func(s *specs.Spec) {
				s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 1000, Hard: 1000}}
			})
			by := inside(1, "ulimit -c 0")
			return p.as(by, nested(c)...)
		}, line: "/process/rlimits/0", cause: "in the initial user namespace, and bailey runs in another one", try: "lower the limit"},
	{row: 15, name: "oom_score_adj is to be lowered without CAP_SYS_RESOURCE",
		finds: "the score that is in force, CapEff", met: "moby#42910, runc#2339, podman#20886",
		run: func(p *place) *harness.Result {
			c := p.Container(harness.Args("true"), func(s *specs.Spec) { s.Process.OOMScoreAdj = ptr(-500) })
			return p.as(without("sys_resource"), c.RunArgs()...)
		}, line: "/process/oomScoreAdj", cause: "takes CAP_SYS_RESOURCE, which bailey does not have", try: "set oomScoreAdj to"},
	{row: 16, name: "a capability that bailey itself does not hold", warning: true,
		finds: "bailey's own bounding set", met: "moby#52830, moby#50083, containerd#5668, podman#8821",
		run: func(p *place) *harness.Result {
			by := without("net_raw")
			by.NoGlobals = true // without a log, where warnings would go
			return p.as(by, append([]string{"--root", p.Root}, p.Container(harness.Args("true"), harness.Capabilities("CAP_NET_RAW")).RunArgs()...)...)
		}, line: `capability "CAP_NET_RAW" is not granted: it is not in bailey's own bounding set`},
	{row: 17, name: "a controller that was not delegated", view: harness.V2,
		finds: "cgroup.controllers and cgroup.subtree_control from the root on, and whose they are", met: "podman#22147, rootlesskit#282, crun#1083, podman#6368",
		run: func(p *place) *harness.Result {
			path, remove := p.delegated()
			c := p.theirs(func(s *specs.Spec) {
				s.Linux.CgroupsPath = path + "/web"
				s.Linux.Resources = &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 1 << 21}}}
			})
			r := p.as(p.granted(), c.RunArgs()...)
			remove()
			return r
		}, line: "/linux/resources", cause: "the hugetlb controller is not enabled below /sys/fs/cgroup", try: "Delegate="},
	{row: 17, name: "a controller that cgroup v1 has", view: harness.V2,
		finds: "cgroup.controllers of the root, /proc/cgroups", met: "crun#223, runc#2339",
		run: func(p *place) *harness.Result {
			if !has(harness.Views(), harness.Hybrid) {
				p.T.Skip("the controllers of this machine are on cgroup v2")
			}
			return p.Container(func(s *specs.Spec) {
				s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](5)}}
			}).Run()
		}, line: "/linux/resources/pids", cause: "a cgroup v1 hierarchy has it", try: "systemd.unified_cgroup_hierarchy=1"},
	{row: 17, name: "a cgroup that is somebody else's", view: harness.V2,
		finds: "owner and mode of the cgroup above", met: "crun#223, crun#1302, podman#21695",
		run: func(p *place) *harness.Result {
			c := p.theirs(func(s *specs.Spec) { s.Linux.CgroupsPath = "/" + p.ID + "-0" })
			return p.as(p.granted(), c.RunArgs()...)
		}, line: "/linux/cgroupsPath", cause: "belongs to user 0 (mode 0555) and was not delegated to user 54321", try: "--systemd-cgroup"},
	{row: 18, name: "a device that the host does not have",
		finds: "the host's /dev", met: "runc#5137, monogon#379, libcontainer#385",
		run: func(p *place) *harness.Result {
			return p.Container(harness.UserNamespace, device("/dev/none", 10, 250)).Run()
		},
		line: "/linux/devices/0", cause: "the host has no /dev/none", try: "mknod"},
	{row: 18, name: "a device that is another one on the host",
		finds: "type and number of the host's", met: "runc#5137, monogon#379",
		run: func(p *place) *harness.Result {
			return p.Container(harness.UserNamespace, device("/dev/full", 10, 250)).Run()
		},
		line: "/linux/devices/0", cause: "/dev/full is the device c 1:7, not the device c 10:250", try: "correct"},
	{row: 18, name: "a device without CAP_MKNOD",
		finds: "CapEff in /proc/self/status", met: "runc#357, podman#26382",
		run: func(p *place) *harness.Result {
			return p.as(without("mknod"), p.Container(device("/dev/none", 10, 250)).RunArgs()...)
		}, line: "mknodat: EPERM", cause: "CAP_MKNOD, which bailey does not have", try: "user namespace"},
	{row: 20, name: "a kernel parameter of the whole machine",
		finds: "the list of those that are a namespace's own", met: "runc#1193, seed-emulator#297, moby#19265",
		run:  func(p *place) *harness.Result { return p.Container(sysctl("vm.swappiness", "10")).Run() },
		line: "/linux/sysctl/vm.swappiness", cause: "the kernel has it once", try: "set it on the host"},
	{row: 20, name: "a kernel parameter of a namespace that the container shares",
		finds: "linux.namespaces", met: "runc#2693, containerd#5281, docker-snap#40, podman#7915",
		run: func(p *place) *harness.Result {
			return p.Container(harness.Without(specs.NetworkNamespace), sysctl("net.ipv4.ip_forward", "1")).Run()
		}, line: "/linux/sysctl/net.ipv4.ip_forward", cause: "shares the caller's network namespace", try: `{"type": "network"}`},
	{row: 20, name: "a kernel parameter that only the machine's own namespace has",
		finds: "/proc/sys, on the host and in the container", met: "runc#1193, moby#19265",
		run:  func(p *place) *harness.Result { return p.Container(sysctl("net.core.dev_weight", "32")).Run() },
		line: "/linux/sysctl/net.core.dev_weight", cause: "only once for the whole machine", try: "sysctl -w net.core.dev_weight"},
	{row: 20, name: "a program in a directory that the user may not enter",
		finds: "the last part of the path that the payload's user reaches, which the failing process sends along", met: "runc#4713, podman#24704, oci#3",
		run: func(p *place) *harness.Result {
			c := p.Container(harness.UserNamespace, harness.Args("/opt/private/probe"), func(s *specs.Spec) { s.Process.User = specs.User{UID: 1000, GID: 1000} })
			p.Must(os.MkdirAll(c.Rootfs+"/opt/private", 0o755))
			p.Must(os.Link(c.Rootfs+"/bin/probe", c.Rootfs+"/opt/private/probe"))
			p.Must(os.Chown(c.Rootfs+"/opt/private", harness.UserBase, harness.UserBase))
			p.Must(os.Chmod(c.Rootfs+"/opt/private", 0o700))
			return c.Run()
		}, line: "permission denied", cause: "process.user (1000:1000) may not enter the directory /opt/private (mode 0700, owner 200000:200000 on the host)", try: "chmod a+x"},
	{row: 20, name: "a root filesystem that nothing was unpacked into",
		finds: "the root filesystem, which holds nothing but empty directories", met: "runc#1490",
		run: func(p *place) *harness.Result {
			c := p.Container(harness.Args("sh"))
			p.Must(os.RemoveAll(c.Rootfs))
			p.Must(os.Mkdir(c.Rootfs, 0o755))
			return c.Run()
		}, line: "executable file not found in $PATH", cause: " is empty", try: "unpack an image into it"},
	{row: 20, name: "a program that is not executable",
		finds: "the file, which the failing process sends along", met: "docker-ocserv#52, x11docker#319, influxdata-docker#139",
		run: func(p *place) *harness.Result {
			c := p.Container(harness.Args("/etc/passwd"))
			return c.Run()
		}, line: "permission denied", cause: "the file /etc/passwd (mode 0644, owner 0:0 on the host) is executable for nobody", try: "chmod a+x"},
	{row: 20, name: "a program on a mount that is noexec",
		finds: "statfs(2) of the file, which the failing process sends along", met: "containerd#4182, oci-systemd-hook#38",
		run: func(p *place) *harness.Result {
			dir := p.dir("tools", 0o755)
			p.Must(os.Link(harness.Probe(p.T), dir+"/probe"))
			return p.Container(harness.Args("/tools/probe"), harness.Mounted("/tools", "bind", dir, "bind", "noexec")).Run()
		}, line: "permission denied", cause: "/tools/probe lies on a mount that is noexec", try: "leave noexec out"},
}

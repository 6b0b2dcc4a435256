package lifecycle

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// The numbers of the capabilities that the tests use.
var capabilityBits = map[string]uint{
	"CAP_CHOWN": unix.CAP_CHOWN, "CAP_KILL": unix.CAP_KILL, "CAP_NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE,
	"CAP_AUDIT_WRITE": unix.CAP_AUDIT_WRITE, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_NET_RAW": unix.CAP_NET_RAW,
	"CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE, "CAP_SETUID": unix.CAP_SETUID,
}

// capSet returns a set as /proc/PID/status shows it.
func capSet(names ...string) string {
	var set uint64
	for _, name := range names {
		bit, ok := capabilityBits[name]
		if !ok {
			panic(name)
		}
		set |= 1 << bit
	}
	return fmt.Sprintf("%016x", set)
}

const memoryLimit, pidsLimit, cpuShares = 64 << 20, 40, 512

// rich asks for something of nearly everything.
func rich(e *harness.Env) harness.Change {
	data := e.Path("data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		e.T.Fatal(err)
	}
	e.WriteFile("data/file", "from the host\n", 0o644)
	return func(s *specs.Spec) {
		s.Hostname, s.Domainname = "inside", "example.org"
		s.Annotations = map[string]string{"org.example.key": "value with \"quotes\""}
		p := s.Process
		umask := uint32(0o027)
		p.User = specs.User{UID: 1000, GID: 1001, Umask: &umask, AdditionalGids: []uint32{5, 2000}}
		p.Cwd = "/work"
		p.Env = append(p.Env, "GREETING=hello  world")
		p.Capabilities = &specs.LinuxCapabilities{
			Bounding:    []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"},
			Permitted:   []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"},
			Effective:   []string{"CAP_CHOWN", "CAP_KILL"},
			Inheritable: []string{"CAP_KILL", "CAP_NET_BIND_SERVICE"},
			Ambient:     []string{"CAP_KILL"},
		}
		score := 123
		p.OOMScoreAdj = &score
		p.NoNewPrivileges = true
		p.Rlimits = []specs.POSIXRlimit{
			{Type: "RLIMIT_NOFILE", Soft: 500, Hard: 600}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0},
			{Type: "RLIMIT_STACK", Soft: 1 << 20, Hard: 8 << 20},
		}
		harness.Mounted("/run", "tmpfs", "tmpfs", "nosuid", "noexec", "nodev", "size=1m", "mode=750")(s)
		harness.Mounted("/data", "bind", data, "rbind", "ro", "nosuid", "nodev")(s)
		l := s.Linux
		l.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80", "kernel.msgmax": "10000"}
		mode := os.FileMode(0o640)
		uid := uint32(1000)
		l.Devices = []specs.LinuxDevice{{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: &mode,
			UID: &uid, GID: &uid}}
		l.Resources.Devices = append(l.Resources.Devices,
			specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr[int64](10), Minor: ptr[int64](229), Access: "rw"})
		if e.HasController("memory") {
			l.Resources.Memory = &specs.LinuxMemory{Limit: ptr[int64](memoryLimit)}
		}
		if e.HasController("pids") {
			l.Resources.Pids = &specs.LinuxPids{Limit: ptr[int64](pidsLimit)}
		}
		if e.HasController("cpu") {
			l.Resources.CPU = &specs.LinuxCPU{Shares: ptr[uint64](cpuShares), Quota: ptr[int64](50000), Period: ptr[uint64](100000)}
		}
		l.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"acct"}, Action: specs.ActErrno},
		}}
	}
}

func ptr[T any](v T) *T { return &v }

// checkEffects compares everything that rich asks for with what the kernel says about the process pid.
func checkEffects(t *testing.T, c *harness.Container, pid int) {
	t.Helper()
	e := c.Env
	want := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	userns := len(c.Spec.Linux.UIDMappings) > 0
	checkStatus(e, pid, userns, want)
	checkNamespaces(c, pid, want)

	dir := fmt.Sprintf("/proc/%d/", pid)
	want("oom_score_adj", e.ProcFile(pid, "oom_score_adj"), "123")
	limits := e.Limits(pid)
	want("RLIMIT_NOFILE", limits["Max open files"], "500 600")
	want("RLIMIT_CORE", limits["Max core file size"], "0 0")
	want("RLIMIT_STACK", limits["Max stack size"], "1048576 8388608")
	cwd, _ := os.Readlink(dir + "cwd")
	want("cwd", cwd, "/work")
	if env := strings.Split(e.ProcFile(pid, "environ"), "\x00"); !slices.Contains(env, "GREETING=hello  world") {
		t.Errorf("environment: %q", env)
	}
	uidMap := "0 0 4294967295"
	if userns {
		uidMap = fmt.Sprintf("0 %d 65536", harness.UserBase)
	}
	want("uid_map", strings.Join(strings.Fields(e.ProcFile(pid, "uid_map")), " "), uidMap)
	want("gid_map", strings.Join(strings.Fields(e.ProcFile(pid, "gid_map")), " "), uidMap)
	checkMounts(t, e, pid)
	checkCgroups(t, c, pid, want)
	checkInside(t, c, want)
}

func checkStatus(e *harness.Env, pid int, userns bool, want func(what, got, want string)) {
	s := e.Status(pid)
	host := func(id int) string {
		if userns {
			id += harness.UserBase
		}
		return fmt.Sprint(id)
	}
	four := func(id string) string { return strings.Join([]string{id, id, id, id}, " ") }
	want("Uid", s["Uid"], four(host(1000)))
	want("Gid", s["Gid"], four(host(1001)))
	want("Groups", s["Groups"], host(5)+" "+host(2000))
	want("Umask", s["Umask"], "0027")
	// What an exec by an ordinary user leaves of the sets: the ambient ones.
	want("CapInh", s["CapInh"], capSet("CAP_KILL", "CAP_NET_BIND_SERVICE"))
	want("CapPrm", s["CapPrm"], capSet("CAP_KILL"))
	want("CapEff", s["CapEff"], capSet("CAP_KILL"))
	want("CapBnd", s["CapBnd"], capSet("CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"))
	want("CapAmb", s["CapAmb"], capSet("CAP_KILL"))
	want("NoNewPrivs", s["NoNewPrivs"], "1")
	want("Seccomp", s["Seccomp"], "2")
	want("Threads", s["Threads"], "1")
}

// checkNamespaces wants those of the configuration to be new and the others to be ours.
func checkNamespaces(c *harness.Container, pid int, want func(what, got, want string)) {
	names := map[specs.LinuxNamespaceType]string{specs.PIDNamespace: "pid", specs.NetworkNamespace: "net",
		specs.MountNamespace: "mnt", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts",
		specs.UserNamespace: "user", specs.CgroupNamespace: "cgroup", specs.TimeNamespace: "time"}
	isNew := make(map[string]bool)
	for _, ns := range c.Spec.Linux.Namespaces {
		isNew[names[ns.Type]] = true
	}
	for _, name := range names {
		differs := harness.Namespace(pid, name) != harness.Namespace(os.Getpid(), name)
		want("a "+name+" namespace of its own", fmt.Sprint(differs), fmt.Sprint(isNew[name]))
	}
}

func checkMounts(t *testing.T, e *harness.Env, pid int) {
	t.Helper()
	for _, m := range []struct {
		target, kind string
		options      []string
	}{
		{"/proc", "proc", []string{"rw"}},
		{"/dev", "tmpfs", []string{"nosuid", "mode=755", "size=65536k"}},
		{"/dev/pts", "devpts", []string{"nosuid", "noexec", "ptmxmode=666", "mode=620"}},
		{"/dev/shm", "tmpfs", []string{"nosuid", "nodev", "noexec", "size=65536k"}},
		{"/dev/mqueue", "mqueue", []string{"nosuid", "nodev", "noexec"}},
		{"/sys", "sysfs", []string{"ro", "nosuid", "nodev", "noexec"}},
		{"/run", "tmpfs", []string{"nosuid", "nodev", "noexec", "size=1024k", "mode=750"}},
		{"/data", "ext4", []string{"ro", "nosuid", "nodev"}},
		{"/proc/sys", "proc", []string{"ro"}},
		{"/proc/sysrq-trigger", "proc", []string{"ro"}},
		{"/proc/kcore", "", nil},
		{"/sys/firmware", "tmpfs", []string{"ro"}},
	} {
		if _, err := os.Lstat(m.target); strings.HasPrefix(m.target, "/proc/") && err != nil {
			continue // this kernel has no such file
		}
		got := e.MountAt(pid, m.target)
		if got == nil {
			t.Errorf("nothing is mounted at %s", m.target)
			continue
		}
		if m.kind != "" && m.kind != "ext4" && got.Type != m.kind {
			t.Errorf("%s is a %s, want %s", m.target, got.Type, m.kind)
		}
		for _, o := range m.options {
			if !got.Has(o) {
				t.Errorf("%s lacks the option %s: %+v", m.target, o, *got)
			}
		}
	}
	if dev := e.MountAt(pid, "/dev"); dev != nil && dev.Has("relatime") { // asked for: strictatime
		t.Errorf("/dev: %+v", *dev)
	}
	for _, m := range e.Mounts(pid) {
		for _, tag := range m.Tags {
			if strings.HasPrefix(tag, "shared:") {
				t.Errorf("%s is %s with mounts outside", m.Target, tag)
			}
		}
	}
}

func checkCgroups(t *testing.T, c *harness.Container, pid int, want func(what, got, want string)) {
	t.Helper()
	e := c.Env
	r := c.Spec.Linux.Resources
	lines := e.ProcFile(pid, "cgroup")
	if e.View != harness.V2 {
		for _, name := range []string{"memory", "pids", "cpu", "devices", "freezer"} {
			if e.HasController(name) && !strings.Contains(lines, ":"+name+":"+c.Cgroup+"\n") {
				t.Errorf("not in its cgroup of %s: %q", name, lines)
			}
		}
		if r.Memory != nil {
			want("memory.limit_in_bytes", c.CgroupValue("memory", "memory.limit_in_bytes"), fmt.Sprint(memoryLimit))
		}
		if r.Pids != nil {
			want("pids.max", c.CgroupValue("pids", "pids.max"), fmt.Sprint(pidsLimit))
		}
		if r.CPU != nil {
			want("cpu.shares", c.CgroupValue("cpu", "cpu.shares"), fmt.Sprint(cpuShares))
			want("cpu.cfs_quota_us", c.CgroupValue("cpu", "cpu.cfs_quota_us"), "50000")
		}
		list := strings.Split(c.CgroupValue("devices", "devices.list"), "\n")
		if slices.Contains(list, "a *:* rwm") || !slices.Contains(list, "c 10:229 rw") || !slices.Contains(list, "c 1:3 rwm") {
			t.Errorf("devices.list: %q", list)
		}
		return
	}
	if !strings.Contains("\n"+lines+"\n", "\n0::"+c.Cgroup+"\n") {
		t.Errorf("not in its cgroup: %q", lines)
	}
	if r.Memory != nil {
		want("memory.max", c.CgroupValue("", "memory.max"), fmt.Sprint(memoryLimit))
	}
	if r.Pids != nil {
		want("pids.max", c.CgroupValue("", "pids.max"), fmt.Sprint(pidsLimit))
	}
	if r.CPU != nil {
		want("cpu.max", c.CgroupValue("", "cpu.max"), "50000 100000")
	}
}

// checkInside looks from within, as the payload's user.
func checkInside(t *testing.T, c *harness.Container, want func(what, got, want string)) {
	t.Helper()
	want("hostname", c.Sh("hostname"), "inside")
	want("domainname", c.Sh("cat /proc/sys/kernel/domainname"), "example.org")
	want("sysctl net", c.Sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "80")
	want("sysctl ipc", c.Sh("cat /proc/sys/kernel/msgmax"), "10000")
	want("the bind mount", c.Sh("cat /data/file"), "from the host")
	want("loopback", c.Sh("grep -c . /proc/net/dev"), "3")
	want("devices", c.Sh("stat -c '%n %t:%T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty"),
		"/dev/null 1:3\n/dev/zero 1:5\n/dev/full 1:7\n/dev/random 1:8\n/dev/urandom 1:9\n/dev/tty 5:0")
	want("links", c.Sh("for f in fd stdin stdout stderr ptmx; do readlink /dev/$f; done"),
		"/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx")
	if len(c.Spec.Linux.UIDMappings) == 0 {
		want("a device", c.Sh("stat -c '%F %t:%T %a %u %g' /dev/fuse"), "character special file a:e5 640 1000 1000")
	} else { // bound from the host, with the host's owner and mode
		want("a device", c.Sh("stat -c '%F %t:%T' /dev/fuse"), "character special file a:e5")
	}
	want("seccomp", c.Sh(fmt.Sprintf("probe syscall %d 0", unix.SYS_ACCT)), "EPERM")
}

// readFile returns the content of a file.
func readFile(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

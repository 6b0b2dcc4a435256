package lifecycle

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func announced(e *harness.Env) *features.Features {
	e.T.Helper()
	f := new(features.Features)
	e.Must(json.Unmarshal([]byte(e.Run(harness.Options{NoGlobals: true}, "features").OK(e)), f))
	return f
}

// optionEffect is how a mount option shows: the options of a tmpfs before it, and what /proc/self/mountinfo then has, or
// with "!" has not, among the mount's own options (or with "super:" the filesystem's, with "tag:" the propagation).
type optionEffect struct{ before, want string }

// optionEffects has an entry for every mount option but those that need another kind of mount, which have tests of
// their own.
var optionEffects = map[string]optionEffect{
	"async": {"sync", "!super:sync"}, "sync": {"", "super:sync"}, "dirsync": {"", "super:dirsync"}, "lazytime": {"", "super:lazytime"},
	"nolazytime": {"lazytime", "!super:lazytime"}, "mand": {"", ""}, "nomand": {"", ""}, "iversion": {"", ""}, "noiversion": {"", ""},
	"atime": {"noatime", "relatime"}, "noatime": {"", "noatime"}, "relatime": {"noatime", "relatime"}, "norelatime": {"noatime", "relatime"},
	"strictatime": {"", "!relatime"}, "nostrictatime": {"strictatime", "relatime"}, "diratime": {"nodiratime", "!nodiratime"},
	"nodiratime": {"", "nodiratime"}, "dev": {"nodev", "!nodev"}, "nodev": {"", "nodev"}, "exec": {"noexec", "!noexec"},
	"noexec": {"", "noexec"}, "suid": {"nosuid", "!nosuid"}, "nosuid": {"", "nosuid"}, "ro": {"", "ro"}, "rw": {"ro", "rw"},
	"symfollow": {"nosymfollow", "!nosymfollow"}, "nosymfollow": {"", "nosymfollow"},
	"ratime": {"noatime", "relatime"}, "rnoatime": {"", "noatime"}, "rrelatime": {"noatime", "relatime"}, "rnorelatime": {"noatime", "relatime"},
	"rstrictatime": {"", "!relatime"}, "rnostrictatime": {"strictatime", "relatime"}, "rdiratime": {"nodiratime", "!nodiratime"},
	"rnodiratime": {"", "nodiratime"}, "rdev": {"nodev", "!nodev"}, "rnodev": {"", "nodev"}, "rexec": {"noexec", "!noexec"},
	"rnoexec": {"", "noexec"}, "rsuid": {"nosuid", "!nosuid"}, "rnosuid": {"", "nosuid"}, "rro": {"", "ro"}, "rrw": {"ro", "rw"},
	"rsymfollow": {"nosymfollow", "!nosymfollow"}, "rnosymfollow": {"", "nosymfollow"},
	"shared": {"", "tag:shared:"}, "rshared": {"", "tag:shared:"}, "private": {"shared", "!tag:shared:"}, "rprivate": {"shared", "!tag:shared:"},
	"slave": {"", "!tag:shared:"}, "rslave": {"", "!tag:shared:"}, "unbindable": {"", "tag:unbindable"}, "runbindable": {"", "tag:unbindable"},
	"defaults": {"", "rw"}, "loud": {"", ""}, "silent": {"", ""},
}

// elsewhere are the options that TestIDMappedMounts, TestSymlinkMounts, TestCopyUp and TestMountKinds are about.
var elsewhere = []string{"bind", "rbind", "remount", "idmap", "ridmap", "tmpcopyup", "src-nofollow", "dest-nofollow", "copy-symlink"}

func TestAnnouncedMountOptions(t *testing.T) {
	e := newEnv(t)
	f := announced(e)
	for _, option := range f.MountOptions {
		effect, known := optionEffects[option]
		if !known {
			if !slices.Contains(elsewhere, option) {
				t.Errorf("no test for the mount option %s", option)
			}
			continue
		}
		c := e.Container(harness.Mounted("/opt", "tmpfs", "tmpfs", append(strings.Fields(effect.before), option)...),
			harness.Sh("grep ' /opt ' /proc/self/mountinfo"))
		line := c.Run().OK(e)
		head, tail, _ := strings.Cut(line, " - ")
		fields, super := strings.Fields(head), strings.Fields(tail)
		want, not := strings.CutPrefix(effect.want, "!")
		has := want == ""
		switch kind, word, _ := strings.Cut(want, ":"); kind {
		case "super":
			has = slices.Contains(strings.Split(super[2], ","), word)
		case "tag":
			has = slices.ContainsFunc(fields[6:], func(tag string) bool { return strings.HasPrefix(tag, word) })
		default:
			has = has || slices.Contains(strings.Split(fields[5], ","), want)
		}
		if has == not {
			t.Errorf("%s: %s", option, line)
		}
	}
	for option := range optionEffects {
		if !slices.Contains(f.MountOptions, option) {
			t.Errorf("%s works and is not announced", option)
		}
	}
	e.Container(harness.Mounted("/opt", "tmpfs", "tmpfs", "nosuchoption")).Create().Fails(e, "/mounts/", "nosuchoption")
}

func TestAnnouncedNamespacesAndHooks(t *testing.T) {
	e := newEnv(t)
	f := announced(e)
	files := map[string]string{"mount": "mnt", "network": "net"}
	for _, kind := range f.Linux.Namespaces {
		file := kind
		if other, ok := files[kind]; ok {
			file = other
		}
		if !exists("/proc/self/ns/" + file) {
			continue // not in this kernel
		}
		c := e.Container(harness.Without(specs.LinuxNamespaceType(kind)))
		if kind == "user" {
			harness.UserNamespace(c.Spec)
		} else {
			c.Spec.Linux.Namespaces = append(c.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.LinuxNamespaceType(kind)})
		}
		c.WriteSpec()
		c.RunDetached().OK(e)
		if harness.Namespace(c.PID(), file) == harness.Namespace(os.Getpid(), file) {
			t.Errorf("the %s namespace is ours", kind)
		}
		c.Delete("--force").OK(e)
	}
	e.Container(func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "nosuch"})
	}).Create().Fails(e, "/linux/namespaces/", "nosuch")

	c := e.Container(harness.Args("true"))
	hook := func(point string) []specs.Hook {
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo " + point + " >> " + e.Path("hooks") + " 2>/dev/null || echo " + point + " >> /work/hooks"}}}
	}
	c.Spec.Hooks = &specs.Hooks{Prestart: hook("prestart"), CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"),
		StartContainer: hook("startContainer"), Poststart: hook("poststart"), Poststop: hook("poststop")}
	c.WriteSpec()
	c.Run().OK(e)
	ran := strings.Fields(readFile(t, e.Dir, "hooks") + "\n" + readFile(t, c.Rootfs, "work/hooks"))
	for _, point := range f.Hooks {
		if !slices.Contains(ran, point) {
			t.Errorf("the %s hook has not run: %v", point, ran)
		}
	}
	if len(ran) != len(f.Hooks) {
		t.Errorf("%v ran, %v are announced", ran, f.Hooks)
	}
}

func TestAnnouncedCapabilities(t *testing.T) {
	e := newEnv(t)
	f := announced(e)
	c := e.Container(harness.Capabilities(f.Linux.Capabilities...))
	c.RunDetached().OK(e)
	var held uint64
	for n := range f.Linux.Capabilities {
		if set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0); err == nil {
			held |= uint64(set) << n
		}
	}
	for _, set := range []string{"CapEff", "CapPrm", "CapBnd"} {
		if got := e.Status(c.PID())[set]; got != fmt.Sprintf("%016x", held) {
			t.Errorf("%s is %s, want all that we hold: %016x", set, got, held)
		}
	}
	d := e.Container(harness.Capabilities("CAP_NOSUCH"))
	d.RunDetached().OK(e)
	if w := e.LogWarnings(); !strings.Contains(strings.Join(w, "\n"), "CAP_NOSUCH") {
		t.Errorf("warnings: %q", w)
	}
}

func TestAnnouncedSeccomp(t *testing.T) {
	e := newEnv(t)
	f := announced(e).Linux.Seccomp
	a := newAgent(e)
	acct := fmt.Sprint("probe syscall ", unix.SYS_ACCT, " 0; echo then") // refused to who has no CAP_SYS_PACCT
	profile := func(call specs.LinuxSyscall) harness.Change {
		return func(s *specs.Spec) {
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{call}}
		}
	}
	run := func(change harness.Change, script string) string {
		t.Helper()
		return strings.Join(strings.Fields(e.Container(change, harness.Sh(script)).Run().Stdout), " ")
	}
	for _, action := range f.Actions {
		want, script := map[string]string{
			"SCMP_ACT_ALLOW": "EPERM then", "SCMP_ACT_LOG": "EPERM then", "SCMP_ACT_NOTIFY": "EPERM then", "SCMP_ACT_ERRNO": "ENOMSG then",
			"SCMP_ACT_TRACE": "ENOSYS then", "SCMP_ACT_KILL": "159", "SCMP_ACT_KILL_PROCESS": "159", "SCMP_ACT_KILL_THREAD": "159",
			"SCMP_ACT_TRAP": "159",
		}[action], acct
		call := specs.LinuxSyscall{Names: []string{"acct"}, Action: specs.LinuxSeccompAction(action)}
		if want == "159" { // of a program with one thread
			call.Names, script = []string{"sync"}, "sync; echo $?"
		}
		if action == string(specs.ActErrno) {
			call.ErrnoRet = ptr(uint(unix.ENOMSG))
		}
		change := profile(call)
		if action == string(specs.ActNotify) {
			change = a.notifying("acct")
		}
		if got := run(change, script); got != want {
			t.Errorf("%s: %q, want %q", action, got, want)
		}
	}
	for _, op := range f.Operators {
		// umask(0o20) in all of them; the filter's values make one rule match and another not.
		values := map[string][2][2]uint64{
			"SCMP_CMP_EQ": {{16}, {17}}, "SCMP_CMP_NE": {{17}, {16}}, "SCMP_CMP_LT": {{17}, {16}}, "SCMP_CMP_LE": {{16}, {15}},
			"SCMP_CMP_GT": {{15}, {16}}, "SCMP_CMP_GE": {{16}, {17}}, "SCMP_CMP_MASKED_EQ": {{0x30, 16}, {0x30, 32}},
		}[op]
		for i, want := range []string{"EPERM", "18"} {
			call := specs.LinuxSyscall{Names: []string{"umask"}, Action: specs.ActErrno,
				Args: []specs.LinuxSeccompArg{{Index: 0, Op: specs.LinuxSeccompOperator(op), Value: values[i][0], ValueTwo: values[i][1]}}}
			umask := func(s *specs.Spec) { s.Process.User.Umask = ptr[uint32](0o22) }
			if got := run(harness.All(profile(call), umask), fmt.Sprint("probe syscall ", unix.SYS_UMASK, " 16")); got != want {
				t.Errorf("%s %v: %q, want %q", op, values[i], got, want)
			}
		}
	}
	for _, arch := range f.Archs {
		c := e.Container(profile(specs.LinuxSyscall{Names: []string{"acct"}, Action: specs.ActErrno}), harness.Sh(acct))
		c.Spec.Linux.Seccomp.Architectures = []specs.Arch{specs.Arch(arch)}
		c.WriteSpec()
		if got := c.Run().OK(e); !strings.HasSuffix(got, "then\n") {
			t.Errorf("%s: %q", arch, got)
		}
	}
	for _, flag := range f.SupportedFlags {
		c := e.Container(a.notifying("acct"), harness.Sh(acct))
		c.Spec.Linux.Seccomp.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlag(flag)}
		c.WriteSpec()
		c.Run().OK(e)
	}
	for field, change := range map[string]func(*specs.LinuxSeccomp){
		"/defaultAction":       func(s *specs.LinuxSeccomp) { s.DefaultAction = "SCMP_ACT_NOSUCH" },
		"/syscalls/0/action":   func(s *specs.LinuxSeccomp) { s.Syscalls[0].Action = "SCMP_ACT_NOSUCH" },
		"/syscalls/0/args/0":   func(s *specs.LinuxSeccomp) { s.Syscalls[0].Args = []specs.LinuxSeccompArg{{Op: "SCMP_CMP_NOSUCH"}} },
		"/architectures/0":     func(s *specs.LinuxSeccomp) { s.Architectures = []specs.Arch{"SCMP_ARCH_NOSUCH"} },
		"/flags/0":             func(s *specs.LinuxSeccomp) { s.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NOSUCH"} },
		"/syscalls/0/errnoRet": func(s *specs.LinuxSeccomp) { s.Syscalls[0].ErrnoRet = ptr[uint](5000) },
	} {
		c := e.Container(profile(specs.LinuxSyscall{Names: []string{"acct"}, Action: specs.ActErrno}))
		change(c.Spec.Linux.Seccomp)
		c.WriteSpec()
		c.Create().Fails(e, "/linux/seccomp"+field)
	}
}

func TestAnnouncedMemoryPolicies(t *testing.T) {
	e := newEnv(t)
	f := announced(e).Linux.MemoryPolicy
	if _, err := os.Stat("/proc/self/numa_maps"); err != nil {
		t.Skip("this kernel knows no memory nodes")
	}
	for _, mode := range f.Modes {
		c := e.Container()
		c.Spec.Version = "1.3.0"
		p := &specs.LinuxMemoryPolicy{Mode: specs.MemoryPolicyModeType(mode), Nodes: "0"}
		if mode == "MPOL_DEFAULT" || mode == "MPOL_LOCAL" {
			p.Nodes = ""
		}
		c.Spec.Linux.MemoryPolicy = p
		c.WriteSpec()
		c.RunDetached().OK(e)
		want := map[string]string{"MPOL_DEFAULT": " default ", "MPOL_LOCAL": " local ", "MPOL_BIND": " bind:0 ", "MPOL_PREFERRED": " prefer:0 ",
			"MPOL_INTERLEAVE": " interleave:0 ", "MPOL_PREFERRED_MANY": " prefer (many):0 ", "MPOL_WEIGHTED_INTERLEAVE": " weighted interleave:0 "}[mode]
		if got := e.ProcFile(c.PID(), "numa_maps"); !strings.Contains(got, want) {
			t.Errorf("%s: %.200s", mode, got)
		}
		c.Delete("--force").OK(e)
	}
	for field, p := range map[string]*specs.LinuxMemoryPolicy{
		"/mode": {Mode: "MPOL_NOSUCH"}, "/flags/0": {Mode: "MPOL_BIND", Nodes: "0", Flags: []specs.MemoryPolicyFlagType{"MPOL_F_NOSUCH"}},
	} {
		e.Container(func(s *specs.Spec) { s.Linux.MemoryPolicy = p }).Create().Fails(e, "/linux/memoryPolicy"+field)
	}
}

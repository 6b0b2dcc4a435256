package security

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// confinement is how a payload that attacks is confined.
type confinement struct {
	name   string
	userns bool
	// flags are those of tests/internal/confined.
	flags []string
}

var confinements = []confinement{
	{"plain", false, nil},
	{"userns", true, nil},
	{"filter", false, []string{"-limit", "user=0,cgroup=0,net=0"}},
	{"limits", true, []string{"-limit", "user=0,cgroup=0,net=0"}},
	{"sealed", false, []string{"-seal", "always"}},
	{"sealed userns", true, []string{"-seal", "always"}},
}

// outcomes are what the payload's attacks (tests/internal/attack) come to, in the order of confinements. The payload
// is root with CAP_SYS_ADMIN, which may do most of this by its configuration; where it has its own user namespace,
// also CAP_SYS_RESOURCE. That attacks work where nothing is to be in their way shows that they are some.
var outcomes = map[string][]string{
	"user namespace: unshare": {"works", "works", "EPERM", "ENOSPC", "ENOSPC", "ENOSPC"},
	"user namespace: clone":   {"works", "works", "EPERM", "ENOSPC", "ENOSPC", "ENOSPC"},
	"user namespace: clone3":  {"works", "works", "ENOSYS", "ENOSPC", "ENOSPC", "ENOSPC"},
	"user namespace: i386":    {"works", "works", "EPERM", "ENOSPC", "ENOSPC", "ENOSPC"},
	// This kernel has no x32; where there is one, the filter counts its numbers with the others.
	"user namespace: x32":          {"ENOSYS", "ENOSYS", "EPERM", "ENOSYS", "ENOSYS", "ENOSYS"},
	"user namespace: limit raised": {"EACCES", "EROFS", "EACCES", "EROFS", "EACCES", "EROFS"},
	// What limits alone do not hold back: who mounts a procfs and has CAP_SYS_RESOURCE raises them.
	"user namespace: limit raised by another procfs":   {"EACCES", "works", "EACCES", "works", "EPERM", "EPERM"},
	"user namespace: the one around":                   {"EPERM", "EPERM", "EPERM", "EPERM", "EPERM", "EPERM"},
	"user namespace: the network's":                    {"EINVAL", "EINVAL", "EPERM", "EINVAL", "EPERM", "EPERM"},
	"net namespace":                                    {"works", "works", "EPERM", "ENOSPC", "works", "works"},
	"cgroup namespace":                                 {"works", "works", "EPERM", "ENOSPC", "ENOSPC", "ENOSPC"},
	"procfs":                                           {"works", "works", "works", "works", "EPERM", "EPERM"},
	"procfs of a new pid namespace":                    {"works", "works", "works", "works", "EPERM", "EPERM"},
	"sysfs of a new net namespace":                     {"works", "works", "EPERM", "ENOSPC", "EPERM", "EPERM"},
	"cgroup filesystem":                                {"works", "works", "works", "works", "EPERM", "EPERM"},
	"mask unmounted below a recursive bind mount":      {"works", "works", "works", "works", "EINVAL", "EINVAL"},
	"cgroup filesystem of a new cgroup namespace":      {"works", "works", "EPERM", "ENOSPC", "ENOSPC", "ENOSPC"},
	"mask unmounted in a new mount namespace":          {"works", "works", "works", "works", "EINVAL", "EINVAL"},
	"mask left behind by a bind mount":                 {"works", "works", "works", "works", "EINVAL", "EINVAL"},
	"mask left behind by open_tree":                    {"works", "works", "works", "works", "EINVAL", "EINVAL"},
	"mask moved away":                                  {"works", "works", "works", "works", "EINVAL", "EINVAL"},
	"procfs unmounted":                                 {"works", "works", "works", "works", "EINVAL", "EINVAL"},
	"mask unmounted below another root":                {"works", "works", "works", "works", "EINVAL", "EINVAL"},
	"read-only path: remount in a new mount namespace": {"works", "works", "works", "works", "EPERM", "EPERM"},
	"read-only path: mount_setattr":                    {"works", "works", "works", "works", "EPERM", "EPERM"},
	"read-only path: unmounted":                        {"works", "works", "works", "works", "EINVAL", "EINVAL"},
	"host name":                                        {"works", "works", "works", "works", "EPERM", "EPERM"},
	"capabilities: all of them":                        {"EPERM", "EPERM", "EPERM", "EPERM", "EPERM", "EPERM"},
	"capabilities: inheritable":                        {"EPERM", "EPERM", "EPERM", "EPERM", "EPERM", "EPERM"},
	"capabilities: ambient":                            {"EPERM", "EPERM", "EPERM", "EPERM", "EPERM", "EPERM"},
	"mask unmounted":                                   {"works", "works", "works", "works", "EINVAL", "EINVAL"},
	"read-only path: remount":                          {"works", "works", "works", "works", "EPERM", "EPERM"},
}

// attacker is a container whose payload may do much.
func attacker(v confinement) harness.Change {
	return func(s *specs.Spec) {
		caps := []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_CHROOT", "CAP_NET_ADMIN"}
		if v.userns {
			harness.UserNamespace(s)
			// Elsewhere the limits that it is about would be the machine's.
			caps = append(caps, "CAP_SYS_RESOURCE")
		}
		harness.Capabilities(caps...)(s)
	}
}

// armed is a container with the program that attacks.
func armed(e *harness.Env, changes ...harness.Change) *harness.Container {
	c := e.Container(changes...)
	e.Must(os.Link(harness.Attack(e.T), c.Rootfs+"/attack"))
	return c
}

// compareOutcomes compares what the payload has printed with the column.
func compareOutcomes(t *testing.T, what, printed string, column int) {
	t.Helper()
	seen := 0
	for line := range strings.Lines(printed) {
		name, got, _ := strings.Cut(strings.TrimSpace(line), "\t")
		want, known := outcomes[name]
		switch {
		case !known:
			t.Errorf("%s: %s, which is not expected to be tried, %s", what, name, got)
		case got == "ENOSYS" && strings.HasSuffix(name, "i386"): // a kernel that knows one kind of programs
		case got != want[column]:
			t.Errorf("%s: %s: %s, want %s", what, name, got, want[column])
		}
		seen++
	}
	if seen != len(outcomes) {
		t.Errorf("%s: %d attacks tried, want %d:\n%s", what, seen, len(outcomes), printed)
	}
}

// A payload, and a process that is executed in the container, try every way out.
func TestAttacks(t *testing.T) {
	for column, v := range confinements {
		t.Run(v.name, func(t *testing.T) {
			e := newEnv(t)
			payload := armed(e, attacker(v), harness.Args("/attack"))
			compareOutcomes(t, "the payload", payload.RunConfined(v.flags...).OK(e), column)
			running := armed(e, attacker(v))
			running.RunConfined(append([]string{"-detach"}, v.flags...)...).OK(e)
			compareOutcomes(t, "exec", running.Exec(nil, "/attack").OK(e), column)
			running.Delete("--force").OK(e)
			e.CheckNothingLeft()
		})
	}
}

// eachSealed runs a test with a container that has its own user namespace and one that has not.
func eachSealed(t *testing.T, f func(t *testing.T, e *harness.Env, change harness.Change)) {
	for _, v := range confinements[4:] {
		t.Run(v.name, func(t *testing.T) { f(t, newEnv(t), attacker(v)) })
	}
}

// The command line seals what is created, run and executed later; auto does where nothing is lost.
func TestSealFlag(t *testing.T) {
	eachSealed(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		const script = "unshare -U true 2>/dev/null && echo not sealed || echo sealed"
		few := harness.Capabilities("CAP_CHOWN", "CAP_SETUID")
		for name, test := range map[string]struct {
			flags []string
			caps  harness.Change
			want  string
		}{
			"no flag":                  {nil, few, "not sealed\n"},
			"never":                    {[]string{"--seal", "never"}, few, "not sealed\n"},
			"auto":                     {[]string{"--seal=auto"}, few, "sealed\n"},
			"auto, with a need for it": {[]string{"--seal", "auto"}, harness.Capabilities("CAP_NET_RAW"), "not sealed\n"},
			"always":                   {[]string{"--seal", "always"}, harness.Capabilities("CAP_NET_RAW"), "sealed\n"},
		} {
			if out := e.Container(change, test.caps, harness.Sh(script)).Run(test.flags...).OK(e); out != test.want {
				t.Errorf("%s: %s", name, out)
			}
		}
		lossy := e.Container(change, harness.Capabilities("CAP_NET_RAW"))
		if out := e.Bailey("plan", "--bundle", lossy.Bundle, "--seal", "always").OK(e); !strings.Contains(out, "prove the seal") {
			t.Errorf("plan of a sealed container: %s", out)
		}
		if out := e.Bailey("plan", "--bundle", lossy.Bundle, "--seal", "auto").OK(e); strings.Contains(out, "prove the seal") {
			t.Errorf("plan of a container that is not sealed: %s", out)
		}
		if w := e.LogWarnings(); !strings.Contains(w[len(w)-1], "not sealed: CAP_NET_RAW would have no effect over the net namespace") {
			t.Errorf("warnings: %q", w)
		}
		e.Container(change).Run("--seal", "yes").Fails(e, "--seal", "auto, always")
		c := e.Container(change, harness.Sh(script+" >/out; exec sleep 1000"))
		c.Create("--seal", "always").OK(e)
		if out := c.Sh(script); out != "sealed" {
			t.Errorf("exec in a created container: %s", out)
		}
		c.Start().OK(e)
		e.Eventually("the payload has tried", func() bool { return strings.Contains(c.Sh("cat /out 2>/dev/null; true"), "sealed") })
		if out := c.Sh("cat /out; " + script); out != "sealed\nsealed" {
			t.Errorf("the payload and exec: %s", out)
		}
		c.Delete("--force").OK(e)
		e.CheckNothingLeft()
	})
}

// Everything else of a container is in the seal as it is without: IDs, capabilities, filter, terminal, keyring,
// labels, hooks, limits, devices, files of the image, cgroups.
func TestSealedContainerIsWhole(t *testing.T) {
	eachSealed(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		script := `id -u; id -G; probe status Uid Groups CapBnd CapPrm CapEff CapAmb NoNewPrivs Seccomp; umask; ulimit -n
			cat /proc/self/uid_map | tr -s ' '; touch /tmp/x /work/y && stat -c '%u %g' /tmp/x /work/y; echo > /dev/null; head -c 4 /dev/zero | wc -c
			hostname; pwd; ls /dev/shm | wc -l; kill -0 1 && echo alive; cat /proc/self/cgroup | sort; chown 5 /tmp/x && stat -c %u /tmp/x; cat /hook; mount -t tmpfs x /tmp && echo mounted`
		umask := uint32(0o27)
		hook := e.WriteFile("hook.sh", "#!/bin/sh\n", 0o755)
		both := func(flags ...string) (payload, exec string) {
			c := e.Container(change, harness.Sh(script), func(s *specs.Spec) {
				s.Process.User = specs.User{UID: 3, GID: 4, AdditionalGids: []uint32{2000}, Umask: &umask}
				s.Process.Cwd = "/work/deep"
				s.Process.Capabilities.Ambient, s.Process.Capabilities.Inheritable = s.Process.Capabilities.Bounding, s.Process.Capabilities.Bounding
				s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 100, Hard: 200}}
				s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
					{Names: []string{"acct"}, Action: specs.ActErrno}}}
				s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: hook}}, StartContainer: []specs.Hook{{Path: "/bin/sh",
					Args: []string{"sh", "-c", "id -u >/hook; chmod 644 /hook"}, Env: []string{"PATH=/bin"}}}}
			})
			payload = c.Run(flags...).OK(e)
			c.Spec.Process.Args = []string{"sleep", "1000"}
			c.WriteSpec()
			c.RunDetached(flags...).OK(e)
			exec = c.Exec([]string{"--user", "3:4", "--additional-gids", "2000"}, "sh", "-c", "umask 027; cd /work/deep;"+script).OK(e)
			c.Delete("--force").OK(e)
			return payload, exec
		}
		payload, exec := both()
		sealedPayload, sealedExec := both("--seal", "always")
		// The mapping is what shows that there is a seal.
		normal := func(s string) string {
			var lines []string
			for line := range strings.Lines(s) {
				if f := strings.Fields(line); len(f) != 3 || f[0] != "0" {
					lines = append(lines, line)
				}
			}
			return strings.Join(lines, "")
		}
		if normal(payload) != normal(sealedPayload) {
			t.Errorf("the payload:\n%s\nsealed:\n%s", payload, sealedPayload)
		}
		if normal(exec) != normal(sealedExec) {
			t.Errorf("exec:\n%s\nsealed:\n%s", exec, sealedExec)
		}
		if !strings.HasSuffix(payload, "\n3\nmounted\n") {
			t.Errorf("not all was tried: %s", payload)
		}
		e.CheckNothingLeft()
	})
}

// A terminal in a sealed container, of the payload and of exec.
func TestSealedTerminal(t *testing.T) {
	eachSealed(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		c := e.Container(change)
		c.RunDetached("--seal", "always").OK(e)
		console := e.ConsoleSocket()
		c.Exec([]string{"--tty", "--console-socket", console.Path, "--detach"}, "sh", "-c", "tty > /out; test -w /dev/tty && echo yes >> /out").OK(e)
		console.Terminal()
		e.Eventually("the process has a terminal", func() bool {
			out := c.Sh("cat /out 2>/dev/null || true")
			return strings.HasPrefix(out, "/dev/pts/") && strings.HasSuffix(out, "yes")
		})
		c.Delete("--force").OK(e)
		e.CheckNothingLeft()
	})
}

// Mounts can be added to a sealed container, which is told that they are not sealed; what was there when it was made
// cannot be removed.
func TestMountsOfSealedContainer(t *testing.T) {
	eachSealed(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		c := e.Container(change, harness.Mounted("/opt", "tmpfs", "tmpfs"))
		c.RunDetached("--seal", "always").OK(e)
		list := e.WriteFile("mounts.json", `[{"destination": "/tmp/new", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]}]`, 0o644)
		e.Bailey("mounts", "add", c.ID, list).OK(e)
		if w := e.LogWarnings(); !strings.Contains(w[len(w)-1], "outside of the seal") {
			t.Errorf("warnings: %q", w)
		}
		if out := c.Sh("grep -c ' /tmp/new ' /proc/self/mounts"); out != "1" {
			t.Errorf("the mount is not there: %s", out)
		}
		e.Bailey("mounts", "remove", c.ID, list).OK(e)
		old := e.WriteFile("old.json", `[{"destination": "/opt", "type": "tmpfs", "source": "tmpfs"}]`, 0o644)
		e.Bailey("mounts", "remove", c.ID, old).Fails(e, "/opt", "EINVAL", "is locked")
		c.Delete("--force").OK(e)
		e.CheckNothingLeft()
	})
}

// A container that joins the user namespace of another is sealed in one of its own below it, and the other, whose
// namespace it is, has the limits that it had.
func TestSealInJoinedNamespace(t *testing.T) {
	e := newEnv(t)
	owner := e.Container(attacker(confinement{userns: true}))
	owner.RunDetached().OK(e)
	c := armed(e, attacker(confinement{}), harness.Joined(specs.UserNamespace, fmt.Sprintf("/proc/%d/ns/user", owner.PID())),
		harness.Args("/attack"), func(s *specs.Spec) {
			caps := []string{"CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_DAC_OVERRIDE", "CAP_SYS_CHROOT"}
			s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Permitted: caps, Effective: caps}
		})
	e.Must(os.Chown(c.Rootfs, harness.UserBase, harness.UserBase))
	compareOutcomes(t, "the payload", c.Run("--seal", "always").OK(e), len(confinements)-1)
	c.Spec.Process.Args = []string{"sleep", "1000"}
	c.WriteSpec()
	c.RunDetached("--seal", "always").OK(e)
	compareOutcomes(t, "exec", c.Exec(nil, "/attack").OK(e), len(confinements)-1)
	if out := owner.Sh("unshare -U true && echo made"); out != "made" {
		t.Errorf("the owner of the joined namespace: %s", out)
	}
	c.Delete("--force").OK(e)
	owner.Delete("--force").OK(e)
	e.CheckNothingLeft()
}

// Processes are executed in the container's own cgroups in every layout, though they come from inside its cgroup
// namespace.
func TestCgroupsOfExecInSealedContainer(t *testing.T) {
	harness.NeedRoot(t)
	for _, view := range harness.Views() {
		for _, v := range confinements[4:] {
			t.Run(string(view)+", "+v.name, func(t *testing.T) {
				t.Parallel()
				e := harness.New(t, view)
				c := e.Container(attacker(v))
				c.RunDetached("--seal", "always").OK(e)
				ready := e.Start(harness.Options{}, c.ExecArgs(nil, "sh", "-c", "echo >/ready; sleep 1000")...)
				e.Eventually("the process runs", func() bool { _, err := os.Stat(c.Rootfs + "/ready"); return err == nil })
				all := e.ProcFile(c.PID(), "cgroup")
				pids := strings.Fields(e.Bailey("ps", "--format", "json", c.ID).OK(e))
				list := strings.Split(strings.Trim(strings.Join(pids, ""), "[]"), ",")
				if len(list) < 2 {
					t.Errorf("processes %q", list)
				}
				for _, pid := range list {
					n, err := strconv.Atoi(pid)
					e.Must(err)
					if got := e.ProcFile(n, "cgroup"); got != all {
						t.Errorf("process %d is in\n%s, the init in\n%s", n, got, all)
					}
				}
				c.Delete("--force").OK(e)
				ready.Wait()
				e.CheckNothingLeft()
			})
		}
	}
}

// Who joins the user namespace of a sealed container's process cannot join the others, and is told why.
func TestJoiningSealedContainer(t *testing.T) {
	e := newEnv(t)
	owner := e.Container(attacker(confinement{userns: true}))
	owner.RunDetached("--seal", "always").OK(e)
	path := func(kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", owner.PID(), kind) }
	c := e.Container(harness.Joined(specs.UserNamespace, path("user")), harness.Joined(specs.NetworkNamespace, path("net")))
	r := c.Run()
	r.Fails(e, "join the net namespace", "EPERM", "sealed")
	owner.Delete("--force").OK(e)
	e.CheckNothingLeft()
}

// A process that bailey is placing in the container cannot be looked into by one that has CAP_SYS_PTRACE there, even in
// a container without a user namespace of its own, where it can without a seal.
func TestSealKeepsTracersOut(t *testing.T) {
	for flag, want := range map[string]string{"--seal=never": "ok", "--seal=always": "EACCES"} {
		t.Run(flag, func(t *testing.T) {
			e := newEnv(t)
			c := e.Container(attacker(confinement{}))
			c.Create(flag).OK(e)
			for _, file := range []string{"mem", "exe", "root"} {
				if got := strings.TrimSpace(c.Exec(nil, "probe", "open", "r", "/proc/1/"+file).OK(e)); got != want {
					t.Errorf("/proc/1/%s of a container that waits for start: %s, want %s", file, got, want)
				}
			}
			c.Delete("--force").OK(e)
			e.CheckNothingLeft()
		})
	}
}

// The kernel holds the processes of a user namespace together to what its maker's limits were; those of a sealed
// container are the ones that it was given, each process its own.
func TestSealHasNoLimitsOfItsCaller(t *testing.T) {
	eachSealed(t, func(t *testing.T, e *harness.Env, change harness.Change) {
		c := e.Container(change, harness.Sh("i=0; while [ $i -lt 60 ]; do sleep 1 & i=$((i+1)); done; echo all; ulimit -u"), func(s *specs.Spec) {
			s.Process.User = specs.User{UID: 1000, GID: 1000}
			s.Process.Capabilities = nil // who has CAP_SYS_RESOURCE or CAP_SYS_ADMIN is not limited
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NPROC", Soft: 1000, Hard: 1000}}
		})
		r := e.Run(harness.Options{Prefix: []string{"prlimit", "--nproc=40:2000"}}, c.RunArgs("--seal", "always")...)
		if out := r.OK(e); out != "all\n1000\n" {
			t.Errorf("%s", r)
		}
		e.CheckNothingLeft()
	})
}

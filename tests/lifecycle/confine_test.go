package lifecycle

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// Masked and read-only paths, attacked from inside by root without capabilities over mounts: what is masked is
// empty, what is read-only refuses to be written, and neither can be taken away.
func TestMasksFromInside(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		for _, change := range []harness.Change{harness.All(), harness.UserNamespace} {
			c := e.Container(harness.Capabilities("CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_CHOWN"), change, func(s *specs.Spec) {
				s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/secret", "/secretdir", "/no/such/path")
				s.Linux.ReadonlyPaths = append(s.Linux.ReadonlyPaths, "/fixed", "/fixeddir", "/no/such/path")
			})
			owner := 0
			if len(c.Spec.Linux.UIDMappings) > 0 {
				owner = harness.UserBase
			}
			for _, name := range []string{"secret", "fixed"} {
				e.Must(os.WriteFile(c.Rootfs+"/"+name, []byte("content\n"), 0o666))
				e.Must(os.Mkdir(c.Rootfs+"/"+name+"dir", 0o777))
				e.Must(os.WriteFile(c.Rootfs+"/"+name+"dir/file", []byte("content\n"), 0o666))
				for _, p := range []string{name, name + "dir", name + "dir/file"} {
					e.Must(os.Chown(c.Rootfs+"/"+p, owner, owner))
				}
			}
			c.RunDetached().OK(e)
			for script, want := range map[string]string{
				"cat /secret":                                                "",
				"ls -A /secretdir":                                           "",
				"cat /fixed":                                                 "content",
				"cat /fixeddir/file":                                         "content",
				"probe open w /fixed":                                        "EROFS",
				"probe open w /fixeddir/file":                                "EROFS",
				"probe open w /proc/sysrq-trigger":                           "EROFS ENOENT EACCES",
				"probe open w /proc/sys/kernel/hostname":                     "EROFS EACCES",
				"mkdir /secretdir/x 2>/dev/null; echo $?":                    "1",
				"umount /secret 2>/dev/null; echo $?":                        "1",
				"umount /proc/sys 2>/dev/null; echo $?":                      "1",
				"mount -o remount,rw /proc/sys 2>/dev/null; echo $?":         "1 255",
				"mount -o remount,bind,rw /fixed 2>/dev/null; echo $?":       "1 255",
				"mount -t proc proc /work 2>/dev/null; echo $?":              "1 255",
				"unshare -m true 2>/dev/null; echo $?":                       "1",
				"mv /fixeddir /other 2>/dev/null; echo $?":                   "1",
				"rm -f /fixed 2>/dev/null; echo $?":                          "1",
				"cd /proc/1/root; cat ../../secret":                          "",
				"cat /proc/1/cwd/secret":                                     "",
				"ls /proc/keys >/dev/null && wc -c < /proc/keys 2>/dev/null": "0",
				"ls -A /sys/firmware | wc -l":                                "0",
				"touch /sys/x 2>/dev/null; echo $?":                          "1",
				"mkdir /sys/fs/cgroup/x 2>/dev/null; echo $?":                "1",
			} {
				r := c.Exec(nil, "sh", "-c", script)
				if got := strings.TrimSpace(r.Stdout); !strings.Contains(" "+want+" ", " "+got+" ") && got != want {
					t.Errorf("%s: %q, want %q (%s)", script, got, want, r.Stderr)
				}
			}
		}
	})
}

// A nested user namespace cannot undo what the container's mounts are.
func TestNestedUserNamespaceUnlocksNothing(t *testing.T) {
	e := newEnv(t)
	data := e.Path("data")
	e.Must(os.Mkdir(data, 0o777))
	e.Must(os.Chmod(data, 0o777))
	c := e.Container(harness.UserNamespace, harness.Capabilities("CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"),
		harness.Mounted("/data", "bind", data, "rbind", "ro"), func(s *specs.Spec) { s.Linux.Seccomp = nil })
	c.RunDetached().OK(e)
	if got := c.Sh("unshare -Urm sh -c 'mount -o remount,bind,rw /data; touch /data/z' 2>/dev/null; ls /data/z 2>/dev/null | wc -l"); got != "0" {
		t.Errorf("a nested user namespace has unlocked a read-only mount")
	}
}

func TestReadonlyRoot(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container(func(s *specs.Spec) { s.Root.Readonly = true }, harness.Mounted("/tmp", "tmpfs", "tmpfs"))
		c.RunDetached().OK(e)
		if m := e.MountAt(c.PID(), "/"); !m.Has("ro") {
			t.Errorf("/: %+v", *m)
		}
		if got := c.Sh("touch /x 2>&1; touch /tmp/x && echo done"); !strings.Contains(got, "Read-only") || !strings.HasSuffix(got, "done") {
			t.Errorf("writes: %q", got)
		}
	})
}

// Profiles as they work: errno, the default errno, arguments, and ENOSYS for what is newer than the profile.
func TestSeccomp(t *testing.T) {
	e := newEnv(t)
	const newest = 449 // futex_waitv, the newest that the library of Debian 12 knows; beyond it is newer
	for name, test := range map[string]struct {
		profile specs.LinuxSeccomp
		probes  map[string]string // arguments of probe syscall: result
	}{
		"errno": {specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"acct"}, Action: specs.ActErrno, ErrnoRet: ptr(uint(unix.EXDEV))},
			{Names: []string{"swapoff", "nosuchcall"}, Action: specs.ActErrno},
		}}, map[string]string{
			fmt.Sprint(unix.SYS_ACCT):    "EXDEV",
			fmt.Sprint(unix.SYS_SWAPOFF): "EPERM",
			fmt.Sprint(unix.SYS_GETPID):  "number",
		}},
		"arguments": {specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"personality"}, Action: specs.ActErrno, ErrnoRet: ptr(uint(unix.EXDEV)),
				Args: []specs.LinuxSeccompArg{{Index: 0, Value: 8, Op: specs.OpEqualTo}}},
		}}, map[string]string{
			fmt.Sprint(unix.SYS_PERSONALITY, " 8"):          "EXDEV",
			fmt.Sprint(unix.SYS_PERSONALITY, " 0xffffffff"): "number",
		}},
		"newer than the profile": {specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: ptr(uint(unix.EXDEV)),
			Architectures: []specs.Arch{specs.ArchX86_64},
			Syscalls:      []specs.LinuxSyscall{{Names: allSyscallsBut(t, "acct"), Action: specs.ActAllow}}},
			map[string]string{
				fmt.Sprint(unix.SYS_ACCT): "EXDEV", // left out of the profile on purpose
				fmt.Sprint(newest + 200):  "ENOSYS",
				fmt.Sprint(100000):        "ENOSYS",
			}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, nnp := range []bool{true, false} {
				for _, user := range []uint32{0, 1000} {
					c := e.Container(func(s *specs.Spec) {
						s.Linux.Seccomp = &test.profile
						s.Process.NoNewPrivileges = nnp
						s.Process.User.UID = user
					})
					c.RunDetached().OK(e)
					s := e.Status(c.PID())
					if s["Seccomp"] != "2" || s["NoNewPrivs"] != map[bool]string{true: "1", false: "0"}[nnp] {
						t.Errorf("noNewPrivileges %v: NoNewPrivs %s, Seccomp %s", nnp, s["NoNewPrivs"], s["Seccomp"])
					}
					for args, want := range test.probes {
						got := strings.TrimSpace(c.Exec(nil, append([]string{"probe", "syscall"}, strings.Fields(args)...)...).OK(e))
						if want == "number" && strings.Trim(got, "0123456789") == "" {
							continue
						}
						if got != want {
							t.Errorf("noNewPrivileges %v, user %d: syscall %s: %s, want %s", nnp, user, args, got, want)
						}
					}
					c.Delete("--force").OK(e)
				}
			}
		})
	}
}

// allSyscallsBut returns names of the calls that the payload needs, and of one that makes the profile know
// numbers up to 449.
func allSyscallsBut(t *testing.T, but string) []string {
	t.Helper()
	names := strings.Fields(`read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction
		rt_sigprocmask rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe select sched_yield mremap madvise dup
		dup2 nanosleep getpid socket connect clone fork vfork execve exit wait4 kill uname fcntl getcwd chdir readlink
		umask getrlimit getuid getgid setuid setgid geteuid getegid getppid setpgid getpgrp setsid getgroups sigaltstack
		arch_prctl gettid futex sched_getaffinity set_tid_address clock_gettime clock_nanosleep exit_group epoll_wait
		epoll_ctl tgkill openat newfstatat readlinkat faccessat set_robust_list epoll_create1 pipe2 prlimit64 getrandom
		rseq clone3 faccessat2 futex_waitv eventfd2 epoll_pwait capset capget prctl statx time gettimeofday
		restart_syscall pause acct`)
	var kept []string
	for _, name := range names {
		if name != but {
			kept = append(kept, name)
		}
	}
	if len(kept) == len(names) {
		t.Fatal(but)
	}
	return kept
}

// A payload that the filter kills has died of SIGSYS.
func TestSeccompKill(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Args("probe", "syscall", fmt.Sprint(unix.SYS_ACCT), "0"), func(s *specs.Spec) {
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"acct"}, Action: specs.ActKillProcess}}}
	})
	if r := c.Run(); r.Code != 128+int(unix.SIGSYS) {
		t.Errorf("%s\nwant exit status 159", r)
	}
}

// All five sets of capabilities for root and for an ordinary user, and none where config.json says nothing.
func TestCapabilitySets(t *testing.T) {
	e := newEnv(t)
	all := []string{"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"}
	for name, test := range map[string]struct {
		user                    uint32
		caps                    *specs.LinuxCapabilities
		inh, prm, eff, bnd, amb string
	}{
		"root": {0, &specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all},
			capSet(), capSet(all...), capSet(all...), capSet(all...), capSet()},
		"root with nothing":    {0, nil, capSet(), capSet(), capSet(), capSet(), capSet()},
		"root with empty sets": {0, &specs.LinuxCapabilities{}, capSet(), capSet(), capSet(), capSet(), capSet()},
		"user": {1000, &specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all},
			capSet(), capSet(), capSet(), capSet(all...), capSet()},
		"user with ambient": {1000, &specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all,
			Inheritable: all, Ambient: all[1:2]},
			capSet(all...), capSet(all[1]), capSet(all[1]), capSet(all...), capSet(all[1])},
	} {
		for _, userns := range []bool{false, true} {
			c := e.Container(func(s *specs.Spec) {
				s.Process.User.UID = test.user
				s.Process.Capabilities = test.caps
				if userns {
					harness.UserNamespace(s)
				}
			})
			c.RunDetached().OK(e)
			s := e.Status(c.PID())
			got := []string{s["CapInh"], s["CapPrm"], s["CapEff"], s["CapBnd"], s["CapAmb"]}
			want := []string{test.inh, test.prm, test.eff, test.bnd, test.amb}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, userns %v: inh, prm, eff, bnd, amb are %v, want %v", name, userns, got, want)
			}
			c.Delete("--force").OK(e)
		}
	}
}

// With host networking and the host's /dev/null shared with the machine, a mount in the container must not
// show outside.
func TestMountsInsideStayInside(t *testing.T) {
	for name, change := range map[string]harness.Change{"no userns": harness.All(), "userns": harness.UserNamespace} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			c := e.Container(change, harness.Capabilities("CAP_SYS_ADMIN"))
			c.RunDetached().OK(e)
			c.Exec(nil, "sh", "-c", `for t in /dev/null /dev/zero /dev/tty /proc/keys /proc/timer_list /sys/firmware /dev /work /proc/sys; do
				mount --bind /etc/passwd $t || mount -t tmpfs none $t; done 2>/dev/null`)
			if m := e.MountAt(c.PID(), "/work"); m == nil {
				t.Fatal("nothing could be mounted in the container, so nothing is tested")
			}
			if left := e.Left(); strings.Contains(strings.Join(left, "\n"), "mount: ") {
				t.Errorf("mounts of the container show outside: %q", left)
			}
		})
	}
}

// A capability that bailey does not hold itself cannot be granted: the container starts without it, with a warning.
func TestCapabilityThatIsNotHeld(t *testing.T) {
	if held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0); err != nil || held != 0 {
		t.Skip("every capability is held here")
	}
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container(harness.Capabilities("CAP_KILL", "CAP_SYS_RESOURCE"), harness.Sh("grep -E 'Cap(Eff|Bnd)' /proc/self/status | cut -f2"))
		out := c.Run().OK(e)
		if got, want := strings.Fields(out), []string{capSet("CAP_KILL"), capSet("CAP_KILL")}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("effective and bounding set: %v, want %v", got, want)
		}
		if w := e.LogWarnings(); len(w) != 1 || !strings.Contains(w[0], "CAP_SYS_RESOURCE") {
			t.Errorf("warnings: %q", w)
		}
		e.CheckNothingLeft()
	})
}

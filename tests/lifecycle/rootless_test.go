package lifecycle

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// ordinary is an ordinary user of the machine that the Env's mount namespace shows.
type ordinary struct {
	e *harness.Env
	o harness.Options
}

// The user's own ID, and the subordinate ones.
const userID, subIDs, subCount = harness.UserID, harness.SubIDs, harness.SubCount

func newUser(t *testing.T) *ordinary {
	t.Helper()
	e := newEnv(t)
	return &ordinary{e, e.User(harness.Granted(), harness.Granted())}
}

func (u *ordinary) run(args ...string) *harness.Result {
	u.e.T.Helper()
	return u.e.Run(u.o, args...)
}

// container has a user namespace in which the user is root, with the subordinate IDs behind it if more is set.
func (u *ordinary) container(more bool, changes ...harness.Change) *harness.Container {
	u.e.T.Helper()
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: userID, Size: 1}}
	if more {
		maps = append(maps, specs.LinuxIDMapping{ContainerID: 1, HostID: subIDs, Size: subCount})
	}
	c := u.e.Container(append([]harness.Change{func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings, s.Linux.GIDMappings = slices.Clone(maps), slices.Clone(maps)
		s.Linux.CgroupsPath = "" // what an ordinary user cannot make is done without
		s.Linux.Resources = nil
		if !more {
			// As bailey spec --rootless has it: the group tty is not mapped.
			for i := range s.Mounts {
				if s.Mounts[i].Destination == "/dev/pts" {
					s.Mounts[i].Options = []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
				}
			}
		}
	}}, changes...)...)
	c.OwnedBy(userID)
	return c
}

// An ordinary user runs containers: with the own ID alone, and with subordinate ones.
func TestRootless(t *testing.T) {
	const script = `id -u; cat /proc/self/uid_map | tr -s ' '; cat /proc/self/setgroups; echo text > /work/new && stat -c %u /work/new;
		echo > /dev/null && ls /dev/shm && hostname; mount | grep -c ' / '; wc -c < /proc/keys`
	for _, more := range []bool{false, true} {
		t.Run(fmt.Sprint("subordinate IDs ", more), func(t *testing.T) {
			u := newUser(t)
			c := u.container(more, harness.Sh(script), func(s *specs.Spec) { s.Hostname = "inside" })
			want := fmt.Sprintf("0\n 0 %d 1\ndeny\n0\ninside\n1\n0\n", userID)
			if more {
				want = fmt.Sprintf("0\n 0 %d 1\n 1 %d %d\nallow\n0\ninside\n1\n0\n", userID, subIDs, subCount)
			}
			r := u.run(c.RunArgs()...)
			if got := r.OK(u.e); got != want {
				t.Errorf("%s\nwant %q", r, want)
			}
			st, err := os.Stat(c.Rootfs + "/work/new")
			u.e.Must(err)
			if owner := st.Sys().(*syscall.Stat_t).Uid; owner != userID {
				t.Errorf("the new file belongs to %d outside", owner)
			}
		})
	}
}

// An ordinary user's container is sealed like any other, with one ID and with many, and so is what is executed in it.
func TestRootlessSeal(t *testing.T) {
	const script = `id -u; cat /proc/self/uid_map | tr -s ' '; cat /proc/self/setgroups; echo text > /work/new && stat -c %u /work/new
		umount /proc/keys 2>&1; unshare -U true 2>&1; unshare -m umount /proc/keys 2>&1; unshare -pmf mount -t proc proc /tmp 2>&1; wc -c < /proc/keys; true`
	for _, more := range []bool{false, true} {
		t.Run(fmt.Sprint("subordinate IDs ", more), func(t *testing.T) {
			u := newUser(t)
			c := u.container(more, harness.Sh(script), harness.Capabilities("CAP_SYS_ADMIN", "CAP_SYS_RESOURCE", "CAP_SYS_CHROOT"))
			maps, setgroups := " 0 0 1\n", "deny\n"
			if more {
				maps, setgroups = fmt.Sprintf(" 0 0 1\n 1 1 %d\n", subCount), "allow\n"
			}
			want := "0\n" + maps + setgroups + "0\n" +
				"umount: can't unmount /proc/keys: Invalid argument\n" +
				"unshare: unshare(0x10000000): No space left on device\n" +
				"umount: can't unmount /proc/keys: Invalid argument\n" +
				"mount: permission denied (are you root?)\n0\n"
			if r := u.run(c.RunArgs("--seal", "always")...); r.OK(u.e) != want {
				t.Errorf("%s\nwant %q", r, want)
			}
			c.Spec.Process.Args = []string{"sleep", "1000"}
			c.WriteSpec()
			u.run(c.RunArgs("--detach", "--seal", "always")...).OK(u.e)
			if r := u.run(c.ExecArgs(nil, "sh", "-c", script)...); r.OK(u.e) != want {
				t.Errorf("exec: %s\nwant %q", r, want)
			}
			u.run("delete", "--force", c.ID).OK(u.e)
			// Nothing is asked for that it would lose.
			c = u.container(more, harness.Sh("unshare -U true 2>/dev/null || echo sealed"), harness.Capabilities())
			if r := u.run(c.RunArgs("--seal", "auto")...); r.OK(u.e) != "sealed\n" {
				t.Errorf("auto: %s", r)
			}
		})
	}
}

// With and without subordinate IDs an ordinary user's container has every station of its life, and a terminal by hand.
func TestRootlessStations(t *testing.T) {
	for _, more := range []bool{false, true} {
		t.Run(fmt.Sprint("subordinate IDs ", more), func(t *testing.T) {
			u := newUser(t)
			e := u.e
			c := u.container(more, harness.Sh("trap 'exit 0' TERM; while :; do sleep 0.01; done"))
			u.run("create", "--bundle", c.Bundle, c.ID).OK(e)
			u.run("start", c.ID).OK(e)
			if out := u.run(c.ExecArgs(nil, "sh", "-c", "id -u; tail -n 1 /proc/self/uid_map | tr -s ' '")...).OK(e); !strings.HasPrefix(out, "0\n ") {
				t.Errorf("%q", out)
			}
			u.run("kill", c.ID, "TERM").OK(e)
			e.Eventually("it has stopped", func() bool { return strings.Contains(u.run("state", c.ID).Stdout, `"stopped"`) })
			u.run("delete", c.ID).OK(e)

			term := u.container(more, harness.Terminal, harness.Sh("tty; read x; echo got $x; exit 4"))
			pty := e.NewPTY()
			e.Must(os.Chown(pty.Slave.Name(), userID, userID))
			o := u.o
			o.TTY = pty.Slave
			run := e.Start(o, term.RunArgs()...)
			e.Eventually("it has a terminal", func() bool { return strings.Contains(pty.Text(), "/dev/pts/0") })
			_, err := pty.Master.WriteString("words\n")
			e.Must(err)
			if r := run.Wait(); r.Code != 4 {
				t.Error(r)
			}
			e.Eventually("its answer arrives", func() bool { return strings.Contains(pty.Text(), "got words") })
		})
	}
}

// The life cycle of an ordinary user's container, with every command.
func TestRootlessLifeCycle(t *testing.T) {
	u := newUser(t)
	e := u.e
	c := u.container(true, func(s *specs.Spec) {
		s.Process.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{2000}}
		s.Process.OOMScoreAdj = ptr(300)
		s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 300, Hard: 400}}
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"acct"}, Action: specs.ActErrno}}}
	}, harness.Mounted("/data", "bind", e.Dir, "rbind", "ro"), harness.Mounted("/run", "tmpfs", "tmpfs", "nosuid"))
	u.run("create", "--bundle", c.Bundle, "--pid-file", e.Path("own/pid"), c.ID).OK(e)
	pid := e.PIDFile(e.Path("own/pid"))
	u.run("start", c.ID).OK(e)
	s := e.Status(pid)
	if want := fmt.Sprint(subIDs + 999); strings.Fields(s["Uid"])[0] != want || s["Groups"] != fmt.Sprint(subIDs+1999) || s["Seccomp"] != "2" || s["CapEff"] != capSet() {
		t.Errorf("Uid %q, Groups %q, Seccomp %q, CapEff %q; want user %s", s["Uid"], s["Groups"], s["Seccomp"], s["CapEff"], want)
	}
	if got := e.ProcFile(pid, "oom_score_adj"); got != "300" {
		t.Errorf("oom_score_adj %q", got)
	}
	if got := e.Limits(pid)["Max open files"]; got != "300 400" {
		t.Errorf("RLIMIT_NOFILE %q", got)
	}
	if m := e.MountAt(pid, "/data"); m == nil || !m.Has("ro") {
		t.Errorf("/data: %+v", m)
	}
	if out := u.run("state", c.ID).OK(e); !strings.Contains(out, `"running"`) {
		t.Error(out)
	}
	if out := u.run("list", "--quiet").OK(e); strings.TrimSpace(out) != c.ID {
		t.Errorf("list: %q", out)
	}
	if out := u.run("exec", c.ID, "sh", "-c", "id -u; id -G; cat /proc/1/comm").OK(e); out != "1000\n1000 2000\nsleep\n" {
		t.Errorf("exec: %q", out)
	}
	if out := u.run("exec", "--user", "0:0", c.ID, "sh", "-c", "id -u; cat /data/subuid >/dev/null; touch /data/x 2>&1").Stdout; out != "0\ntouch: /data/x: Read-only file system\n" {
		t.Errorf("exec as root: %q", out)
	}
	u.run("mounts", "add", c.ID, e.WriteFile("tmpfs.json", `[{"destination":"/later","type":"tmpfs","source":"tmpfs"}]`, 0o644)).OK(e)
	if m := e.MountAt(pid, "/later"); m == nil {
		t.Error("/later is not mounted")
	}
	u.run("mounts", "add", c.ID, e.WriteFile("bind.json", `[{"destination":"/later","type":"bind","source":"/etc","options":["rbind"]}]`, 0o644)).
		Fails(e, "mounts file /mounts/0", "only while it is made")
	u.run("kill", c.ID, "KILL").OK(e)
	e.Eventually("it has stopped", func() bool { return strings.Contains(u.run("state", c.ID).OK(e), `"stopped"`) })
	u.run("delete", c.ID).OK(e)

	if r := u.run(u.container(true, harness.Sh("exit 7")).RunArgs()...); r.Code != 7 {
		t.Error(r)
	}
}

// Clocks of a time namespace are set by its maker, who is no root.
func TestRootlessTimeOffsets(t *testing.T) {
	if !exists("/proc/self/ns/time") {
		t.Skip("this kernel has no time namespaces")
	}
	u := newUser(t)
	c := u.container(true, harness.Sh("cut -d. -f1 /proc/uptime"), func(s *specs.Spec) {
		s.Version = "1.1.0"
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1e9}}
	})
	if got := u.run(c.RunArgs()...).OK(u.e); len(got) != len("1000000000\n") {
		t.Errorf("up for %q seconds", got)
	}
}

// Where the configuration has no user namespace, the container gets one with the IDs that the user has.
func TestRootlessOwnIDs(t *testing.T) {
	u := newUser(t)
	c := u.container(true, func(s *specs.Spec) {
		harness.Without(specs.UserNamespace)(s)
		s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
	})
	u.run("run", "--detach", "--bundle", c.Bundle, c.ID).OK(u.e)
	want := fmt.Sprintf(" 0 %d 1\n 1 %d %d\n", userID, subIDs, subCount)
	if got := u.run("exec", c.ID, "sh", "-c", "tr -s ' ' < /proc/1/uid_map").OK(u.e); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := u.run("exec", "--user", "1000", c.ID, "sh", "-c", "id -u; readlink /proc/self/ns/user; readlink /proc/1/ns/user").Stdout; !strings.HasPrefix(got, "1000\nuser:") {
		t.Errorf("%q", got)
	}
	u.run("delete", "--force", c.ID).OK(u.e)
}

// Root of a user namespace that an ordinary user's engine has made, as Podman does: the state is the user's, and a
// container without a cgroup of its own is shown, read-only, that of the caller.
func TestRootOfUsersNamespace(t *testing.T) {
	u := newUser(t)
	c := u.container(false, harness.Without(specs.CgroupNamespace), harness.Sh("ls "+u.e.Root+" 2>/dev/null; id -u; grep -c ' /sys/fs/cgroup' /proc/self/mountinfo; grep ' /sys/fs/cgroup' /proc/self/mountinfo | grep -vc ' ro,'; true"),
		harness.Mounted("/sys/fs/cgroup", "cgroup", "cgroup", "ro"), func(s *specs.Spec) {
			harness.Without(specs.UserNamespace)(s)
			s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
		})
	o := u.o
	o.NoGlobals, o.Prefix = true, []string{"unshare", "--user", "--map-root-user", "--mount"}
	r := u.e.Run(o, "run", "--bundle", c.Bundle, c.ID)
	f := strings.Split(r.OK(u.e), "\n")
	if len(f) < 3 || f[0] != "0" || f[1] == "0" || f[2] != "0" {
		t.Errorf("%s", r)
	}
	if _, err := os.Stat(u.e.Root + "/bailey"); err != nil {
		t.Errorf("the state was elsewhere: %v", err)
	}
	os.RemoveAll(u.e.Root + "/bailey")
}

// All of the kernel's 340 mapping lines go through newuidmap.
// The caller's groups are kept where the annotation of crun's asks for that, in the container's user namespace and without one.
func TestKeptGroups(t *testing.T) {
	e := newEnv(t)
	o := harness.Options{Prefix: []string{"setpriv", "--groups", "4711"}}
	for name, change := range map[string]harness.Change{"as root": harness.All(), "in a user namespace": harness.UserNamespace} {
		t.Run(name, func(t *testing.T) {
			groups := func(changes ...harness.Change) string {
				c := e.Container(append([]harness.Change{change, harness.Sh("grep Groups /proc/self/status")}, changes...)...)
				return e.Run(o, c.RunArgs()...).OK(e)
			}
			asked := func(s *specs.Spec) { s.Annotations = map[string]string{"run.oci.keep_original_groups": "1"} }
			if got := groups(asked); !strings.Contains(got, "4711") && !strings.Contains(got, "65534") {
				t.Errorf("groups are not kept: %q", got)
			}
			if got := groups(); strings.Contains(got, "4711") || strings.Contains(got, "65534") {
				t.Errorf("groups are kept: %q", got)
			}
		})
	}
}

func TestRootlessMappingLines(t *testing.T) {
	u := newUser(t)
	c := u.container(false, harness.Sh("wc -l < /proc/self/uid_map; wc -l < /proc/self/gid_map; tail -n 1 /proc/self/uid_map | tr -s ' '"))
	for i := range uint32(339) {
		line := specs.LinuxIDMapping{ContainerID: 1 + i, HostID: subIDs + 3*i, Size: 1}
		c.Spec.Linux.UIDMappings = append(c.Spec.Linux.UIDMappings, line)
		c.Spec.Linux.GIDMappings = append(c.Spec.Linux.GIDMappings, line)
	}
	c.WriteSpec()
	if got, want := u.run(c.RunArgs()...).OK(u.e), fmt.Sprintf("340\n340\n %d %d 1\n", 339, subIDs+3*338); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Root's maps have as many. They have to fit into a page, too.
func TestMappingLines(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.UserNamespace, func(s *specs.Spec) {
		s.Linux.UIDMappings = nil
		for i := range uint32(340) {
			s.Linux.UIDMappings = append(s.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: i, HostID: 4000 + 3*i, Size: 1})
		}
		s.Linux.GIDMappings = s.Linux.UIDMappings
	}, harness.Sh("wc -l < /proc/self/uid_map; wc -l < /proc/self/gid_map"))
	if got := c.Run().OK(e); got != "340\n340\n" {
		t.Errorf("%q", got)
	}
}

// What an ordinary user cannot have is refused with the reason, and nothing is left.
func TestRootlessRefused(t *testing.T) {
	u := newUser(t)
	secret := u.e.Path("secret")
	u.e.Must(os.MkdirAll(secret+"/in", 0o755))
	u.e.Must(os.Chmod(secret, 0o700))
	for _, tc := range []struct {
		more   bool
		change harness.Change
		texts  []string
	}{
		{false, func(s *specs.Spec) { s.Linux.UIDMappings[0].HostID = 0 }, []string{"/linux/uidMappings", "not all of"}},
		{true, func(s *specs.Spec) { s.Linux.GIDMappings[1].Size++ }, []string{"/linux/gidMappings", "not all of"}},
		{true, harness.Mounted("/data", "bind", u.e.Dir, "bind", "idmap"), []string{"/mounts/", "only root"}},
		{true, harness.Mounted("/data", "bind", "/", "bind"), []string{"/mounts/", "rbind"}},
		{true, harness.Mounted("/data", "bind", secret+"/in", "bind"), []string{"/mounts/", "EACCES", secret}},
		{true, func(s *specs.Spec) {
			s.Linux.CgroupsPath = "/" + u.e.ID + "-rootless"
			s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr[int64](5)}}
		}, []string{"cgroup", "permission denied"}},
	} {
		c := u.container(tc.more)
		tc.change(c.Spec)
		c.WriteSpec()
		u.run("create", "--bundle", c.Bundle, c.ID).Fails(u.e, tc.texts...)
	}
}

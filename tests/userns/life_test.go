package userns

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func ptr[T any](v T) *T { return &v }

// All commands work on a container with IDs of its own, in every cgroup view, with a cgroup namespace and without.
func TestLife(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		for name, change := range map[string]harness.Change{"own cgroup namespace": harness.All(), "shared": harness.Without(specs.CgroupNamespace)} {
			c := e.Container(change, harness.Mounted("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev"), func(s *specs.Spec) {
				if e.HasController("pids") {
					s.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr[int64](100)}
				}
				hook := func(point string) []specs.Hook {
					return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "cat > /dev/null; echo " + point + " >> " + e.Path("hooks")}}}
				}
				s.Hooks = &specs.Hooks{CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"), Poststart: hook("poststart"), Poststop: hook("poststop")}
			})
			e.Must(os.WriteFile(e.Path("hooks"), nil, 0o666))
			e.Must(os.Chmod(e.Path("hooks"), 0o666)) // for the one that is the container's root
			c.Create("--userns", "auto").OK(e)
			c.Start().OK(e)
			pid := c.PID()
			if got := c.Sh("id -u; grep -c cgroup /proc/mounts"); !strings.HasPrefix(got, "0\n") || got == "0\n0" {
				t.Errorf("%s: %q", name, got)
			}
			if got := c.Exec([]string{"--user", "1000:1000", "--additional-gids", "2000"}, "sh", "-c", "id -u; id -G").OK(e); got != "1000\n1000 2000\n" {
				t.Errorf("%s: exec --user: %q", name, got)
			}
			c.Exec([]string{"--user", "65536"}, "id").Fails(e, "65536")
			var pids []int
			e.Must(json.Unmarshal([]byte(e.Bailey("ps", "--format", "json", c.ID).OK(e)), &pids))
			if len(pids) != 1 || pids[0] != pid {
				t.Errorf("%s: ps: %v", name, pids)
			}
			if out := e.Bailey("events", "--stats", c.ID).OK(e); !strings.Contains(out, `"type":"stats"`) {
				t.Errorf("%s: events: %q", name, out)
			}
			if e.HasController("pids") {
				e.Bailey("update", "--pids-limit", "77", c.ID).OK(e)
				controller := "pids"
				if e.View == harness.V2 {
					controller = ""
				}
				if got := c.CgroupValue(controller, "pids.max"); got != "77" {
					t.Errorf("%s: update: %q", name, got)
				}
			}
			e.Bailey("pause", c.ID).OK(e)
			c.ExpectStatus("paused")
			e.Bailey("resume", c.ID).OK(e)
			volume := e.Path("volume")
			e.Must(os.Mkdir(volume, 0o777))
			e.Must(os.Chmod(volume, 0o777))
			e.Must(os.WriteFile(volume+"/file", nil, 0o600))
			e.Must(os.Chown(volume+"/file", 33, 34))
			list := e.WriteFile("mounts.json", fmt.Sprintf(`[{"destination":"/added","type":"bind","source":%q,"options":["rbind"]},{"destination":"/tmpfs","type":"tmpfs","source":"tmpfs"}]`, volume), 0o644)
			e.Bailey("mounts", "add", c.ID, list).OK(e)
			if got := c.Sh("stat -c %u:%g /added/file; touch /added/new; touch /tmpfs/x; stat -c %u /tmpfs/x"); got != "33:34\n0" {
				t.Errorf("%s: mounts add: %q", name, got)
			}
			c.Exec([]string{"--user", "1000:1001"}, "touch", "/added/of-user").OK(e)
			for file, want := range map[string]uint32{"new": 0, "of-user": 1000} {
				var st unix.Stat_t
				e.Must(unix.Stat(volume+"/"+file, &st))
				if st.Uid != want || st.Gid != want+want/1000 {
					t.Errorf("%s: %s on an added mount belongs to %d:%d", name, file, st.Uid, st.Gid)
				}
			}
			e.Bailey("mounts", "remove", c.ID, list).OK(e)
			c.Kill("KILL").OK(e)
			c.WaitStatus("stopped")
			c.Delete().OK(e)
			if b, _ := os.ReadFile(e.Path("hooks")); string(b) != "createRuntime\ncreateContainer\npoststart\npoststop\n" {
				t.Errorf("%s: hooks: %q", name, b)
			}
			os.RemoveAll(volume)
		}
		noneHeld(e)
	})
}

// A terminal belongs to the container's user.
func TestTerminal(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Terminal, func(s *specs.Spec) { s.Process.User.UID = 1000 },
		harness.Sh("test -t 0 && stat -c %u $(tty) && stat -c %u /dev/console"))
	socket := e.ConsoleSocket()
	c.Create("--userns", "auto", "--console-socket", socket.Path).OK(e)
	pty := socket.Terminal()
	c.Start().OK(e)
	e.Eventually("the owners of the terminal", func() bool { return strings.Contains(pty.Text(), "1000\r\n1000\r\n") })
	c.Delete("--force").OK(e)
}

// Devices have the modes and owners of the configuration, and the paths; what is not listed cannot be used.
func TestDevices(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		device := func(path string, minor int64, mode os.FileMode, uid, gid uint32) specs.LinuxDevice {
			return specs.LinuxDevice{Path: path, Type: "c", Major: 10, Minor: minor, FileMode: &mode, UID: &uid, GID: &gid}
		}
		c := e.Container(func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{device("/dev/fuse", 229, 0o666, 0, 0), device("/dev/under/another/name", 229, 0o640, 1000, 33),
				{Path: "/dev/fifo", Type: "p", FileMode: ptr[os.FileMode](0o604), UID: ptr[uint32](7), GID: ptr[uint32](8)}}
			s.Linux.Resources.Devices = append(s.Linux.Resources.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr[int64](10), Minor: ptr[int64](229), Access: "rwm"})
		})
		var before unix.Stat_t
		e.Must(unix.Stat("/dev/fuse", &before))
		c.RunDetached("--userns", "auto").OK(e)
		got := c.Sh("cd /dev; stat -c '%n %F %t:%T %a %u:%g' fuse under/another/name fifo null; probe open rw fuse; probe open rw null; chown 3 fuse 2>&1; chmod 600 fuse 2>&1")
		want := "fuse character special file a:e5 666 0:0\nunder/another/name character special file a:e5 640 1000:33\nfifo fifo 0:0 604 7:8\nnull character special file 1:3 666 65534:65534\nok\nok"
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if got := c.Exec([]string{"--user", "1000:1000"}, "probe", "open", "rw", "/dev/under/another/name").OK(e); got != "ok\n" {
			t.Errorf("by its owner: %q", got)
		}
		if got := c.Exec([]string{"--user", "7:7"}, "probe", "open", "r", "/dev/under/another/name").OK(e); got != "EACCES\n" {
			t.Errorf("by another: %q", got)
		}
		var after unix.Stat_t
		e.Must(unix.Stat("/dev/fuse", &after))
		if before != after && (before.Mode != after.Mode || before.Uid != after.Uid || before.Ctim != after.Ctim) {
			t.Errorf("the machine's device was %+v, is %+v", before, after)
		}
		c.Delete("--force").OK(e)
		c = e.Container(func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{device("/dev/fuse", 229, 0o666, 70000, 0)} })
		c.Create("--userns", "auto").Fails(e, "/linux/devices/0", "its owner")
	})
}

// Masked and read-only paths, as root of a user namespace that has every capability.
func TestMaskedPaths(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Capabilities("CAP_DAC_OVERRIDE", "CAP_CHOWN"), func(s *specs.Spec) {
		s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/etc/passwd", "/home")
		s.Linux.ReadonlyPaths = append(s.Linux.ReadonlyPaths, "/work")
	})
	e.Must(os.WriteFile(c.Rootfs+"/home/secret", []byte("secret"), 0o644))
	c.RunDetached("--userns", "auto").OK(e)
	if got := c.Sh("wc -c < /etc/passwd; ls /home; wc -c < /proc/keys; touch /work/x 2>&1 | grep -c Read-only; echo 1 2>&1 > /proc/sys/kernel/panic || true"); !strings.HasPrefix(got, "0\n0\n1") {
		t.Errorf("%q", got)
	}
}

// What cannot be shown with other owners is refused by the name of its filesystem and its path; what belongs to nobody is shown as
// it is.
func TestSourcesWithoutOwners(t *testing.T) {
	e := newEnv(t)
	dir := e.Path("tree")
	for _, at := range []string{dir, dir + "/below", dir + "/pseudo", e.Path("mapped")} {
		e.Must(os.Mkdir(at, 0o755))
	}
	e.Tool("mount", "-t", "ramfs", "ramfs", dir+"/below")
	e.Tool("mount", "-t", "tmpfs", "tmpfs", e.Path("mapped"))
	helper := e.Container(harness.UserNamespace)
	helper.RunDetached().OK(e)
	pid := helper.PID()
	do(e, func() error { // an idmapped mount of it, on top
		fd, err := unix.OpenTree(unix.AT_FDCWD, e.Path("mapped"), unix.OPEN_TREE_CLONE)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", pid))
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())}); err != nil {
			return err
		}
		return unix.MoveMount(fd, "", unix.AT_FDCWD, e.Path("mapped"), unix.MOVE_MOUNT_F_EMPTY_PATH)
	})
	helper.Delete("--force").OK(e)
	e.Mounted()
	last := func(c *harness.Container) string { return fmt.Sprintf("config.json /mounts/%d", len(c.Spec.Mounts)-1) }
	for _, tc := range []struct {
		name    string
		change  harness.Change
		texts   []string
		isMount bool
	}{
		{"a filesystem that cannot", harness.Mounted("/data", "bind", dir+"/below", "bind"), []string{dir + "/below", "of the type ramfs"}, true},
		{"one below", harness.Mounted("/data", "bind", dir, "rbind"), []string{dir + "/below", "of the type ramfs", "bind instead of rbind"}, true},
		{"a mapped mount", harness.Mounted("/data", "bind", e.Path("mapped"), "bind"), []string{e.Path("mapped"), "has an ID mapping already"}, true},
		{"pseudo filesystems below", harness.Mounted("/host", "bind", "/", "rbind", "ro"), []string{"/proc is on a filesystem of the type proc", "cannot show other owners"}, true},
		{"as the root filesystem", func(s *specs.Spec) { s.Root.Path = dir + "/below" }, []string{dir + "/below", "of the type ramfs", "config.json /root/path"}, false},
	} {
		c := e.Container(tc.change)
		texts := tc.texts
		if tc.isMount {
			texts = append(texts, last(c))
		}
		before := t.Failed()
		c.Create("--userns", "auto").Fails(e, texts...)
		if t.Failed() && !before {
			t.Errorf("^ %s", tc.name)
		}
		e.CheckNothingLeft()
	}
	c := e.Container(harness.Mounted("/sys/firmware", "bind", "/sys/kernel", "bind", "ro"), harness.Mounted("/dev/kmsg", "bind", "/dev/null", "bind"),
		harness.Mounted("/work", "bind", dir, "bind"), func(s *specs.Spec) { s.Linux.MaskedPaths = nil })
	c.RunDetached("--userns", "auto").OK(e)
	if got := c.Sh("ls -d /sys/firmware/mm; probe open rw /dev/kmsg; stat -c %u /work"); got != "/sys/firmware/mm\nok\n0" {
		t.Errorf("%q", got)
	}
	c.Delete("--force").OK(e)
	// The container's own cgroup is made after everything else was looked at.
	if e.View != harness.V2 {
		c = e.Container()
		harness.Mounted("/mine", "bind", c.CgroupDir("pids"), "bind")(c.Spec)
		c.WriteSpec()
		c.RunDetached("--userns", "auto").OK(e)
		if got := c.Sh("cat /mine/pids.max"); got == "" {
			t.Error("the cgroup is not shown")
		}
		c.Delete("--force").OK(e)
	}
	noneHeld(e)
}

// Mappings of mounts that the configuration has itself are meant for a container without a user namespace.
func TestMappedMounts(t *testing.T) {
	e := newEnv(t)
	volume := e.Path("volume")
	e.Must(os.Mkdir(volume, 0o777))
	e.Must(os.Chown(volume, 5, 5))
	e.Must(os.Chmod(volume, 0o777))
	e.Must(os.WriteFile(volume+"/file", nil, 0o644))
	e.Must(os.Chown(volume+"/file", 5, 5))
	maps := []specs.LinuxIDMapping{{ContainerID: 5, HostID: 1000, Size: 2}}
	const show = "stat -c %u:%g /data/file; touch /data/new"
	for name, change := range map[string]harness.Change{
		"mappings": harness.All(harness.Mounted("/data", "bind", volume, "bind"), func(s *specs.Spec) {
			m := &s.Mounts[len(s.Mounts)-1]
			m.UIDMappings, m.GIDMappings = maps, maps
		}),
		"option": harness.Mounted("/data", "bind", volume, "bind", "idmap=uids=5-1000-2;gids=5-1000-2"),
	} {
		c := e.Container(change, harness.Sh(show), func(s *specs.Spec) { s.Process.User = specs.User{UID: 1001, GID: 1001} })
		if got := c.Run("--userns", "auto").OK(e); got != "1000:1000\n" {
			t.Errorf("%s: %q", name, got)
		}
		var st unix.Stat_t
		e.Must(unix.Stat(volume+"/new", &st))
		if st.Uid != 6 || st.Gid != 6 {
			t.Errorf("%s: the new file belongs to %d:%d", name, st.Uid, st.Gid)
		}
		e.Must(os.Remove(volume + "/new"))
	}
	maps[0].HostID = 65535
	c := e.Container(harness.Mounted("/data", "bind", volume, "bind"), func(s *specs.Spec) {
		m := &s.Mounts[len(s.Mounts)-1]
		m.UIDMappings, m.GIDMappings = maps, maps
	})
	c.Create("--userns", "auto").Fails(e, "/mounts/", "--userns auto:size=N")
}

// What a user namespace of its own makes impossible is refused with the reason and the way out.
func TestImpossible(t *testing.T) {
	e := newEnv(t)
	other := e.Container()
	other.RunDetached().OK(e)
	at := fmt.Sprintf("/proc/%d/ns/", other.PID())
	for name, tc := range map[string]struct {
		change harness.Change
		flag   string
		texts  []string
	}{
		"cgroup namespace":  {harness.Joined(specs.CgroupNamespace, at+"cgroup"), "auto", []string{"/linux/namespaces/", "no power over the cgroup namespace"}},
		"mount namespace":   {harness.Without(specs.MountNamespace), "auto", []string{"/linux/namespaces", "no power over the mount namespace"}},
		"joined mounts":     {harness.Joined(specs.MountNamespace, at+"mnt"), "auto", []string{"no power over the mount namespace"}},
		"user not mapped":   {func(s *specs.Spec) { s.Process.User.UID = 5000 }, "auto:size=5000", []string{"/process/user/uid", "has 5000 IDs", "--userns auto:size=N"}},
		"groups not mapped": {func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{5000} }, "auto:size=5000", []string{"additionalGids", "has 5000 IDs"}},
		"too many IDs":      {harness.All(), fmt.Sprintf("auto:size=%d", harness.AccountSize+1), []string{"bailey ids"}},
		"no IDs":            {harness.All(), "auto:size=0", []string{"--userns"}},
		"nonsense":          {harness.All(), "yes", []string{"--userns"}},
	} {
		c := e.Container(tc.change)
		for _, command := range []string{"create", "run"} {
			before := t.Failed()
			e.Bailey(command, "--bundle", c.Bundle, "--userns", tc.flag, c.ID).Fails(e, tc.texts...)
			if t.Failed() && !before {
				t.Errorf("^ %s", name)
			}
		}
	}
	other.Delete("--force").OK(e)
	e.CheckNothingLeft()
	noneHeld(e)
	// Without an account nobody has IDs.
	e.WithAccount("bailey", 0)
	e.Container().Create("--userns", "auto").Fails(e, "/etc/subuid", "bailey ids setup")
	// A container that has a user namespace of its own keeps it.
	c := e.Container(harness.UserNamespace)
	c.RunDetached("--userns", "auto").OK(e)
	if m := liveMap(c.PID(), "uid_map"); len(m) != 1 || m[0].outside != harness.UserBase {
		t.Errorf("%v", m)
	}
}

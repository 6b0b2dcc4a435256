package lifecycle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// idMaps gives the last mount ID mappings.
func idMaps(first, host, size uint32) harness.Change {
	return func(s *specs.Spec) {
		lines := []specs.LinuxIDMapping{{ContainerID: first, HostID: host, Size: size}}
		m := &s.Mounts[len(s.Mounts)-1]
		m.UIDMappings, m.GIDMappings = lines, lines
	}
}

// ownedDir makes a directory whose files "0" and "7" belong to the users of these numbers.
func ownedDir(e *harness.Env, path string) string {
	e.T.Helper()
	e.Must(os.MkdirAll(path, 0o755))
	e.Must(os.Chown(path, 7, 7)) // a directory whose owner is not mapped cannot be written to
	e.Must(os.Chmod(path, 0o777))
	for _, id := range []int{0, 7} {
		file := filepath.Join(path, fmt.Sprint(id))
		e.Must(os.WriteFile(file, nil, 0o644))
		e.Must(os.Chown(file, id, id))
	}
	return path
}

// Files of a mount with an ID mapping are shown, and made, with other owners than they have.
func TestIDMappedMounts(t *testing.T) {
	const show = `cd /data && stat -c %n=%u:%g 0 7 && : > made && stat -c %n=%u:%g made`
	e := newEnv(t)
	outside := func(dir, want string) {
		t.Helper()
		st, err := os.Stat(dir + "/made")
		e.Must(err)
		if got := fmt.Sprint(st.Sys().(*syscall.Stat_t).Uid); got != want {
			t.Errorf("the new file belongs to %s, want %s", got, want)
		}
	}
	data := func(options ...string) (string, harness.Change) {
		dir := ownedDir(e, filepath.Join(e.Dir, "data-"+fmt.Sprint(len(glob(e, "data-*")))))
		return dir, harness.Mounted("/data", "bind", dir, append([]string{"bind"}, options...)...)
	}
	for _, tc := range []struct {
		name    string
		changes []harness.Change
		options []string
		want    string // inside
		made    string // the owner of what root of the container makes, outside
	}{
		{"mappings of the mount", []harness.Change{idMaps(0, 0, 10)}, []string{"idmap"}, "0=0:0 7=7:7 made=0:0", "0"},
		{"without the option", []harness.Change{idMaps(7, 0, 1)}, nil, "0=65534:65534 7=0:0 made=0:0", "7"},
		{"those of the container", []harness.Change{harness.UserNamespace}, []string{"idmap"}, "0=0:0 7=7:7 made=0:0", "0"},
		{"of a mount in a user namespace", []harness.Change{idMaps(7, harness.UserBase, 1), harness.UserNamespace}, []string{"idmap"},
			"0=65534:65534 7=0:0 made=0:0", "7"},
		{"in the option", nil, []string{"idmap=uids=0-5-1#7-0-1;gids=0-6-1#7-0-1"}, "0=5:6 7=0:0 made=0:0", "7"},
		{"relative to the container", []harness.Change{harness.UserNamespace}, []string{"idmap=uids=@0-5-1#@7-0-1;gids=@0-6-1#@7-0-1"},
			"0=5:6 7=0:0 made=0:0", "7"},
		{"for all below", []harness.Change{harness.UserNamespace}, []string{"ridmap"}, "0=0:0 7=7:7 made=0:0", "0"},
	} {
		dir, mounted := data(tc.options...)
		c := e.Container(harness.Sh(show), mounted)
		for _, change := range tc.changes {
			change(c.Spec)
		}
		if len(c.Spec.Linux.UIDMappings) > 0 {
			e.Must(os.Chown(c.Rootfs, harness.UserBase, harness.UserBase))
		}
		c.WriteSpec()
		if got := strings.Join(strings.Fields(c.Run().OK(e)), " "); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		outside(dir, tc.made)
	}
}

func glob(e *harness.Env, pattern string) []string {
	e.T.Helper()
	names, err := filepath.Glob(e.Path(pattern))
	e.Must(err)
	return names
}

// A joined user namespace's maps are those of "idmap" alone; nested mounts are mapped with ridmap only; a tmpfs can be
// mapped, too.
func TestIDMappedMountsOfOtherKinds(t *testing.T) {
	e := newEnv(t)
	if !exists("/proc/sys/vm/memfd_noexec") { // of the same release
		t.Skip("tmpfs takes ID mappings since Linux 6.3")
	}
	dir := ownedDir(e, e.Path("outer"))
	ownedDir(e, e.Path("outer/inner"))
	e.Do(func() {
		e.Must(unix.Mount("tmpfs", dir+"/inner", "tmpfs", 0, "mode=777"))
		ownedDir(e, dir+"/inner")
	})
	t.Cleanup(func() { e.Do(func() { e.Must(unix.Unmount(dir+"/inner", 0)) }) })
	owner := e.Container(harness.UserNamespace)
	owner.RunDetached().OK(e)
	joined := harness.Joined(specs.UserNamespace, fmt.Sprintf("/proc/%d/ns/user", owner.PID()))
	const show = "stat -c %u /data/7 /data/inner/7 | tr '\\n' ' '"
	for option, want := range map[string]string{"idmap": "7 65534 ", "ridmap": "7 7 "} {
		c := e.Container(harness.Sh(show), harness.Mounted("/data", "bind", dir, "rbind", option))
		joined(c.Spec)
		e.Must(os.Chown(c.Rootfs, harness.UserBase, harness.UserBase))
		c.WriteSpec()
		if got := c.Run().OK(e); got != want {
			t.Errorf("%s: %q, want %q", option, got, want)
		}
	}

	c := e.Container(harness.Sh("umask 0; : > /data/made; stat -c %u /data/made /data"), harness.UserNamespace,
		harness.Mounted("/data", "tmpfs", "tmpfs", "mode=777", "uid=9", "gid=9"), idMaps(9, harness.UserBase, 1))
	// The filesystem belongs to the container's user namespace, so its user 9 is the container's.
	if got := c.Run().OK(e); got != "0\n0\n" {
		t.Errorf("%q", got)
	}
}

// What cannot be mapped is refused, with the reason.
func TestIDMappedMountsRefused(t *testing.T) {
	e := newEnv(t)
	for _, tc := range []struct {
		changes []harness.Change
		texts   []string
	}{
		{[]harness.Change{harness.Mounted("/data", "bind", "/sys/kernel", "bind"), idMaps(0, 1000, 10)},
			[]string{"/mounts/", "mount_setattr", "invalid argument", "on a filesystem of the type sysfs", "cannot show other owners"}},
		{[]harness.Change{harness.Mounted("/data", "bind", "/tmp", "bind", "idmap=uids=0-0;gids=0-0-1")}, []string{"not three numbers"}},
		{[]harness.Change{harness.Mounted("/data", "bind", "/tmp", "bind", "idmap=uids=0-0-1")}, []string{"both uids and gids"}},
		{[]harness.Change{harness.Mounted("/data", "bind", "/tmp", "bind", "idmap=uids=@0-0-1;gids=0-0-1")}, []string{"no single range"}},
		{[]harness.Change{harness.Mounted("/data", "bind", "/tmp", "bind", "idmap=uids=0-0-2#1-5-1;gids=0-0-1")}, []string{"/mounts/", "invalid argument"}},
		{[]harness.Change{harness.Mounted("/sys/fs/cgroup", "cgroup", "cgroup"), idMaps(0, 0, 1)}, []string{"cgroups show the owners"}},
		{[]harness.Change{harness.Mounted("/tmp", "", "", "remount", "ro"), idMaps(0, 0, 1)}, []string{"cannot be mapped any more"}},
	} {
		e.Container(tc.changes...).Create().Fails(e, tc.texts...)
	}
}

// src-nofollow mounts a symbolic link, dest-nofollow mounts over one, copy-symlink copies it.
func TestSymlinkMounts(t *testing.T) {
	e := newEnv(t)
	e.WriteFile("real", "from the host\n", 0o644)
	link := e.Path("link")
	e.Must(os.Symlink("real", link))
	run := func(script, want string, changes ...harness.Change) {
		t.Helper()
		c := e.Container(append(changes, harness.Sh(script))...)
		e.Must(os.Symlink("target", c.Rootfs+"/work/link"))
		e.Must(os.WriteFile(c.Rootfs+"/work/target", []byte("of the image\n"), 0o644))
		if got := c.Run().OK(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	run("readlink /work/new; readlink /work/link", "real\ntarget\n", harness.Mounted("/work/new", "bind", link, "bind", "src-nofollow"))
	run("cat /work/link /work/target", "from the host\nof the image\n", harness.Mounted("/work/link", "bind", link, "bind", "dest-nofollow"))
	run("cat /work/link /work/target", "from the host\nfrom the host\n", harness.Mounted("/work/link", "bind", link, "bind"))
	run("readlink /work/link; cat /work/target", "real\nof the image\n",
		harness.Mounted("/work/link", "bind", link, "bind", "src-nofollow", "dest-nofollow"))
	run("readlink /work/a/copy", "real\n", harness.Mounted("/work/a/copy", "bind", link, "bind", "copy-symlink"))
	run("cat /work/a/copy", "from the host\n", harness.Mounted("/work/a/copy", "bind", e.Path("real"), "bind", "copy-symlink"))

	c := e.Container(harness.Mounted("/work/link", "bind", link, "bind", "copy-symlink"))
	e.Must(os.Symlink("target", c.Rootfs+"/work/link"))
	c.Create().Fails(e, "/mounts/", "symlinkat", "file exists")
}

// A tmpfs with tmpcopyup begins as a copy of the directory that it covers: contents, kinds, modes, owners, times.
func TestCopyUp(t *testing.T) {
	for name, changes := range map[string][]harness.Change{
		"as root": nil, "in a user namespace": {harness.UserNamespace},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			c := e.Container(append(changes, harness.Sh("cd /data && cat big | wc -c && cat sub/deep/file && readlink sub/link && "+
				"find . ! -name . -exec stat -c '%n %a %u:%g %F %Y' {} + | sort && umount /data; : > /data/changed; grep -c /data /proc/mounts"),
				harness.Mounted("/data", "tmpfs", "tmpfs", "tmpcopyup"))...)
			base := 0
			if len(changes) > 0 {
				base = harness.UserBase
			}
			data := c.Rootfs + "/data"
			e.Must(os.MkdirAll(data+"/sub/deep", 0o755))
			e.Must(os.WriteFile(data+"/big", make([]byte, 3<<20+1), 0o644))
			e.Must(os.WriteFile(data+"/sub/deep/file", []byte("deep\n"), 0o755))
			e.Must(os.WriteFile(data+"/sub/empty", nil, 0o600))
			e.Must(os.Symlink("/no/where", data+"/sub/link"))
			e.Must(unix.Mkfifo(data+"/fifo", 0o622))
			e.Must(filepath.WalkDir(data, func(path string, _ os.DirEntry, err error) error {
				if err != nil {
					return err
				}
				return os.Lchown(path, base+3, base+4)
			}))
			e.Must(os.Chmod(data+"/fifo", 0o622))
			e.Must(os.Chmod(data+"/sub/deep/file", 0o755|os.ModeSetuid))
			for i := range 200 {
				e.Must(os.WriteFile(fmt.Sprintf("%s/sub/deep/a file with a rather long name, number %d", data, i), nil, 0o644))
			}
			old := unix.NsecToTimespec(1e18)
			for _, path := range []string{"sub/deep/file", "sub/deep", "sub", "sub/link", "sub/empty", "big", "fifo"} {
				e.Must(unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(data, path), []unix.Timespec{old, old}, unix.AT_SYMLINK_NOFOLLOW))
			}
			out := c.Run().Stdout
			for _, want := range []string{
				"3145729\ndeep\n/no/where\n",
				"./big 644 3:4 regular file 1000000000\n", "./fifo 622 3:4 fifo 1000000000\n", "./sub 755 3:4 directory 1000000000\n",
				"./sub/deep/file 4755 3:4 regular file 1000000000\n", "./sub/empty 600 3:4 regular empty file 1000000000\n",
				"./sub/deep/a file with a rather long name, number 199 644 ",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing in\n%.2000s", want, out)
				}
			}
			if n := strings.Count(out, "a rather long name"); n != 200 {
				t.Errorf("%d of 200 files", n)
			}
			if exists(data+"/changed") || !strings.HasSuffix(out, "\n1\n") {
				t.Error("the copy is not a mount of its own")
			}
		})
	}
}

// Directories in directories without end are refused before the init's stack is used up.
func TestCopyUpOfDeepDirectories(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Mounted("/data", "tmpfs", "tmpfs", "tmpcopyup"))
	e.Must(os.MkdirAll(c.Rootfs+"/data"+strings.Repeat("/d", 300), 0o755))
	c.Create().Fails(e, "/mounts/", "too deep")
}

// A mount without a type or a source only changes the propagation of what is mounted already.
// Layers of an overlay may have longer paths than fsconfig(2) takes.
func TestOverlayOfLongPaths(t *testing.T) {
	e := newEnv(t)
	var layers []string
	for i := range 5 {
		dir := filepath.Join(e.Dir, strings.Repeat("long", 30), fmt.Sprint(i))
		e.Must(os.MkdirAll(dir, 0o755))
		e.Must(os.WriteFile(filepath.Join(dir, fmt.Sprint("file", i)), nil, 0o644))
		layers = append(layers, dir)
	}
	for name, change := range map[string]harness.Change{"as root": harness.All(), "in a user namespace": harness.UserNamespace} {
		t.Run(name, func(t *testing.T) {
			c := e.Container(change, harness.Sh("cd /data && echo *; touch x 2>&1; grep -c ' /data ro,nosuid' /proc/self/mountinfo"),
				harness.Mounted("/data", "overlay", "overlay", "lowerdir="+strings.Join(layers, ":"), "ro", "nosuid"))
			if out := c.Run().OK(e); out != "file0 file1 file2 file3 file4\ntouch: x: Read-only file system\n1\n" {
				t.Errorf("%q", out)
			}
		})
	}
}

func TestPropagationOfExistingMount(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Sh("grep -E ' /(data|run) ' /proc/self/mountinfo"),
		harness.Mounted("/data", "tmpfs", "tmpfs"), harness.Mounted("/run", "tmpfs", "tmpfs"),
		harness.Mounted("/data", "", "", "rshared"), harness.Mounted("/run", "none", "", "unbindable"))
	out := strings.Split(c.Run().OK(e), "\n")
	if len(out) < 2 || !strings.Contains(out[0], " shared:") || !strings.Contains(out[1], " unbindable ") {
		t.Errorf("%q", out)
	}
	e.Container(harness.Mounted("/work", "none", "", "shared")).Create().Fails(e, "/mounts/", "mount_setattr", "invalid argument")
}

// Mounts are added to a running container, and removed, where its processes see it; symbolic links in the container lead
// nowhere else.
func TestMountsAddAndRemove(t *testing.T) {
	for name, change := range map[string]harness.Change{"as root": harness.All(), "in a user namespace": harness.UserNamespace} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			dir := ownedDir(e, e.Path("volume"))
			e.WriteFile("volume/file", "from the host\n", 0o644)
			c := e.Container(change)
			e.Must(os.Symlink(e.Dir, c.Rootfs+"/work/out"))
			c.RunDetached().OK(e)
			mounts := func(how, list string) *harness.Result {
				t.Helper()
				return e.Bailey("mounts", how, c.ID, e.WriteFile("mounts.json", list, 0o600))
			}
			list := `{"mounts":[
				{"destination":"/data","type":"bind","source":"` + dir + `","options":["rbind","ro","nosuid"]},
				{"destination":"/new/deep","type":"tmpfs","source":"tmpfs","options":["size=64k","mode=700"]},
				{"destination":"/work/out/in","type":"bind","source":"` + dir + `/file","options":["bind"]},
				{"destination":"/mapped","type":"bind","source":"` + dir + `","options":["bind","idmap=uids=7-` + fmt.Sprint(harness.UserBase) + `-1;gids=7-7-1"]}]}`
			mounts("add", list).OK(e)
			if got := c.Sh("cat /data/file; touch /data/x 2>&1; stat -c %a /new/deep; cat " + e.Dir + "/in; stat -c %u /mapped/7"); got !=
				"from the host\ntouch: /data/x: Read-only file system\n700\nfrom the host\n"+map[bool]string{true: "0", false: fmt.Sprint(harness.UserBase)}[len(c.Spec.Linux.UIDMappings) > 0] {
				t.Errorf("%q", got)
			}
			if m := e.MountAt(c.PID(), "/data"); m == nil || !m.Has("ro") || !m.Has("nosuid") {
				t.Errorf("/data: %+v", m)
			}
			if exists(e.Dir + "/in") {
				t.Error("the link led to the host")
			}
			mounts("remove", list[len(`{"mounts":`):len(list)-1]).OK(e)
			for _, at := range []string{"/data", "/new/deep", "/mapped"} {
				if m := e.MountAt(c.PID(), at); m != nil {
					t.Errorf("%s is still there: %+v", at, m)
				}
			}
			mounts("remove", list).Fails(e, "mounts file /mounts/0", "umount2", "/data")
			mounts("add", `[{"destination":"/data","type":"bind","source":"/no/such","options":["bind"]}]`).Fails(e, "mounts file /mounts/0", "no such file")
			mounts("add", `[{"destination":"/proc/sys","type":"tmpfs"}]`).Fails(e, "mounts file /mounts/0", "inside /proc")
			mounts("add", `[]`).Fails(e, "mounts file", "no mounts")
			mounts("add", `[{"destination":1}]`).Fails(e, "mounts file", "/mounts/0/destination")
			mounts("move", list).Fails(e, "neither add nor remove")
			c.Kill("KILL").OK(e)
			c.WaitStatus("stopped")
			mounts("add", list).Fails(e, "container not running")
		})
	}
}

package userns

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// filesystem mounts a filesystem on the directory at or, as engines do with overlays, on at/rootfs, in the Env's mount
// namespace. spare is a directory for files of its own.
type filesystem struct {
	name string
	make func(e *harness.Env, at, spare string)
	// tool is what it takes.
	tool string
}

// onLoop makes a filesystem in a file.
func onLoop(kind string, mkfs ...string) filesystem {
	return filesystem{kind, func(e *harness.Env, at, spare string) {
		image := spare + "/image"
		e.Must(os.WriteFile(image, nil, 0o600))
		e.Must(os.Truncate(image, 320<<20)) // the least that xfs accepts
		e.Tool(mkfs[0], append(mkfs[1:], image)...)
		e.Tool("mount", "-t", kind, "-o", "loop", image, at)
	}, mkfs[0]}
}

var filesystems = []filesystem{
	{"plain directory", func(*harness.Env, string, string) {}, ""},
	{"tmpfs", func(e *harness.Env, at, _ string) { e.Tool("mount", "-t", "tmpfs", "tmpfs", at) }, ""},
	{"overlay", func(e *harness.Env, at, spare string) {
		for _, dir := range []string{spare + "/lower", spare + "/upper", spare + "/work", at + "/rootfs"} {
			e.Must(os.Mkdir(dir, 0o755))
		}
		e.Tool("mount", "-t", "overlay", "overlay", "-o", fmt.Sprintf("lowerdir=%s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", spare), at+"/rootfs")
	}, ""},
	onLoop("ext4", "mkfs.ext4", "-q"),
	onLoop("xfs", "mkfs.xfs", "-q"),
	onLoop("btrfs", "mkfs.btrfs", "-q"),
}

// onEach runs a test on every filesystem, mounted on dir.
func onEach(t *testing.T, f func(t *testing.T, e *harness.Env, dir string)) {
	harness.NeedRoot(t)
	for _, fs := range filesystems {
		t.Run(fs.name, func(t *testing.T) {
			e := newEnv(t)
			if fs.tool != "" && !harness.HasTool(fs.tool) {
				t.Skip("no " + fs.tool)
			}
			dir, spare := e.Path("on"), e.Path("spare")
			e.Must(os.Mkdir(dir, 0o755))
			e.Must(os.Mkdir(spare, 0o755))
			fs.make(e, dir, spare)
			e.Mounted()
			f(t, e, dir)
		})
	}
}

// do runs f in the Env's mount namespace.
func do(e *harness.Env, f func() error) {
	e.T.Helper()
	var err error
	e.Do(func() { err = f() })
	e.Must(err)
}

// inode is what of a file an ID mapping must leave alone.
type inode struct {
	uid, gid, mode uint32
	changed        unix.Timespec
}

// inodes returns those of all files below dir, by their path in it.
func inodes(e *harness.Env, dir string) map[string]inode {
	e.T.Helper()
	found := make(map[string]inode)
	do(e, func() error {
		return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			var st unix.Stat_t
			if err == nil {
				err = unix.Lstat(path, &st)
			}
			found[strings.TrimPrefix(path, dir)] = inode{st.Uid, st.Gid, st.Mode, st.Ctim}
			return err
		})
	})
	return found
}

// imageOwners are the owners that the image has files of.
var imageOwners = []int{0, 1, 33, 1000, 65534}

// image makes a root filesystem with files of many owners below dir/rootfs.
func image(e *harness.Env, c *harness.Container, dir string) string {
	e.T.Helper()
	root := dir + "/rootfs"
	e.Tool("cp", "-aT", c.Rootfs, root)
	do(e, func() error {
		if err := os.Mkdir(root+"/owned", 0o777); err != nil {
			return err
		}
		for _, owner := range imageOwners {
			at := fmt.Sprintf("%s/owned/%d", root, owner)
			for _, err := range []error{
				os.Mkdir(at, 0o755),
				os.WriteFile(at+"/file", []byte("text"), 0o640),
				os.Symlink("file", at+"/link"),
				unix.Mkfifo(at+"/fifo", 0o600),
				os.Link(root+"/bin/probe", at+"/probe"),
			} {
				if err != nil {
					return err
				}
			}
			for _, name := range []string{"", "/file", "/link", "/fifo"} {
				if err := os.Lchown(at+name, owner, owner); err != nil {
					return err
				}
			}
			if err := unix.Chmod(at, 0o3755); err != nil { // set-group-ID and sticky
				return err
			}
			data, err := os.ReadFile(root + "/bin/probe")
			if err == nil {
				err = os.WriteFile(at+"/suid", data, 0o755)
			}
			if err == nil {
				err = os.Chown(at+"/suid", owner, owner)
			}
			if err == nil {
				err = unix.Chmod(at+"/suid", 0o6755) // chown has taken the bits away
			}
			if err != nil {
				return err
			}
		}
		data, err := os.ReadFile(root + "/bin/probe")
		if err == nil {
			err = os.WriteFile(root+"/owned/capable", data, 0o755)
		}
		if err == nil {
			err = unix.Setxattr(root+"/owned/capable", "security.capability", fileCapability(unix.CAP_NET_RAW), 0)
		}
		return err
	})
	return root
}

// fileCapability is a struct vfs_cap_data, version 2, effective.
func fileCapability(n int) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 0x02000001)
	b = binary.LittleEndian.AppendUint32(b, 1<<n)
	return append(b, make([]byte, 12)...)
}

// An image and a volume show the owners inside that they have outside, nothing outside is changed, and what the container makes
// belongs on disk to whom it belongs inside.
func TestOwners(t *testing.T) {
	onEach(t, func(t *testing.T, e *harness.Env, dir string) {
		c := e.Container(func(s *specs.Spec) { s.Process.NoNewPrivileges = false },
			harness.Capabilities("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_NET_RAW", "CAP_SETUID", "CAP_SETGID"),
			harness.Mounted("/data", "bind", dir+"/volume", "bind"))
		root := image(e, c, dir)
		do(e, func() error {
			for _, err := range []error{os.Mkdir(dir+"/volume", 0o755), os.Chown(dir+"/volume", 1000, 1000),
				os.WriteFile(dir+"/volume/old", nil, 0o600), os.Chown(dir+"/volume/old", 33, 33)} {
				if err != nil {
					return err
				}
			}
			return nil
		})
		before, volume := inodes(e, root), inodes(e, dir+"/volume")
		c.Spec.Root.Path = root
		c.WriteSpec()
		c.RunDetached("--userns", "auto").OK(e)

		// Inside.
		for _, owner := range imageOwners {
			got := c.Sh(fmt.Sprintf("cd /owned/%d; for f in . file link fifo suid; do stat -c '%%n %%u %%g %%a' $f; done", owner))
			want := fmt.Sprintf(". %d %[1]d 3755\nfile %[1]d %[1]d 640\nlink %[1]d %[1]d 777\nfifo %[1]d %[1]d 600\nsuid %[1]d %[1]d 6755", owner)
			if got != want {
				t.Errorf("owner %d: %q", owner, got)
			}
			status := c.Exec([]string{"--user", "7:7"}, fmt.Sprintf("/owned/%d/suid", owner), "status", "Uid", "Gid").OK(e)
			if want := fmt.Sprintf("7 %d %[1]d %[1]d", owner); strings.Count(strings.Join(strings.Fields(status), " "), want) != 2 {
				t.Errorf("set-user-ID program of %d: %q", owner, status)
			}
		}
		if got := c.Exec([]string{"--user", "7:7"}, "/owned/capable", "status", "CapEff").OK(e); !strings.Contains(got, "0000000000002000") {
			t.Errorf("file capability: %q", got)
		}
		if got := c.Sh("stat -c %u:%g /data /data/old"); got != "1000:1000\n33:33" {
			t.Errorf("the volume: %q", got)
		}
		// What is made.
		c.Sh("umask 022; echo > /owned/by-root; mkdir /owned/open; chmod 777 /owned/open; echo > /data/by-root; echo > /data/given; chown 33:1000 /data/given; chown 5:6 /owned/by-root")
		c.Exec([]string{"--user", "1000:1000"}, "sh", "-c", "umask 022; echo > /owned/open/by-user; echo > /data/by-user; mkdir /data/dir; ln -s x /data/l; mkfifo /data/p").OK(e)
		if r := c.Exec([]string{"--user", "1000:1000"}, "cat", "/data/old"); r.Code == 0 {
			t.Errorf("a file of another user's was read: %s", r)
		}
		c.Delete("--force").OK(e)

		// Outside.
		after := inodes(e, root)
		for path, was := range before {
			is := after[path]
			if path == "" || path == "/owned" {
				is.changed = was.changed // files were made in it
			}
			if is != was {
				t.Errorf("%s was %+v, is %+v", path, was, is)
			}
		}
		made := make(map[string]string)
		for path, is := range after {
			if _, was := before[path]; !was {
				made[path] = fmt.Sprintf("%d:%d", is.uid, is.gid)
			}
		}
		if want := map[string]string{"/data": "0:0", "/owned/by-root": "5:6", "/owned/open": "0:0", "/owned/open/by-user": "1000:1000"}; !maps.Equal(made, want) {
			t.Errorf("made in the image: %v", made)
		}
		made = make(map[string]string)
		for path, is := range inodes(e, dir+"/volume") {
			if was, ok := volume[path]; !ok {
				made[path] = fmt.Sprintf("%d:%d", is.uid, is.gid)
			} else if path != "" && was != is {
				t.Errorf("%s was %+v, is %+v", path, was, is)
			}
		}
		if want := map[string]string{"/by-root": "0:0", "/given": "33:1000", "/by-user": "1000:1000", "/dir": "1000:1000", "/l": "1000:1000", "/p": "1000:1000"}; !maps.Equal(made, want) {
			t.Errorf("made on the volume: %v", made)
		}
		noneHeld(e)
	})
}

// The configured user is one of the image, and its working directory and home are that user's.
func TestUserOfTheImage(t *testing.T) {
	onEach(t, func(t *testing.T, e *harness.Env, dir string) {
		c := e.Container(harness.Sh("id -u; id -G; stat -c %u . new 2>/dev/null; : > new; stat -c %u:%g new; pwd"), func(s *specs.Spec) {
			s.Process.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{2000}}
			s.Process.Cwd = "/owned/1000"
		})
		c.Spec.Root.Path = image(e, c, dir)
		c.WriteSpec()
		if got := c.Run("--userns", "auto").OK(e); got != "1000\n1000 2000\n1000\n1000:1000\n/owned/1000\n" {
			t.Errorf("%q", got)
		}
	})
}

// A root that is mounted read-only is shown with its owners, and stays as it is.
func TestReadonlyRoot(t *testing.T) {
	onEach(t, func(t *testing.T, e *harness.Env, dir string) {
		c := e.Container(harness.Sh("stat -c %u /owned/33/file; touch /owned/new; umount / 2>/dev/null; mount -o remount,rw / 2>/dev/null; true"), func(s *specs.Spec) { s.Root.Readonly = true },
			harness.Capabilities("CAP_SYS_ADMIN"))
		c.Spec.Root.Path = image(e, c, dir)
		c.WriteSpec()
		before := inodes(e, dir)
		r := c.Run("--userns", "auto")
		if r.OK(e) != "33\n" || !strings.Contains(r.Stderr, "/owned/new: Read-only file system") {
			t.Error(r)
		}
		after := inodes(e, dir)
		delete(before, "")
		for path, was := range before {
			if is := after[path]; is.uid != was.uid || is.gid != was.gid || is.mode != was.mode || strings.HasPrefix(path, "/rootfs/owned") && is != was {
				t.Errorf("%s was %+v, is %+v", path, was, is)
			}
		}
	})
}

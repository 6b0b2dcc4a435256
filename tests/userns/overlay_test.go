package userns

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// engineRoot is a root filesystem as an engine makes it: an overlay of two layers with the files of the image, and an upper one.
func engineRoot(e *harness.Env, c *harness.Container, options string) (root, dir string) {
	e.T.Helper()
	dir = e.Path("layers " + c.ID) // the blank is written in another way in mountinfo
	for _, name := range []string{"", "/upper:1", "/work", "/rootfs", "/first,layer"} {
		e.Must(os.Mkdir(dir+name, 0o755))
	}
	e.Must(os.Rename(dir+"/first,layer", dir+"/first"))
	image(e, c, dir+"/first")
	e.Must(os.MkdirAll(dir+"/second/owned/33", 0o755))
	e.Must(os.WriteFile(dir+"/second/owned/33/file", []byte("second"), 0o600))
	e.Must(os.Chown(dir+"/second/owned/33", 33, 33))
	e.Must(os.Chown(dir+"/second/owned/33/file", 33, 34))
	mountEngineRoot(e, dir, options)
	e.Mounted()
	return dir + "/rootfs", dir
}

func mountEngineRoot(e *harness.Env, dir, options string) {
	e.T.Helper()
	do(e, func() error {
		return unix.Mount("overlay", dir+"/rootfs", "overlay", unix.MS_NODEV, fmt.Sprintf(`lowerdir=%s/second:%[1]s/first/rootfs,upperdir=%[1]s/upper\:1,workdir=%[1]s/work%s`, dir, options))
	})
}

// The root filesystem is an overlay, as it is with nearly every engine: what the container changes is in the engine's layers
// afterwards, with the owners that it had inside, and the layers below are untouched.
func TestOverlay(t *testing.T) {
	for _, options := range []string{"", ",index=off,xino=off,metacopy=on", ",volatile"} {
		t.Run("options "+options, func(t *testing.T) {
			e := newEnv(t)
			c := e.Container(harness.Capabilities("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"))
			var dir string
			c.Spec.Root.Path, dir = engineRoot(e, c, options)
			c.WriteSpec()
			before := inodes(e, dir+"/first")
			c.RunDetached("--userns", "auto").OK(e)
			if m := e.MountAt(c.PID(), "/"); m == nil || m.Type != "overlay" || !m.Has("nodev") {
				t.Errorf("the root: %+v", m)
			}
			got := c.Sh(`cd /owned; stat -c '%n %u:%g %a' 33 33/file 33/suid 1000/file; cat 33/file
				echo more >> 1000/file; chown 1 33/suid; rm 65534/file; rm -r 1; mkdir 1; mv 0 renamed; ln 1000/file 1000/linked; stat -c '%n %u:%g' 1000/file 1 renamed; ls -A 65534 1`)
			want := "33 33:33 755\n33/file 33:34 600\n33/suid 33:33 6755\n1000/file 1000:1000 640\nsecond" +
				"1000/file 1000:1000\n1 0:0\nrenamed 0:0\n1:\n\n65534:\nfifo\nlink\nprobe\nsuid"
			if got != want {
				t.Errorf("inside: %q, want %q", got, want)
			}
			c.Delete("--force").OK(e)
			if left, err := os.ReadDir(dir + "/work"); err != nil || len(left) > 2 || len(left) > 0 && strings.HasPrefix(left[0].Name(), "bailey") {
				t.Errorf("left in the work directory: %v, %v", left, err)
			}
			for path, is := range inodes(e, dir+"/first") {
				if was := before[path]; was != is {
					t.Errorf("%s was %+v, is %+v", path, was, is)
				}
			}
			// As the engine sees it when it starts the container again.
			e.Tool("umount", dir+"/rootfs")
			if options != ",volatile" {
				mountEngineRoot(e, dir, options)
				got = e.Tool("sh", "-c", `cd "$1"; stat -c '%n %u:%g' 1000/file 33/suid 1 renamed; cat 1000/linked; ls -A 65534 1; ls 0 2>&1 | wc -l`, "sh", dir+"/rootfs/owned")
				if want := "1000/file 1000:1000\n33/suid 1:33\n1 0:0\nrenamed 0:0\ntextmore\n1:\n\n65534:\nfifo\nlink\nprobe\nsuid\n1\n"; got != want {
					t.Errorf("outside: %q, want %q", got, want)
				}
				c.RunDetached("--userns", "auto").OK(e)
				if got := c.Sh("cat /owned/1000/file"); got != "textmore" {
					t.Errorf("started again: %q", got)
				}
				c.Delete("--force").OK(e)
				e.Tool("umount", dir+"/rootfs")
			}
			e.Mounted()
			noneHeld(e)
		})
	}
}

// Layers alone, read-only, as for an image that is looked at.
func TestOverlayWithoutUpper(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Sh("stat -c %u /owned/33/file; touch /new"))
	root, dir := engineRoot(e, c, "")
	e.Tool("umount", root)
	do(e, func() error {
		for _, name := range []string{"dev", "proc", "sys"} {
			if err := os.MkdirAll(dir+"/second/"+name, 0o755); err != nil {
				return err
			}
		}
		return unix.Mount("overlay", root, "overlay", 0, fmt.Sprintf(`lowerdir=%s/second:%[1]s/first/rootfs`, dir))
	})
	e.Mounted()
	c.Spec.Root.Path = root
	c.WriteSpec()
	if r := c.Run("--userns", "auto"); r.Stdout != "33\n" || !strings.Contains(r.Stderr, "Read-only file system") {
		t.Error(r)
	}
}

// An overlay that bailey does not put together again is refused by name.
func TestOverlayRefused(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	root, dir := engineRoot(e, c, "")
	c.Spec.Root.Path = root
	c.WriteSpec()
	refused := func(what string, texts ...string) {
		t.Helper()
		t.Log(what)
		r := c.Create("--userns", "auto")
		r.Fails(e, append(texts, "config.json /root/path", "--userns")...)
		e.CheckNothingLeft()
		noneHeld(e)
	}
	e.Tool("mount", "-t", "tmpfs", "tmpfs", root+"/tmp")
	e.Mounted()
	refused("a mount in it", "/rootfs/tmp is mounted in it")
	e.Tool("umount", root+"/tmp")
	e.Tool("umount", root)
	e.Tool("sh", "-c", `cd "$1" && mount -i -t overlay -o lowerdir=second:first/rootfs overlay rootfs`, "sh", dir)
	e.Mounted()
	refused("relative layers", `its layer "second"`)
	e.Tool("umount", root)
	mountEngineRoot(e, dir, ",index=on")
	e.Mounted()
	c.Create("--userns", "auto").Fails(e, "index=off", "EBUSY")

	// A directory in an overlay, be it the root or a volume.
	e.Tool("umount", root)
	mountEngineRoot(e, dir, "")
	e.Mounted()
	c = e.Container(harness.Mounted("/data", "bind", root+"/owned", "bind"))
	c.Create("--userns", "auto").Fails(e, "config.json /mounts/", "of the type overlay")
	c = e.Container(func(s *specs.Spec) { s.Root.Path = root + "/owned" })
	c.Create("--userns", "auto").Fails(e, "config.json /root/path", "of the type overlay")
	noneHeld(e)
}

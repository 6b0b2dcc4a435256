package security

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// Another container that shares the root filesystem replaces directories by links to the host all the time
// (CVE-2021-30465, CVE-2024-45310).
func TestMountTargetsThatAreSwapped(t *testing.T) {
	e := newEnv(t)
	host := prey(t, e)
	source := e.Path("source")
	e.Must(os.Mkdir(source, 0o755))
	e.Must(os.WriteFile(source+"/file", nil, 0o644))
	shared := e.Container()
	e.Must(os.MkdirAll(shared.Rootfs+"/vol/dir", 0o777))
	e.Must(os.Symlink(host, shared.Rootfs+"/vol/absolute"))
	e.Must(os.MkdirAll(shared.Rootfs+"/vol/dir2", 0o777))
	e.Must(os.Symlink(strings.Repeat("../", 20)+host[1:], shared.Rootfs+"/vol/relative"))

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		vol := shared.Rootfs + "/vol/"
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, vol+"dir", unix.AT_FDCWD, vol+"absolute", unix.RENAME_EXCHANGE)
				unix.Renameat2(unix.AT_FDCWD, vol+"dir2", unix.AT_FDCWD, vol+"relative", unix.RENAME_EXCHANGE)
			}
		}
	}()
	ran := 0
	for i := range 40 {
		// No private /dev/console or the like: whatever the outcome, it concerns only this container.
		c := e.Container(harness.Args("true"), func(s *specs.Spec) {
			s.Root.Path = shared.Rootfs
			s.Linux.MaskedPaths = append(s.Linux.MaskedPaths, "/vol/dir")
			s.Linux.ReadonlyPaths = append(s.Linux.ReadonlyPaths, "/vol/dir2")
		},
			harness.Mounted(fmt.Sprintf("/vol/dir/new%d", i), "tmpfs", "tmpfs"),
			harness.Mounted(fmt.Sprintf("/vol/dir/file%d", i), "bind", source+"/file", "bind"),
			harness.Mounted("/vol/dir2", "bind", source, "rbind"),
			harness.Mounted(fmt.Sprintf("/vol/dir2/../dir/up%d", i), "tmpfs", "tmpfs"))
		if c.Run().Code == 0 {
			ran++
		}
	}
	close(stop)
	<-stopped
	if ran == 0 {
		t.Error("no container ran, so the race was never got through")
	}
	e.CheckNothingLeft()
}

// Directories that bailey expects are links to the host.
func TestLinksInTheImage(t *testing.T) {
	for _, name := range []string{"dev", "tmp", "work", "etc/passwd"} {
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			e := newEnv(t)
			host := prey(t, e)
			c := e.Container(harness.Args("true"), harness.Mounted("/tmp/made", "tmpfs", "tmpfs"),
				func(s *specs.Spec) { s.Process.Cwd = "/work/dir" })
			e.Must(os.RemoveAll(filepath.Join(c.Rootfs, name)))
			e.Must(os.Symlink(host, filepath.Join(c.Rootfs, name)))
			c.Run() // it may work, inside the root, or not
			e.CheckNothingLeft()
		})
	}
}

// /proc and /sys that are links to somewhere in the image would have labels and limits written there
// (CVE-2023-27561), and so would a mount inside of them (CVE-2019-16884, CVE-2019-19921).
func TestProcThatIsNone(t *testing.T) {
	for _, name := range []string{"proc", "sys"} {
		e := newEnvOf(t)
		c := e.Container(harness.Args("true"))
		e.Must(os.Remove(c.Rootfs + "/" + name))
		e.Must(os.MkdirAll(c.Rootfs+"/evil/self/attr", 0o755))
		e.Must(os.Symlink("evil", c.Rootfs+"/"+name))
		c.Run().Fails(e, "/"+name, "ELOOP")
	}
	for _, m := range []specs.Mount{
		{Destination: "/proc/self/attr", Type: "tmpfs", Source: "tmpfs"},
		{Destination: "/x/../proc/sys", Type: "bind", Source: "/tmp", Options: []string{"bind"}},
		{Destination: "/proc", Type: "bind", Source: "/tmp", Options: []string{"rbind"}},
		{Destination: "/proc", Type: "tmpfs", Source: "tmpfs"},
		{Destination: "/elsewhere", Type: "proc", Source: "proc"},
	} {
		e := newEnvOf(t)
		c := e.Container(harness.Args("true"), func(s *specs.Spec) { s.Mounts = append(s.Mounts, m) })
		c.Run().Fails(e, "/mounts/7")
		e.CheckNothingLeft()
	}
}

// newEnvOf is newEnv for tests with several Envs, which cannot be parallel more than once.
func newEnvOf(t *testing.T) *harness.Env {
	t.Helper()
	harness.NeedRoot(t)
	return harness.New(t, harness.ShortViews()[0])
}

// Masks reach what they are for by whatever name, and the image's /dev/null is not what covers it
// (CVE-2025-31133).
func TestMasks(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Sh("wc -c </proc/keys; ls /proc/fs | wc -l"), func(s *specs.Spec) {
		s.Linux.MaskedPaths = []string{"/link/keys", "/proc/fs", "/no/such/file", "/etc/passwd/x"}
	})
	e.Must(os.Symlink("/proc", c.Rootfs+"/link"))
	if out := c.Run().OK(e); strings.Join(strings.Fields(out), " ") != "0 0" {
		t.Errorf("masked files show %q", out)
	}

	c = e.Container(harness.Args("true"), func(s *specs.Spec) {
		s.Mounts = s.Mounts[:1] // no /dev of its own: the image's is used
	})
	e.Must(os.Symlink("/proc/sysrq-trigger", c.Rootfs+"/dev/null"))
	c.Run().Fails(e, "/dev/null")
	e.CheckNothingLeft()
}

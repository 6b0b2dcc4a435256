package guides

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// A user types commands.
type user struct {
	name               string
	id                 uint32
	home, runtime, dir string
}

var (
	root  = user{"root", 0, "/root", "/run", "/srv"}
	alice = user{"alice", 1234, "/home/alice", "/run/user/1234", "/home/alice"}
)

// newMachine returns an Env whose machine looks like a new one, with a user alice, and an image in /srv and in her home.
func newMachine(t *testing.T) *harness.Env {
	t.Helper()
	e := harness.NewWithAccount(t, harness.ShortViews()[0], 0)
	for file, line := range map[string]string{"passwd": "alice:x:1234:1234::/home/alice:/bin/bash", "group": "alice:x:1234:", "shadow": "alice:!:::::::"} {
		var err error
		e.Do(func() {
			var f *os.File
			if f, err = os.OpenFile("/etc/"+file, os.O_APPEND|os.O_WRONLY, 0); err == nil {
				_, err = fmt.Fprintln(f, line)
				f.Close()
			}
		})
		e.Must(err)
	}
	image := e.Container()
	harness.Tool(t, "", "tar", "-C", image.Rootfs, "--exclude", "./bin/probe", "-cf", e.Path("busybox.tar"), ".")
	for _, dir := range []string{"home", "run", "srv"} {
		e.Must(os.Mkdir(e.Path(dir), 0o755))
		e.Do(func() {
			if err := unix.Mount(e.Path(dir), "/"+dir, "", unix.MS_BIND, ""); err != nil {
				t.Errorf("/%s: %v", dir, err)
			}
		})
	}
	e.Mounted()
	for _, dir := range []string{"run/user", "run/user/1234", "home/alice", "srv/.bin"} {
		e.Must(os.Mkdir(e.Path(dir), 0o755))
	}
	e.Must(os.Chmod(e.Path("run/user/1234"), 0o700))
	for _, own := range []string{"run/user/1234", "home/alice"} {
		e.Must(os.Chown(e.Path(own), 1234, 1234))
	}
	for from, to := range map[string]string{e.Runtime: "srv/.bin/bailey", e.Path("busybox.tar"): "srv/busybox.tar"} {
		e.Must(os.Link(from, e.Path(to)))
	}
	e.Must(os.Link(e.Path("busybox.tar"), e.Path("home/alice/busybox.tar")))
	return e
}

// cgroups makes cgroups, below which those of the containers come that say nothing else, and returns their directories.
func cgroups(e *harness.Env) []string {
	e.T.Helper()
	procs, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.procs"); err == nil {
		procs = []string{"/sys/fs/cgroup/cgroup.procs"}
	}
	var dirs []string
	for _, file := range procs {
		top := filepath.Dir(file)
		dir := filepath.Join(top, e.ID+"-guides")
		e.Must(os.Mkdir(dir, 0o755))
		e.T.Cleanup(func() { os.Remove(dir) })
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} { // empty in a new one of v1
			if value, err := os.ReadFile(filepath.Join(top, name)); err == nil && filepath.Base(top) == "cpuset" {
				e.Must(os.WriteFile(filepath.Join(dir, name), value, 0o644))
			}
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

package security

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// A descriptor of bailey's is no way out, neither as the working directory nor as the beginning of the
// program's path, nor through a link in the image (CVE-2024-21626).
func TestDescriptorsAsPaths(t *testing.T) {
	e := newEnv(t)
	running := e.Container()
	running.RunDetached().OK(e)
	for fd := range 24 {
		path := fmt.Sprintf("/proc/self/fd/%d", fd)
		link := fmt.Sprintf("/link%d", fd)
		e.Must(os.Symlink(path, running.Rootfs+link))
		running.Exec([]string{"--cwd", path}, "true").Fails(e, "/cwd")
		running.Exec([]string{"--cwd", link}, "true").Fails(e, "/cwd")
		running.Exec(nil, path+"/bin/busybox", "true").Fails(e, "exec")
		running.Exec(nil, path, "true").Fails(e, "exec")
	}
	for fd := range 12 {
		path := fmt.Sprintf("/proc/self/fd/%d", fd)
		c := e.Container(harness.Args("true"), func(s *specs.Spec) { s.Process.Cwd = path })
		c.Run().Fails(e, "/process/cwd")
		c = e.Container(harness.Args(path+"/bin/busybox", "true"))
		c.Run().Fails(e, "/process/args")
	}
}

// Standard streams that the caller has closed do not turn into descriptors of bailey's.
func TestClosedStandardStreams(t *testing.T) {
	for _, closed := range []string{"0<&-", "1>&-", "0<&- 1>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"} {
		t.Run(closed, func(t *testing.T) {
			e := newEnv(t)
			c := e.Container(harness.Sh("for n in 0 1 2; do readlink /proc/$$/fd/$n; done >/out; probe fds >>/out"))
			shell := []string{"sh", "-c", `exec "$0" "$@" ` + closed}
			if r := e.Run(harness.Options{Prefix: shell}, "run", "--bundle", c.Bundle, c.ID); r.Code != 0 {
				t.Error(r)
			}
			b, err := os.ReadFile(c.Rootfs + "/out")
			e.Must(err)
			if n := strings.Count(string(b), "\n"); n != 6 || strings.Contains(string(b), "socket:") {
				t.Errorf("the payload has the descriptors\n%s", b)
			}
			for fd := range 3 {
				c = e.Container(harness.Args(fmt.Sprintf("/proc/self/fd/%d/bin/busybox", fd), "touch", "/escaped"))
				if r := e.Run(harness.Options{Prefix: shell}, "run", "--bundle", c.Bundle, c.ID); r.Code != 1 {
					t.Error(r)
				}
			}
			e.CheckNothingLeft()
		})
	}
}

// The binary cannot be written to by a payload that is bailey itself (CVE-2019-5736).
func TestBinaryOfThePayload(t *testing.T) {
	e := newEnv(t)
	e.Runtime = e.Path("runtime") // nobody else executes it, so that nothing but bailey protects it
	b, err := os.ReadFile(harness.Binary(t))
	e.Must(err)
	e.Must(os.WriteFile(e.Runtime, b, 0o755))
	before, err := os.Stat(e.Runtime)
	e.Must(err)

	c := e.Container(harness.Capabilities("CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL",
		"CAP_SYS_PTRACE"))
	e.Must(os.WriteFile(c.Rootfs+"/self", []byte("#!/proc/self/exe\n"), 0o755))
	c.RunDetached().OK(e)
	// It waits for a lock that somebody else holds.
	c.Exec(nil, "mkdir", "-p", "-m", "700", "/root/x").OK(e)
	holder := e.Start(harness.Options{}, c.ExecArgs(nil, "probe", "lock", "/root/x")...)
	e.Eventually("the lock is held", func() bool { return strings.Contains(holder.Stdout(), "locked") })
	victim := e.Start(harness.Options{}, c.ExecArgs(nil, "/proc/self/exe", "--root", "/root", "delete", "x")...)
	out := c.Sh(`
		until [ "$p" ]; do
			for d in /proc/[0-9]*; do
				[ "$(readlink $d/exe)" != / ] || p=${d#/proc/}
			done
		done
		exec 5</proc/$p/exe
		( : >/proc/$p/exe ) 2>/dev/null && echo truncated while it runs
		chmod 777 /proc/self/fd/5 2>/dev/null && echo mode changed
		touch /target
		mount --bind /proc/self/fd/5 /target 2>/dev/null && mount -o remount,bind,rw /target && echo mounted
		kill -9 $p
		while [ -e /proc/$p/exe ]; do :; done
		( : >/proc/self/fd/5 ) 2>/dev/null && echo truncated afterwards
		( echo >>/proc/self/fd/5 ) 2>/dev/null && echo truncated afterwards
		echo done`)
	victim.Wait()
	if !strings.HasSuffix(out, "done") || strings.Contains(out, "truncated") || strings.Contains(out, "mode changed") ||
		strings.Contains(out, "mounted") {
		t.Errorf("the attack got to: %s", out)
	}
	c.Exec(nil, "/self").Fails(e)
	after, err := os.Stat(e.Runtime)
	e.Must(err)
	if after.Size() != before.Size() || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
		t.Error("the binary was changed")
	}
	c.Delete("--force").OK(e)
	holder.Wait()
	e.CheckNothingLeft()
}

// Without a cgroup namespace of its own a container cannot write to what it sees of the host's cgroups
// (CVE-2023-25809).
func TestCgroupsOfTheHostAreReadOnly(t *testing.T) {
	for _, v := range harness.Views() {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			e := harness.New(t, v)
			c := e.Container(harness.Without(specs.CgroupNamespace), func(s *specs.Spec) {
				for i := range s.Mounts {
					if s.Mounts[i].Destination == "/sys/fs/cgroup" {
						s.Mounts[i].Options = []string{"nosuid", "noexec", "nodev", "rw"}
					}
				}
			}, harness.Sh("find /sys/fs/cgroup -type d | while read d; do mkdir $d/x 2>/dev/null && echo $d; done; echo end"))
			if out := c.Run().OK(e); out != "end\n" {
				t.Errorf("made cgroups in %s", out)
			}
			e.CheckNothingLeft()
		})
	}
}

// Nothing is inheritable unless config.json says so (CVE-2022-29162), neither for the container nor for exec.
func TestNothingInheritable(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	c.RunDetached().OK(e)
	for _, set := range []string{"CapInh", "CapAmb"} {
		const none = "0000000000000000"
		if got := e.Status(c.PID())[set]; got != none {
			t.Errorf("%s of the payload: %s", set, got)
		}
		if got := c.Sh("grep " + set + " /proc/self/status"); !strings.HasSuffix(got, none) {
			t.Errorf("exec: %s", got)
		}
	}
}

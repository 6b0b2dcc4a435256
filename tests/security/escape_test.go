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

// A payload that is what bailey executes in the container gets hold of the preamble alone, in a sealed file that
// does nothing without a plan; the runtime's binary is nowhere to be found (CVE-2019-5736).
func TestBinaryOfThePayload(t *testing.T) {
	for _, seal := range []string{"never", "always"} {
		t.Run("seal "+seal, func(t *testing.T) { binaryOfThePayload(t, "--seal="+seal) })
	}
}

func binaryOfThePayload(t *testing.T, flag string) {
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
	c.RunDetached(flag).OK(e)
	// While processes come in, one in the container writes to all that it can get at which is not its own.
	attack := e.Start(harness.Options{}, c.ExecArgs(nil, "sh", "-c", `
		while ! [ -e /stop ]; do
			for d in /proc/[0-9]*; do
				exe=$(readlink $d/exe)
				case $exe in
				*/busybox|*/probe|'') ;;
				*) echo "$exe" >>/seen; ( echo pwned >$d/exe ) 2>/dev/null && echo "$d" >>/written ;;
				esac
			done
		done`)...)
	for range 20 {
		for _, args := range [][]string{{"/self"}, {"/proc/self/exe"}, {"/proc/self/exe", "--version"}, {"/proc/self/exe", "3"}} {
			if r := c.Exec(nil, args...); r.Code != 1 || r.Stdout != "" {
				t.Fatal(r)
			}
		}
	}
	e.Must(os.WriteFile(c.Rootfs+"/stop", nil, 0o600))
	attack.Wait()
	if b, err := os.ReadFile(c.Rootfs + "/seen"); err == nil {
		for _, exe := range strings.Split(strings.TrimSpace(string(b)), "\n") {
			if exe != "/memfd:bailey-init (deleted)" {
				t.Errorf("a process in the container executes %s", exe)
			}
		}
	}
	if b, err := os.ReadFile(c.Rootfs + "/written"); err == nil {
		t.Errorf("written to: %s", b)
	}
	after, err := os.Stat(e.Runtime)
	e.Must(err)
	if after.Size() != before.Size() || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
		t.Error("the binary was changed")
	}
	c.Delete("--force").OK(e)
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

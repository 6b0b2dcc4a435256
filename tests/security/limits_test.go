package security

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// A limit of one process leaves room for the payload, and a container that has used up its processes can still
// be entered and ended.
func TestProcessLimit(t *testing.T) {
	for _, v := range harness.Views() {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			e := harness.New(t, v)
			if !e.HasController("pids") {
				t.Skip("no pids controller in this view")
			}
			limit := func(n int64) harness.Change {
				return func(s *specs.Spec) {
					s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &n}}
				}
			}
			if out := e.Container(limit(1), harness.Args("echo", "alone")).Run().OK(e); out != "alone\n" {
				t.Errorf("got %q", out)
			}
			full := e.Container(limit(5), harness.Sh("for i in 1 2 3 4; do sleep 1000 & done; echo >/full; wait"))
			full.RunDetached().OK(e)
			e.Eventually("all processes are there", func() bool {
				_, err := os.Stat(full.Rootfs + "/full")
				return err == nil
			})
			if e.View == harness.V2 { // the kernel refuses to clone into a full cgroup
				full.Exec(nil, "true").Fails(e, "EAGAIN")
			} else {
				full.Exec(nil, "true").OK(e)
			}
			full.Delete("--force").OK(e)
			e.CheckNothingLeft()
		})
	}
}

// Under a filter that refuses everything but the exec, whatever fails there ends.
func TestFilterThatRefusesEverything(t *testing.T) {
	for _, action := range []specs.LinuxSeccompAction{specs.ActErrno, specs.ActKillProcess} {
		for _, noNewPrivileges := range []bool{true, false} {
			t.Run(fmt.Sprint(action, noNewPrivileges), func(t *testing.T) {
				e := newEnv(t)
				c := e.Container(harness.Args("/bin/true"), func(s *specs.Spec) {
					s.Process.NoNewPrivileges = noNewPrivileges
					s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: action, Syscalls: []specs.LinuxSyscall{
						{Names: []string{"execve"}, Action: specs.ActAllow}}}
				})
				if r := c.Run(); r.Code == 0 {
					t.Errorf("a payload without system calls has ended well: %s", r)
				}
				e.CheckNothingLeft()
			})
		}
	}
}

// Hooks are waited for even if the caller has said that it does not want to know of its children.
func TestIgnoredChildren(t *testing.T) {
	e := newEnv(t)
	hook := []specs.Hook{{Path: "/bin/true"}}
	c := e.Container(harness.Args("true"), func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{CreateRuntime: hook, CreateContainer: hook, StartContainer: hook, Poststart: hook,
			Poststop: hook}
	})
	ignoring := []string{"perl", "-e", `$SIG{CHLD} = "IGNORE"; exec @ARGV`}
	e.Run(harness.Options{Prefix: ignoring}, "run", "--bundle", c.Bundle, c.ID).OK(e)
	e.CheckNothingLeft()
}

// What the state directory says is not believed when somebody else could have written it.
func TestStateThatWasChanged(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	c.RunDetached().OK(e)
	file := e.Root + "/" + c.ID + "/state.json"
	b, err := os.ReadFile(file)
	e.Must(err)
	pid := c.PID()
	for name, text := range map[string]string{
		"another process": strings.Replace(string(b), fmt.Sprintf(`"pid":%d`, pid), fmt.Sprintf(`"pid":%d`, os.Getpid()), 1),
		"twice":           strings.Replace(string(b), "{", `{"pid":1,`, 1),
		"more":            string(b) + "{}",
		"empty":           "",
		"no container's":  strings.ReplaceAll(string(b), "/"+c.ID+`"`, `"`),
	} {
		e.Must(os.WriteFile(file, []byte(text), 0o600))
		if r := c.Kill("KILL"); r.Code == 0 {
			t.Errorf("%s: %s", name, r)
		}
		if !harness.Alive(pid) {
			t.Fatalf("%s: the container was killed", name)
		}
	}
	e.Must(os.WriteFile(file, b, 0o600))
	e.Must(os.Chmod(e.Root+"/"+c.ID, 0o777))
	e.Bailey("state", c.ID).Fails(e, "0777")
	e.Must(os.Chmod(e.Root+"/"+c.ID, 0o700))
	c.Delete("--force").OK(e)
	e.CheckNothingLeft()
}

// A configuration that names the cgroup of another container is refused, and the other lives on: neither the
// failed create nor the deletion of what it left touches it.
func TestCgroupOfAnotherContainer(t *testing.T) {
	for _, v := range harness.Views() {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			e := harness.New(t, v)
			first := e.Container()
			first.RunDetached().OK(e)
			pid := first.PID()
			second := e.Container(func(s *specs.Spec) { s.Linux.CgroupsPath = first.Spec.Linux.CgroupsPath })
			for _, r := range []*harness.Result{second.Run(), second.Create(), second.RunDetached()} {
				r.Fails(e, "/linux/cgroupsPath", "not empty")
			}
			second.Delete("--force").OK(e)
			// With its ID, too, which is what is wrong then.
			first.Create().Fails(e, "container with given ID already exists")
			if !harness.Alive(pid) {
				t.Error("the other container was killed")
			}
			first.Exec(nil, "true").OK(e) // its cgroups are still there
			first.Delete("--force").OK(e)
			e.CheckNothingLeft()
		})
	}
}

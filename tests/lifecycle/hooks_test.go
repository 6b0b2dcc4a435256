package lifecycle

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// hookNames are the points in the order in which they run.
var hookNames = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

func hookList(h *specs.Hooks, name string) *[]specs.Hook {
	return map[string]*[]specs.Hook{
		"prestart":      &h.Prestart,
		"createRuntime": &h.CreateRuntime, "createContainer": &h.CreateContainer, "startContainer": &h.StartContainer,
		"poststart": &h.Poststart, "poststop": &h.Poststop,
	}[name]
}

// addHook adds a hook that runs a shell script. In the container's root and in that of the host there is a
// /bin/sh for it.
func addHook(s *specs.Spec, name, script string, timeout int) {
	if s.Hooks == nil {
		s.Hooks = new(specs.Hooks)
	}
	h := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin:/usr/bin", "MARK=of the hook"}}
	if timeout > 0 {
		h.Timeout = &timeout
	}
	list := hookList(s.Hooks, name)
	*list = append(*list, h)
}

// recordHook appends to the file NAME.N: the state from standard input, the namespaces, the environment's mark.
// The file is in a directory that is mounted at the same path in the container.
func recordHook(dir, name string) string {
	return fmt.Sprintf(`exec >>%[1]s/%[2]s; echo %[2]s >>%[1]s/order; cat; echo; for n in mnt uts ipc net pid cgroup user; do readlink /proc/self/ns/$n; done; echo "$MARK"`, dir, name)
}

type hookRecord struct {
	state      specs.State
	namespaces map[string]string
	mark       string
}

func readHook(t *testing.T, dir, name string) hookRecord {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(readFile(t, dir, name)), "\n")
	if len(lines) != 9 {
		t.Fatalf("hook %s: %q", name, lines)
	}
	r := hookRecord{namespaces: make(map[string]string), mark: lines[8]}
	if err := json.Unmarshal([]byte(lines[0]), &r.state); err != nil {
		t.Fatalf("hook %s: the state %q: %v", name, lines[0], err)
	}
	for _, link := range lines[1:8] {
		kind, _, _ := strings.Cut(link, ":")
		r.namespaces[kind] = link
	}
	return r
}

// Hooks of all six kinds: in order, in the right namespaces, with the state on standard input.
func TestHooks(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		for _, userns := range []bool{false, true} {
			for _, how := range []string{"run", "create, start"} {
				dir := e.Path(fmt.Sprintf("hooks-%v-%s", userns, how[:3]))
				e.Must(os.Mkdir(dir, 0o777))
				e.Must(os.Chmod(dir, 0o777))
				e.Must(os.WriteFile(dir+"/order", nil, 0o666))
				e.Must(os.Chmod(dir+"/order", 0o666)) // root of the container is not root of the host
				c := e.Container(harness.Mounted(dir, "bind", dir, "rbind", "rw"), harness.Sh("readlink /proc/self/ns/pid; sleep 0.1"),
					func(s *specs.Spec) {
						s.Annotations = map[string]string{"a": "b"}
						for _, name := range hookNames {
							addHook(s, name, recordHook(dir, name), 0)
							addHook(s, name, "echo "+name+"2 >>"+dir+"/order", 30)
						}
						if userns {
							harness.UserNamespace(s)
						}
					})
				checkHooks(t, c, dir, how)
			}
		}
		e.CheckNothingLeft()
	})
}

func checkHooks(t *testing.T, c *harness.Container, dir, how string) {
	t.Helper()
	e := c.Env
	order := func() string { return strings.Join(strings.Fields(readFile(t, dir, "order")), " ") }
	var pid int
	container := make(map[string]string)
	if how == "run" {
		c.Run().OK(e)
	} else {
		c.Create().OK(e)
		if got, want := order(), "prestart prestart2 createRuntime createRuntime2 createContainer createContainer2"; got != want {
			t.Errorf("hooks run by create: %q, want %q", got, want)
		}
		pid = c.PID()
		for _, kind := range []string{"mnt", "uts", "ipc", "net", "pid", "cgroup", "user"} {
			container[kind] = harness.Namespace(pid, kind)
		}
		c.Start().OK(e)
		c.WaitStatus("stopped")
		if s := order(); strings.Contains(s, "poststop") {
			t.Errorf("poststop hooks have run before delete: %s", s)
		}
		c.Delete().OK(e)
	}
	var want []string
	for _, name := range hookNames {
		want = append(want, name, name+"2")
	}
	if got := order(); got != strings.Join(want, " ") {
		t.Errorf("order: %s\nwant:  %s", got, strings.Join(want, " "))
	}
	statuses := map[string]string{"prestart": "creating created", "createRuntime": "creating created",
		"createContainer": "creating created", "startContainer": "created", "poststart": "running", "poststop": "stopped"}
	for _, name := range hookNames {
		r := readHook(t, dir, name)
		if r.mark != "of the hook" {
			t.Errorf("%s: environment %q", name, r.mark)
		}
		s := r.state
		if s.ID != c.ID || s.Bundle != c.Bundle || s.Version != "1.0.2" || s.Annotations["a"] != "b" ||
			!strings.Contains(" "+statuses[name]+" ", " "+string(s.Status)+" ") {
			t.Errorf("%s: state %+v", name, s)
		}
		inside := name == "createContainer" || name == "startContainer"
		for kind, link := range r.namespaces {
			switch own := harness.Namespace(os.Getpid(), kind); {
			case kind == "mnt" && !inside:
				// The Env's, which is not ours.
			case !inside && link != own:
				t.Errorf("%s runs in %s, the runtime in %s", name, link, own)
			case inside && kind != "user" && link == own:
				t.Errorf("%s runs in the runtime's namespace %s", name, link)
			case inside && pid != 0 && link != container[kind]:
				t.Errorf("%s runs in %s, the container in %s", name, link, container[kind])
			}
		}
		switch {
		case name == "poststop":
			if s.Pid != 0 {
				t.Errorf("%s: process ID %d", name, s.Pid)
			}
		case pid != 0 && !inside && s.Pid != pid:
			t.Errorf("%s: process ID %d, want %d", name, s.Pid, pid)
		case s.Pid == 0:
			t.Errorf("%s: process ID 0", name)
		}
	}
}

// hookOrigin returns what an error says of the first hook of a kind. Those of startContainer are reported by
// the init to `start`, which does not know the plan.
func hookOrigin(name string) string {
	if name == "startContainer" {
		return "config.json /hooks/startContainer"
	}
	return "config.json /hooks/" + name + "/0"
}

// A failing or hanging hook fails the command that runs it, by name, and the rest is undone: poststop hooks
// run. A failing poststop hook is a warning.
func TestFailingHooks(t *testing.T) {
	for _, name := range hookNames {
		for kind, script := range map[string]string{
			"fails": "echo the reason >&2; exit 3", "hangs": "sleep 100000", "is killed": "kill -9 $$",
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				e := newEnv(t)
				stopped := e.Path("stopped")
				c := e.Container(harness.Sh("sleep 0.2"), func(s *specs.Spec) {
					addHook(s, name, script, 1)
					addHook(s, "poststop", ": > "+stopped, 0)
				})
				r := c.Run()
				if name == "poststop" {
					if log := readFile(t, e.Log); r.Code != 0 || !strings.Contains(log, "/hooks/poststop/0") {
						t.Errorf("%s\nwant success and a warning about the hook in the log: %s", r, log)
					}
				} else {
					texts := []string{hookOrigin(name)}
					if kind == "fails" {
						texts = append(texts, "the reason")
					}
					r.Fails(e, texts...)
				}
				if !exists(stopped) {
					t.Error("the poststop hook has not run")
				}
				e.CheckNothingLeft()
			})
		}
	}
}

func TestHookThatCannotRun(t *testing.T) {
	e := newEnv(t)
	for _, name := range hookNames[:5] {
		for _, path := range []string{"/no/such/hook", "/etc/passwd"} {
			c := e.Container(harness.Args("true"), func(s *specs.Spec) {
				addHook(s, name, "", 0)
				(*hookList(s.Hooks, name))[0].Path = path
			})
			c.Run().Fails(e, hookOrigin(name))
			e.CheckNothingLeft()
		}
	}
}

// A failing startContainer or poststart hook: start fails and the container is stopped, to be deleted.
func TestFailingHooksOfStart(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		for _, name := range []string{"startContainer", "poststart"} {
			c := e.Container(func(s *specs.Spec) { addHook(s, name, "exit 1", 0) })
			c.Create().OK(e)
			c.Start().Fails(e, hookOrigin(name))
			c.ExpectStatus("stopped")
			c.Delete().OK(e)
			e.CheckNothingLeft()
		}
	})
}

// bailey's own timers may be late; that must not be inherited by what it executes.
func TestTimerSlackIsNotInherited(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		dir := e.Path("slack")
		e.Must(os.Mkdir(dir, 0o777))
		own, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
		e.Must(err)
		script := "cat /proc/self/timerslack_ns >>" + dir + "/slack"
		c := e.Container(harness.Mounted(dir, "bind", dir, "rbind", "rw"), harness.Sh(script), func(s *specs.Spec) {
			for _, name := range hookNames {
				addHook(s, name, script, 0)
			}
		})
		c.Run().OK(e)
		if got, want := strings.Fields(readFile(t, dir, "slack")), strconv.Itoa(own); len(got) != len(hookNames)+1 ||
			slices.ContainsFunc(got, func(s string) bool { return s != want }) {
			t.Errorf("timer slack of hooks and payload: %q, want %q of each", got, want)
		}
		e.CheckNothingLeft()
	})
}

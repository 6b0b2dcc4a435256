package hostile

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// commands are all that read a state file, but those that remove the container.
func commands(c *harness.Container) map[string][]string {
	return map[string][]string{
		"state": {"state", c.ID}, "kill": {"kill", c.ID, "KILL"}, "start": {"start", c.ID}, "exec": {"exec", c.ID, "true"},
		"delete": {"delete", c.ID}, "pause": {"pause", c.ID}, "ps": {"ps", c.ID}, "update": {"update", "--pids-limit", "10", c.ID},
	}
}

func replaced(pattern, by string) func(string) string {
	return func(s string) string { return regexp.MustCompile(pattern).ReplaceAllLiteralString(s, by) }
}

func always(s string) func(string) string { return func(string) string { return s } }

// brokenStates cannot be trusted in any part: whose process and cgroups they name, nobody knows.
var brokenStates = []struct {
	name  string
	state func(string) string
	want  string
}{
	{"empty", always(""), "state.json"},
	{"truncated", func(s string) string { return s[:len(s)/2] }, "state.json"},
	{"garbage", always("\x00\xff\x1b[2Jgarbage"), "state.json"},
	{"a list", always("[]"), "state.json"},
	{"an empty object", always("{}"), "state.json"},
	{"something after it", func(s string) string { return s + "{}" }, "state.json"},
	{"a million brackets", always(`{"x":` + strings.Repeat("[", 1_000_000)), "state.json"},
	{"huge", func(s string) string { return s + strings.Repeat(" ", 17<<20) }, "state.json"},
	{"pid a string", replaced(`"pid":\d+`, `"pid":"1"`), "state.json /pid"},
	{"pid negative", replaced(`"pid":\d+`, `"pid":-1`), "state.json /pid"},
	{"pid zero", replaced(`"pid":\d+`, `"pid":0`), "state.json /"},
	{"pid beyond 32 bits", replaced(`"pid":\d+`, `"pid":4294967297`), "state.json /pid"},
	{"pid twice", replaced(`"pid":(\d+)`, `"pid":1,"pid":1`), "state.json"},
	{"start time missing", replaced(`"startTime":\d+,`, ``), "state.json /startTime"},
	{"status unknown", replaced(`"status":"\w+"`, `"status":"exploded"`), "state.json /status"},
	{"of another container", replaced(`"id":"[^"]*"`, `"id":"other"`), "state.json /id"},
	{"bundle relative", replaced(`"bundle":"`, `"bundle":"x`), "state.json /bundle"},
	{"cgroups a list", replaced(`"cgroupPaths":\{[^}]*\}`, `"cgroupPaths":[]`), "state.json /cgroupPaths"},
	{"a cgroup that is none", replaced(`"cgroupPaths":\{[^}]*\}`, `"cgroupPaths":{"devices":"@OUT"}`), "state.json /cgroupPaths"},
	{"a cgroup path with ..", replaced(`"cgroupPaths":\{[^}]*\}`, `"cgroupPaths":{"devices":"/sys/fs/cgroup/devices/x/../@ID"}`), "state.json /cgroupPaths"},
	{"a cgroup path relative", replaced(`"cgroupPaths":\{[^}]*\}`, `"cgroupPaths":{"devices":"@ID"}`), "state.json /cgroupPaths"},
}

// Nothing is done to anything on the word of a broken state file, and once it is whole again, so is the container.
func TestBrokenStates(t *testing.T) {
	for _, tc := range brokenStates {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlace(t)
			c := p.Container()
			c.RunDetached().OK(p.Env)
			before := c.State()
			path := p.Root + "/" + c.ID + "/state.json"
			good, err := os.ReadFile(path)
			p.Must(err)
			broken := strings.NewReplacer("@OUT", p.outside, "@ID", c.ID).Replace(tc.state(string(good)))
			p.Must(os.WriteFile(path, []byte(broken), 0o600))
			for _, args := range commands(c) {
				p.failed(p.Bailey(args...), tc.want)
			}
			p.failed(c.Delete("--force"), tc.want)
			p.Bailey("list").OK(p.Env) // one broken container does not hide the others
			p.untouched()
			p.Must(os.WriteFile(path, good, 0o600))
			if s := c.State(); s.Status != "running" || s.PID != before.PID {
				t.Errorf("the container: %+v", s)
			}
			c.Delete("--force").OK(p.Env)
			p.nothingLeft()
		})
	}
}

// A process ID on record that was given to another process since is recognized by its start time: the container
// has stopped, and the other process is left alone.
func TestStateOfAnotherProcess(t *testing.T) {
	harness.NeedRoot(t)
	for _, status := range []string{"created", "running"} {
		for _, v := range harness.Views() {
			t.Run(status+"/"+string(v), func(t *testing.T) {
				p := newPlaceIn(t, v)
				other, end := p.bystander()
				time.Sleep(20 * time.Millisecond) // start times have a resolution of ten
				c := p.Container()
				c.Create().OK(p.Env)
				if status == "running" {
					c.Start().OK(p.Env)
				}
				path := p.Root + "/" + c.ID + "/state.json"
				good, err := os.ReadFile(path)
				p.Must(err)
				p.Must(os.WriteFile(path, []byte(replaced(`"pid":\d+`, fmt.Sprintf(`"pid":%d`, other.PID()))(string(good))), 0o600))
				if s := c.State(); s.Status != "stopped" || s.PID != 0 {
					t.Errorf("state: %+v", s)
				}
				p.failed(c.Kill("KILL"), "container not running")
				p.failed(c.Start(), "stopped")
				p.failed(c.Exec(nil, "true"), "stopped")
				// What is in the container's own cgroup is certainly its own, and goes with it.
				c.Delete("--force").OK(p.Env)
				end()
				p.nothingLeft()
			})
		}
	}
}

// Whatever else stands in place of the state file or its directory is not followed, and not removed with what
// it points to.
var places = []struct {
	name string
	set  func(p *place, dir string) error
	want string
	// gone: to the commands there is no such container.
	gone bool
}{
	{"state file missing", func(_ *place, dir string) error { return os.Remove(dir + "/state.json") }, "does not exist", true},
	{"state file a link", func(p *place, dir string) error { return link(p.outside+"/keep", dir+"/state.json") }, "state.json", false},
	{"state file a link to nothing", func(_ *place, dir string) error { return link("none", dir+"/state.json") }, "state.json", false},
	{"state file a directory", func(_ *place, dir string) error {
		if err := os.Remove(dir + "/state.json"); err != nil {
			return err
		}
		return os.Mkdir(dir+"/state.json", 0o700)
	}, "state.json", false},
	{"state file a FIFO", func(_ *place, dir string) error { return special(dir+"/state.json", unix.S_IFIFO) }, "state.json", false},
	{"directory a link", func(p *place, dir string) error {
		if err := os.Rename(dir, p.Path("moved")); err != nil {
			return err
		}
		return os.Symlink(p.Path("moved"), dir)
	}, "--root", false},
	{"directory a link to another", func(p *place, dir string) error {
		if err := os.Rename(dir, p.Path("moved")); err != nil {
			return err
		}
		return os.Symlink(p.outside, dir)
	}, "--root", false},
	{"directory a file", func(p *place, dir string) error {
		if err := os.Rename(dir, p.Path("moved")); err != nil {
			return err
		}
		return os.WriteFile(dir, nil, 0o600)
	}, "--root", false},
	{"directory for all to write to", func(_ *place, dir string) error { return os.Chmod(dir, 0o777) }, "others can change", false},
	{"directory of another user", func(_ *place, dir string) error { return os.Chown(dir, 65534, 65534) }, "others can change", false},
}

func link(target, name string) error {
	if err := os.Remove(name); err != nil {
		return err
	}
	return os.Symlink(target, name)
}

func TestPlaces(t *testing.T) {
	for _, tc := range places {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlace(t)
			c := p.Container()
			c.RunDetached().OK(p.Env)
			pid := c.PID()
			dir := p.Root + "/" + c.ID
			copied := p.Path("copy")
			p.Must(os.CopyFS(copied, os.DirFS(dir)))
			p.Must(tc.set(p, dir))
			for _, args := range commands(c) {
				p.failed(p.Bailey(args...), tc.want)
			}
			if r := c.Delete("--force"); tc.gone {
				r.OK(p.Env)
			} else {
				p.failed(r, tc.want)
			}
			p.untouched()
			if !harness.Alive(pid) {
				t.Error("the container was killed on the word of nobody")
			}
			// As it was, for the test to end the container by it.
			p.Must(os.RemoveAll(dir))
			p.Must(os.Mkdir(dir, 0o700))
			b, err := os.ReadFile(copied + "/state.json")
			p.Must(err)
			p.Must(os.WriteFile(dir+"/state.json", b, 0o600))
			c.Delete("--force").OK(p.Env)
			p.nothingLeft()
		})
	}
}

// Without its other files a container can still be removed.
func TestMissingFiles(t *testing.T) {
	for _, name := range []string{"start.sock", "config.json"} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			c := p.Container()
			c.Create().OK(p.Env)
			p.Must(os.Remove(p.Root + "/" + c.ID + "/" + name))
			c.ExpectStatus("created")
			if name == "start.sock" {
				p.failed(c.Start(), name)
				c.WaitStatus("stopped")
			} else {
				p.failed(c.Exec(nil, "true"), name)
			}
			c.Delete().OK(p.Env)
			p.nothingLeft()
		})
	}
}

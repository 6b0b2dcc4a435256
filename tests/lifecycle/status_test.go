package lifecycle

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// The statuses in the order of a container's life, as state tells them.
func TestStatuses(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container()
		c.Create("--pid-file", e.Path("pid")).OK(e)
		c.ExpectStatus("created")
		s := c.State()
		if s.PID != e.PIDFile(e.Path("pid")) || !harness.Alive(s.PID) {
			t.Errorf("state has the process ID %d, the pid file %d", s.PID, e.PIDFile(e.Path("pid")))
		}
		c.Start().OK(e)
		c.ExpectStatus("running")
		c.Kill("KILL").OK(e)
		c.WaitStatus("stopped")
		if s := c.State(); s.PID != 0 {
			t.Errorf("a stopped container has the process ID %d", s.PID)
		}
		c.Delete().OK(e)
		c.Env.Bailey("state", c.ID).Fails(e, "does not exist")
		e.CheckNothingLeft()
	})
}

// delete works with a container that was created or has stopped; with --force with any, and with none.
func TestDelete(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		for _, status := range []string{"created", "running", "paused", "stopped"} {
			for _, force := range []bool{false, true} {
				c := e.Container()
				c.Create().OK(e)
				if status != "created" {
					c.Start().OK(e)
				}
				switch status {
				case "paused":
					e.Bailey("pause", c.ID).OK(e)
				case "stopped":
					c.Kill("KILL").OK(e)
					c.WaitStatus("stopped")
				}
				c.ExpectStatus(status)
				if force {
					c.Delete("--force").OK(e)
				} else if status == "running" || status == "paused" {
					c.Delete().Fails(e, c.ID, "is not stopped", status)
					c.ExpectStatus(status)
					c.Delete("-f").OK(e)
				} else {
					c.Delete().OK(e)
				}
				c.Delete().Fails(e, "does not exist")
				c.Delete("--force").OK(e)
				e.CheckNothingLeft()
			}
		}
	})
}

// What a status does not allow fails, says so in the words that engines look for, and changes nothing.
func TestWrongStatus(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	for _, command := range []string{"state", "start", "kill", "pause", "resume", "ps", "delete"} {
		e.Bailey(command, c.ID).Fails(e, "does not exist")
	}
	c.Exec(nil, "true").Fails(e, "does not exist")
	e.Bailey("update", "--pids-limit", "10", c.ID).Fails(e, "does not exist")

	c.Create().OK(e)
	pid := c.PID()
	c.Create().Fails(e, "exist")
	c.Run().Fails(e, "exist")
	e.Bailey("resume", c.ID).Fails(e, "not paused")
	if c.PID() != pid || c.State().Status != "created" {
		t.Errorf("a second create has changed the first container: %+v", c.State())
	}
	c.Start().OK(e)
	c.Start().Fails(e, "running")
	e.Bailey("resume", c.ID).Fails(e, "not paused")
	c.Kill("KILL").OK(e)
	c.WaitStatus("stopped")
	c.Start().Fails(e, "stopped")
	c.Exec(nil, "true").Fails(e, "stopped")
	c.Kill("TERM").Fails(e, "container not running")
	e.Bailey("pause", c.ID).Fails(e, "")
	c.ExpectStatus("stopped")
	c.Delete().OK(e)
	e.CheckNothingLeft()
}

func TestStateAndList(t *testing.T) {
	e := newEnv(t)
	before := time.Now()
	c := e.Container(func(s *specs.Spec) {
		s.Annotations = map[string]string{"org.example.key": "a \"value\"\n", "b": ""}
	})
	if out := e.Bailey("list", "--format", "json").OK(e); strings.TrimSpace(out) != "[]" && strings.TrimSpace(out) != "null" {
		t.Errorf("an empty list: %q", out)
	}
	c.Create().OK(e)
	s := c.State()
	created, err := time.Parse(time.RFC3339Nano, s.Created)
	if err != nil || created.Before(before.Add(-time.Second)) || created.After(time.Now()) {
		t.Errorf("created: %q, %v", s.Created, err)
	}
	if s.ID != c.ID || s.Bundle != c.Bundle || s.Rootfs != c.Rootfs || s.Owner != "root" || s.Version != "1.0.2" ||
		s.Annotations["org.example.key"] != "a \"value\"\n" || len(s.Annotations) != 2 {
		t.Errorf("state: %+v", s)
	}

	d := e.Container(harness.Args("true"))
	d.RunDetached().OK(e)
	d.WaitStatus("stopped")
	var listed []harness.State
	if err := json.Unmarshal([]byte(e.Bailey("list", "--format", "json").OK(e)), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed) != 2 || listed[0].ID != c.ID || listed[1].ID != d.ID ||
		listed[0].Status != "created" || listed[1].Status != "stopped" || listed[0].PID != s.PID || listed[1].PID != 0 {
		t.Errorf("list: %+v", listed)
	}
	lines := strings.Split(strings.TrimSpace(e.Bailey("list").OK(e)), "\n")
	if want := []string{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}; !slices.Equal(strings.Fields(lines[0]), want) {
		t.Errorf("the table's head: %q", lines[0])
	}
	want := []string{c.ID, fmt.Sprint(s.PID), "created", c.Bundle}
	if len(lines) != 3 || !slices.Equal(strings.Fields(lines[1])[:4], want) {
		t.Errorf("table: %q", lines)
	}
	if out := e.Bailey("list", "--quiet").OK(e); out != c.ID+"\n"+d.ID+"\n" {
		t.Errorf("list --quiet: %q", out)
	}
}

// A detached container is nobody's child any more and lives on; an attached one is gone with its end.
func TestDetachedOutlivesCaller(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container()
		r := e.Start(harness.Options{}, "run", "--detach", "--bundle", c.Bundle, c.ID)
		r.Wait().OK(e)
		pid := c.PID()
		e.Eventually("the container has another parent", func() bool {
			s := harness.Stat(pid)
			return s != nil && s.Parent != r.PID()
		})
		c.ExpectStatus("running")
	})
}

func TestRunKeep(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Sh("exit 3"))
	if r := c.Run("--keep"); r.Code != 3 {
		t.Error(r)
	}
	c.ExpectStatus("stopped")
	c.Delete().OK(e)
	e.CheckNothingLeft()
}

// Thirty containers at a time: none disturbs another.
func TestParallel(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		const n = 30
		containers := make([]*harness.Container, n)
		for i := range containers {
			containers[i] = e.Container(func(s *specs.Spec) {
				s.Hostname = fmt.Sprint("host", i)
				if i%2 == 1 {
					harness.UserNamespace(s)
				}
			})
		}
		all := func(args func(c *harness.Container) []string) {
			t.Helper()
			commands := make([]*harness.Command, n)
			for i, c := range containers {
				commands[i] = e.Start(harness.Options{}, args(c)...)
			}
			for _, c := range commands {
				c.Wait().OK(e)
			}
		}
		all(func(c *harness.Container) []string { return []string{"create", "--bundle", c.Bundle, c.ID} })
		all(func(c *harness.Container) []string { return []string{"start", c.ID} })
		for i, c := range containers {
			if got := c.Sh("hostname"); got != fmt.Sprint("host", i) {
				t.Errorf("container %d has the hostname %s", i, got)
			}
			procs := strings.Fields(strings.TrimSpace(readCgroupProcs(t, c)))
			if len(procs) != 1 {
				t.Errorf("container %d has in its cgroup: %v", i, procs)
			}
		}
		all(func(c *harness.Container) []string { return []string{"delete", "--force", c.ID} })
		e.CheckNothingLeft()
	})
}

func readCgroupProcs(t *testing.T, c *harness.Container) string {
	t.Helper()
	return readFile(t, c.CgroupDir(mainController(c.Env)), "cgroup.procs")
}

// mainController returns a controller whose hierarchy has every container, "" for the unified one.
func mainController(e *harness.Env) string {
	if e.View == harness.V2 {
		return ""
	}
	return "pids"
}

// One of several creates of the same ID at the same time wins, and only one.
func TestSameIDInParallel(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	var commands []*harness.Command
	for range 8 {
		commands = append(commands, e.Start(harness.Options{}, "create", "--bundle", c.Bundle, c.ID))
	}
	won := 0
	for _, cmd := range commands {
		if r := cmd.Wait(); r.Code == 0 {
			won++
		} else {
			r.Fails(e, "exist")
		}
	}
	if won != 1 {
		t.Errorf("%d creates have won", won)
	}
	c.Start().OK(e)
	c.Delete("--force").OK(e)
	e.CheckNothingLeft()
}

// The bundle may be named by a relative path, and by the working directory; config.json may lie elsewhere.
func TestBundlePaths(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Args("true"))
	e.Run(harness.Options{Dir: c.Bundle}, "run", c.ID).OK(e)
	e.Run(harness.Options{Dir: e.Dir}, "run", "--bundle", filepath.Base(c.Bundle), c.ID).OK(e)
	config := filepath.Join(c.Bundle, "config.json")
	elsewhere := e.Path("other.json")
	e.Must(os.Rename(config, elsewhere))
	c.Run().Fails(e, "config.json", "no such file or directory")
	c.Run("--config", elsewhere).OK(e)
	c.Spec.Root.Path = c.Rootfs
	c.WriteSpec()
	c.Run().OK(e)
	e.CheckNothingLeft()
}

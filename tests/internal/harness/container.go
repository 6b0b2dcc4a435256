package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Container is a bundle and the ID that a container gets.
type Container struct {
	Env    *Env
	ID     string
	Bundle string
	Rootfs string
	// Cgroup is the path of its cgroup in each hierarchy.
	Cgroup string
	Spec   *specs.Spec
}

// State is what `bailey state` prints.
type State struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	PID         int               `json:"pid"`
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     string            `json:"created"`
	Owner       string            `json:"owner"`
	Annotations map[string]string `json:"annotations"`
}

// slice is that of containers with the systemd driver.
const slice = "bt.slice"

// Container makes a bundle with the basic configuration, changed as asked for.
func (e *Env) Container(changes ...Change) *Container {
	e.T.Helper()
	e.mu.Lock()
	id := fmt.Sprintf("%s-%d", e.ID, len(e.containers))
	c := &Container{Env: e, ID: id, Bundle: e.Path(id), Cgroup: "/" + id}
	if e.Systemd {
		c.Cgroup = "/" + slice + "/" + id + ".scope"
	}
	c.Rootfs = c.Bundle + "/rootfs"
	e.containers = append(e.containers, c)
	e.mu.Unlock()
	c.Spec = basicSpec(c)
	for _, change := range changes {
		change(c.Spec)
	}
	owner := 0
	if len(c.Spec.Linux.UIDMappings) > 0 {
		owner = int(c.Spec.Linux.UIDMappings[0].HostID)
	}
	e.Must(os.Mkdir(c.Bundle, 0o755))
	e.makeRootfs(c.Rootfs, owner)
	c.WriteSpec()
	return c
}

// WriteSpec writes config.json again.
func (c *Container) WriteSpec() {
	c.Env.T.Helper()
	b, err := json.MarshalIndent(c.Spec, "", "\t")
	c.Env.Must(err)
	c.WriteConfig(b)
}

// WriteConfig writes something else as config.json.
func (c *Container) WriteConfig(b []byte) {
	c.Env.T.Helper()
	c.Env.Must(os.WriteFile(filepath.Join(c.Bundle, "config.json"), b, 0o644))
}

// Create runs `bailey create`.
func (c *Container) Create(flags ...string) *Result {
	c.Env.T.Helper()
	r := c.Env.Bailey(c.makeArgs("create", flags)...)
	c.saw(r)
	return r
}

// RunDetached runs `bailey run --detach`.
func (c *Container) RunDetached(flags ...string) *Result {
	c.Env.T.Helper()
	r := c.Env.Bailey(c.makeArgs("run", append([]string{"--detach"}, flags...))...)
	c.saw(r)
	return r
}

// RunArgs returns the arguments of `bailey run`.
func (c *Container) RunArgs(flags ...string) []string { return c.makeArgs("run", flags) }

// Run runs `bailey run` to its end.
func (c *Container) Run(flags ...string) *Result {
	c.Env.T.Helper()
	return c.Env.Bailey(c.RunArgs(flags...)...)
}

// RunConfined runs the container with choices of the library's, flags of tests/internal/confined.
func (c *Container) RunConfined(flags ...string) *Result {
	c.Env.T.Helper()
	args := append([]string{"-root", c.Env.Root, "-bundle", c.Bundle}, flags...)
	r := c.Env.Run(Options{Runtime: Confined(c.Env.T), NoGlobals: true}, append(args, c.ID)...)
	c.saw(r)
	return r
}

// RunAttached starts `bailey run` and waits until the container runs.
func (c *Container) RunAttached(o Options, flags ...string) *Command {
	c.Env.T.Helper()
	cmd := c.Env.Start(o, c.RunArgs(flags...)...)
	c.Env.Eventually("the container runs", func() bool {
		if !cmd.Running() {
			c.Env.T.Fatalf("ended early: %s", cmd.Wait())
		}
		s := c.TryState()
		return s != nil && s.Status == "running"
	})
	c.Env.sawNamespaces(c.PID())
	return cmd
}

func (c *Container) makeArgs(command string, flags []string) []string {
	args := append([]string{command, "--bundle", c.Bundle}, flags...)
	return append(args, c.ID)
}

func (c *Container) saw(r *Result) {
	if r.Code != 0 {
		return
	}
	if s := c.TryState(); s != nil && s.PID != 0 {
		c.Env.sawNamespaces(s.PID)
	}
}

// Start runs `bailey start`.
func (c *Container) Start() *Result { c.Env.T.Helper(); return c.Env.Bailey("start", c.ID) }

// Delete runs `bailey delete`.
func (c *Container) Delete(flags ...string) *Result {
	c.Env.T.Helper()
	return c.Env.Bailey(append(append([]string{"delete"}, flags...), c.ID)...)
}

// Kill runs `bailey kill`.
func (c *Container) Kill(signal ...string) *Result {
	c.Env.T.Helper()
	return c.Env.Bailey(append([]string{"kill", c.ID}, signal...)...)
}

// Exec runs `bailey exec` with flags and, after the ID, a command.
func (c *Container) Exec(flags []string, command ...string) *Result {
	c.Env.T.Helper()
	return c.Env.Bailey(c.ExecArgs(flags, command...)...)
}

// ExecArgs returns the arguments of Exec.
func (c *Container) ExecArgs(flags []string, command ...string) []string {
	args := append(append([]string{"exec"}, flags...), c.ID)
	return append(args, command...)
}

// Sh runs a shell script in the container and returns its output, without the newline at its end.
func (c *Container) Sh(script string) string {
	c.Env.T.Helper()
	return strings.TrimSuffix(c.Exec(nil, "sh", "-c", script).OK(c.Env), "\n")
}

// TryState runs `bailey state`; nil if it fails.
func (c *Container) TryState() *State {
	c.Env.T.Helper()
	r := c.Env.Bailey("state", c.ID)
	if r.Code != 0 {
		return nil
	}
	s := new(State)
	if err := json.Unmarshal([]byte(r.Stdout), s); err != nil {
		c.Env.T.Fatalf("%s: %v", r, err)
	}
	return s
}

// State runs `bailey state`.
func (c *Container) State() *State {
	c.Env.T.Helper()
	s := c.TryState()
	if s == nil {
		c.Env.T.Fatal(c.Env.Bailey("state", c.ID))
	}
	return s
}

// PID returns the process ID of the container's init.
func (c *Container) PID() int {
	c.Env.T.Helper()
	pid := c.State().PID
	if pid <= 0 {
		c.Env.T.Fatalf("container %s has the process ID %d", c.ID, pid)
	}
	return pid
}

// WaitStatus waits until the container has a status.
func (c *Container) WaitStatus(status string) {
	c.Env.T.Helper()
	c.Env.Eventually("status "+status, func() bool {
		s := c.TryState()
		return s != nil && s.Status == status
	})
}

// ExpectStatus fails the test if the container has not this status now.
func (c *Container) ExpectStatus(status string) {
	c.Env.T.Helper()
	if s := c.State(); s.Status != status {
		c.Env.T.Errorf("status %q, want %q", s.Status, status)
	}
}

// PIDFile reads a file with a process ID.
func (e *Env) PIDFile(path string) int {
	e.T.Helper()
	b, err := os.ReadFile(path)
	e.Must(err)
	pid, err := strconv.Atoi(string(b))
	e.Must(err)
	return pid
}

// LogErrors returns the messages of the log's entries of level error.
func (e *Env) LogErrors() []string { e.T.Helper(); return e.logged("error") }

// LogWarnings returns the messages of the log's warnings.
func (e *Env) LogWarnings() []string { e.T.Helper(); return e.logged("warning") }

func (e *Env) logged(level string) []string {
	e.T.Helper()
	b, err := os.ReadFile(e.Log)
	if err != nil {
		return nil
	}
	var messages []string
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		var entry struct{ Level, Msg string }
		if line == "" {
			continue
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			e.T.Errorf("log line %q: %v", line, err)
		}
		if entry.Level == level {
			messages = append(messages, entry.Msg)
		}
	}
	return messages
}

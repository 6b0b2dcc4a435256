package attacks

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// A cell is one payload under one runtime.
type cell struct {
	*harness.Env
	col     *column
	payload *payload
	outcome map[string]string
	// order has the names of the attacks as they were tried.
	order []string
}

// view is the one that runc, crun and bailey all know, where the machine can show it.
func view() harness.View {
	views := harness.Views()
	for _, v := range views {
		if v == harness.V1 {
			return v
		}
	}
	return views[0]
}

// measure returns what attacks come to.
func measure(t *testing.T, col *column, p *payload) *cell {
	t.Helper()
	c := &cell{Env: harness.NewWithAccount(t, view(), 1<<20), col: col, payload: p, outcome: make(map[string]string)}
	if !col.bailey() {
		path, err := exec.LookPath(col.peer)
		c.Must(err)
		c.Runtime = path
	}
	c.alone()
	c.neighbour()
	c.binary()
	c.CheckNothingLeft()
	return c
}

// container makes a bundle with the programs that attack.
func (c *cell) container(changes ...harness.Change) *harness.Container {
	c.T.Helper()
	b := c.Container(append([]harness.Change{change(c.col, c.payload)}, changes...)...)
	c.Must(os.Chmod(b.Rootfs+"/tmp", 0o1777))
	for name, program := range map[string]string{"attack": harness.Attack(c.T), "raid": harness.Raid(c.T), "abroad": harness.Abroad(c.T)} {
		c.Must(os.Link(program, b.Rootfs+"/"+name))
	}
	owner := 0
	if c.col.userns {
		owner = harness.UserBase
	}
	for _, name := range []string{"raid-setuid", "raid-filecap", "raid-inherit"} {
		program, err := os.ReadFile(harness.Raid(c.T))
		c.Must(err)
		c.Must(os.WriteFile(b.Rootfs+"/"+name, program, 0o755))
		c.Must(os.Chown(b.Rootfs+"/"+name, owner, owner))
	}
	c.Must(os.Chmod(b.Rootfs+"/raid-setuid", 0o755|os.ModeSetuid))
	// CAP_SYS_MODULE, which nobody in these containers is granted: permitted and effective; inheritable.
	c.Must(unix.Setxattr(b.Rootfs+"/raid-filecap", "security.capability", fileCapabilities(1<<unix.CAP_SYS_MODULE, 0), 0))
	c.Must(unix.Setxattr(b.Rootfs+"/raid-inherit", "security.capability", fileCapabilities(0, 1<<unix.CAP_SYS_MODULE), 0))
	return b
}

// fileCapabilities is a struct vfs_cap_data of revision 2 with the effective bit.
func fileCapabilities(permitted, inheritable uint32) []byte {
	data := make([]byte, 20)
	for i, v := range []uint32{0x02000001, permitted, inheritable} {
		data[4*i], data[4*i+1], data[4*i+2], data[4*i+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
	return data
}

// run runs a command of the column's runtime.
func (c *cell) run(o harness.Options, args ...string) *harness.Result {
	c.T.Helper()
	if !c.col.bailey() {
		o.NoGlobals = true
		args = append([]string{"--root", c.Path("peer")}, args...)
	}
	return c.Run(o, args...)
}

// launch runs `run` of a container.
func (c *cell) launch(o harness.Options, b *harness.Container, flags ...string) *harness.Result {
	c.T.Helper()
	args := append(append([]string{"run", "--bundle", b.Bundle}, c.col.flags...), flags...)
	return c.run(o, append(args, b.ID)...)
}

// saw takes over outcomes that a program has printed.
func (c *cell) saw(printed string) {
	for line := range strings.Lines(printed) {
		if name, outcome, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			c.set(name, outcome)
		}
	}
}

func (c *cell) set(name, outcome string) {
	if _, known := c.outcome[name]; !known {
		c.order = append(c.order, name)
	}
	c.outcome[name] = outcome
}

// alone has the payload attack on its own. The caller has a key in its session keyring. attack comes last: what works of it takes
// masks away for all that comes after.
func (c *cell) alone() {
	c.T.Helper()
	b := c.container(harness.Sh(`raid=$(/raid); keys=$(/abroad keys ` + c.ID + `); /attack; echo "$raid"; echo "$keys"`))
	r := c.launch(harness.Options{Prefix: []string{harness.Abroad(c.T), "keep", c.ID}}, b)
	if r.Code != 0 && !c.col.bailey() {
		c.T.Skipf("%s does not run such a container here: %s", c.col.name, r)
	}
	c.saw(r.OK(c.Env))
}

// neighbour has the payload attack a process of another container of the same column, which it gets to see because it
// shares the machine's pid namespace.
func (c *cell) neighbour() {
	c.T.Helper()
	victim := c.container(harness.Sh("exec sleep 1000"))
	c.launch(harness.Options{}, victim, "--detach").OK(c.Env)
	var state struct{ PID int }
	c.Must(json.Unmarshal([]byte(c.run(harness.Options{}, "state", victim.ID).OK(c.Env)), &state))
	attacker := c.container(harness.Without(specs.PIDNamespace), harness.Args("/abroad", "neighbour", strconv.Itoa(state.PID)), func(s *specs.Spec) {
		for i := range s.Mounts {
			if s.Mounts[i].Type == "proc" {
				s.Mounts[i] = specs.Mount{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind", "rprivate"}}
			}
		}
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
	})
	c.saw(c.launch(harness.Options{}, attacker).OK(c.Env))
	c.run(harness.Options{}, "delete", "--force", victim.ID).OK(c.Env)
}

// binary has the payload overwrite the runtime, a copy of it, while that executes in the container what is itself.
func (c *cell) binary() {
	c.T.Helper()
	program, err := os.ReadFile(c.Runtime)
	c.Must(err)
	original := c.Runtime
	c.Runtime = filepath.Join(c.Dir, "runtime")
	c.Must(os.WriteFile(c.Runtime, program, 0o755))
	defer func() { c.Runtime = original }()
	b := c.container(harness.Args("/abroad", "overwrite"))
	c.launch(harness.Options{}, b, "--detach").OK(c.Env)
	outcome := "refused"
	for range 10 {
		c.run(harness.Options{}, "exec", b.ID, "/proc/self/exe") // whether that works does not matter
		now, err := os.ReadFile(c.Runtime)
		c.Must(err)
		if sha256.Sum256(now) != sha256.Sum256(program) {
			outcome = "works"
			c.Must(os.Remove(c.Runtime))
			c.Must(os.WriteFile(c.Runtime, program, 0o755))
			break
		}
	}
	c.set("runtime overwritten while it executes in the container", outcome)
	c.Must(os.WriteFile(b.Rootfs+"/stop", nil, 0o644))
	c.run(harness.Options{}, "delete", "--force", b.ID).OK(c.Env)
}

package checkpoint

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// newEnv returns an Env whose runtime finds CRIU.
func newEnv(t *testing.T, v harness.View) (*harness.Env, harness.Options) {
	t.Helper()
	harness.NeedRoot(t)
	var dir string
	for _, module := range []string{"../..", "."} { // in a virtual machine nobody has gone to the package's directory
		if found, err := filepath.Abs(module + "/build/criu/bin"); err == nil && unix.Access(found+"/criu", unix.X_OK) == nil {
			dir = found
		}
	}
	if dir == "" {
		t.Skip("no CRIU; run: scripts/criu build/criu")
	}
	t.Parallel()
	return harness.New(t, v), harness.Options{Env: []string{"PATH=" + dir + ":" + os.Getenv("PATH")}}
}

func eachView(t *testing.T, f func(t *testing.T, e *harness.Env, o harness.Options)) {
	harness.NeedRoot(t)
	for _, v := range harness.Views() {
		t.Run(string(v), func(t *testing.T) {
			e, o := newEnv(t, v)
			f(t, e, o)
		})
	}
}

// serving has the container run a server whose state only its memory has.
var serving = harness.Args("probe", "serve")

// quiet has a container's output go nowhere.
func quiet(o harness.Options) harness.Options {
	o.Prefix = []string{"sh", "-c", `exec "$@" >/dev/null 2>&1`, "sh"}
	return o
}

// run runs a container whose output goes nowhere.
func run(o harness.Options, c *harness.Container) {
	c.Env.T.Helper()
	c.Env.Run(quiet(o), c.RunArgs("--detach")...).OK(c.Env)
}

// answer asks the server in a container, and returns the number that is its own and how far it has counted.
func answer(c *harness.Container) (own string, count int) {
	c.Env.T.Helper()
	var f []string
	c.Env.Eventually("the server answers", func() bool {
		f = strings.Fields(c.Exec(nil, "probe", "ask").Stdout)
		return len(f) == 2
	})
	count, err := strconv.Atoi(f[1])
	c.Env.Must(err)
	return f[0], count
}

// same asks the server in a container whether it is the one that had counted so far.
func same(c *harness.Container, own string, count int) {
	c.Env.T.Helper()
	if now, further := answer(c); now != own || further < count {
		c.Env.T.Errorf("it is %s and has counted to %d; it was %s and had counted to %d", now, further, own, count)
	}
}

func checkpoint(o harness.Options, c *harness.Container, flags ...string) *harness.Result {
	c.Env.T.Helper()
	args := append([]string{"checkpoint", "--image-path", c.Env.Path("images")}, flags...)
	return c.Env.Run(o, append(args, c.ID)...)
}

func restoreArgs(c *harness.Container, flags ...string) []string {
	args := append([]string{"restore", "--image-path", c.Env.Path("images"), "--bundle", c.Bundle}, flags...)
	return append(args, c.ID)
}

func restore(o harness.Options, c *harness.Container, flags ...string) *harness.Result {
	c.Env.T.Helper()
	o.Prefix = []string{"sh", "-c", `exec "$@" >/dev/null`, "sh"}
	return c.Env.Run(o, restoreArgs(c, append([]string{"--detach"}, flags...)...)...)
}

// gone fails the test if anything but images is left of a container.
func gone(c *harness.Container) {
	c.Env.T.Helper()
	if s := c.TryState(); s != nil {
		c.Env.T.Errorf("the container is still there: %+v", s)
	}
	c.Env.CheckNothingLeft()
}

// kernelsView is what the kernel says of a container's init, in so far as it must be the same after a restore.
func kernelsView(e *harness.Env, pid int) map[string]string {
	e.T.Helper()
	view := make(map[string]string)
	for _, key := range []string{"Uid", "Gid", "Groups", "NSpid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Umask", "Threads"} {
		f := strings.Fields(e.Status(pid)[key])
		if key == "NSpid" {
			f = f[1:]
		}
		view[key] = strings.Join(f, " ")
	}
	delete(view, "Threads") // Go's own affair
	for _, file := range []string{"uid_map", "gid_map", "setgroups", "cgroup", "limits", "cmdline"} {
		view[file] = e.ProcFile(pid, file)
	}
	var mounts []string
	for _, m := range e.Mounts(pid) {
		if m.Type == "tmpfs" || m.Type == "proc" || m.Type == "sysfs" {
			m.Super = ""
		}
		options := strings.Split(m.Options, ",")
		slices.Sort(options)
		mounts = append(mounts, strings.Join([]string{m.Target, m.Root, m.Type, strings.Join(options, ","), m.Super}, " "))
	}
	slices.Sort(mounts)
	view["mounts"] = strings.Join(mounts, "\n")
	return view
}

// compare fails the test where two of the kernel's views differ.
func compare(t *testing.T, before, after map[string]string) {
	t.Helper()
	for key, want := range before {
		if after[key] != want {
			t.Errorf("%s was\n%s\nand is\n%s", key, want, after[key])
		}
	}
}

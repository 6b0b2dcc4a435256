package checkpoint

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// freePort returns a port that nobody listens on.
func freePort(e *harness.Env) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	e.Must(err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// startCRIU starts a server of CRIU's own, which ends with what it is for.
func startCRIU(e *harness.Env, o harness.Options, args ...string) *harness.Command {
	o.NoGlobals, o.Runtime = true, filepath.Join(strings.SplitN(strings.TrimPrefix(o.Env[0], "PATH="), ":", 2)[0], "criu")
	return e.Start(o, args...)
}

// Memory goes to a page server instead of the images, and is brought back from where that has put it.
func TestPageServer(t *testing.T) {
	e, o := newEnv(t, harness.ShortViews()[0])
	c := e.Container(serving)
	run(o, c)
	own, count := answer(c)
	e.Must(os.Mkdir(e.Path("images"), 0o700))
	e.Must(os.Mkdir(e.Path("pages"), 0o700))
	port := freePort(e)
	server := startCRIU(e, o, "page-server", "--images-dir", e.Path("pages"), "--address", "127.0.0.1", "--port", fmt.Sprint(port))
	e.Eventually("the page server listens", func() bool { return listens(port) })
	checkpoint(o, c, "--page-server", fmt.Sprintf("127.0.0.1:%d", port)).OK(e)
	server.Wait().OK(e)
	if n := sizeOf(e, "images"); n != 0 {
		t.Errorf("%d bytes of memory are in the images", n)
	}
	if sizeOf(e, "pages") == 0 {
		t.Error("the page server has got no memory")
	}
	entries, err := os.ReadDir(e.Path("pages"))
	e.Must(err)
	for _, entry := range entries {
		e.Must(os.Rename(e.Path("pages/"+entry.Name()), e.Path("images/"+entry.Name())))
	}
	restore(o, c).OK(e)
	same(c, own, count)
}

// listens reports whether a TCP port of the host has a listener, without connecting to it.
func listens(port int) bool {
	b, _ := os.ReadFile("/proc/net/tcp")
	return strings.Contains(string(b), fmt.Sprintf("0100007F:%04X 00000000:0000 0A", port))
}

// lazily starts the daemon that hands out the memory of images, restores a container that fetches it there, and returns
// the daemon, which ends when all is fetched.
func lazily(e *harness.Env, o harness.Options, c *harness.Container, flags ...string) *harness.Command {
	daemon := startCRIU(e, o, append([]string{"lazy-pages", "--images-dir", e.Path("images"), "--work-dir", e.Path("images"), "-o", "lazy.log"}, flags...)...)
	e.Eventually("the daemon listens", func() bool { return unix.Access(e.Path("images/lazy-pages.socket"), unix.F_OK) == nil })
	restore(o, c, "--lazy-pages").OK(e)
	return daemon
}

// A container runs before its memory is there, which is fetched when it is touched.
func TestLazyRestore(t *testing.T) {
	e, o := newEnv(t, harness.ShortViews()[0])
	c := e.Container(serving)
	run(o, c)
	own, count := answer(c)
	checkpoint(o, c).OK(e)
	daemon := lazily(e, o, c)
	same(c, own, count)
	daemon.Wait().OK(e)
	same(c, own, count)
}

// The same with memory that stays where the container was dumped until it is fetched.
func TestLazyCheckpoint(t *testing.T) {
	if set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0); err != nil || set == 0 {
		t.Skip("the pipes that CRIU keeps memory in take CAP_SYS_RESOURCE, which is not to be had here")
	}
	e, o := newEnv(t, harness.ShortViews()[0])
	c := e.Container(serving)
	run(o, c)
	own, count := answer(c)
	port := fmt.Sprint(freePort(e))
	ready, status, err := os.Pipe()
	e.Must(err)
	defer ready.Close()
	with := o
	with.ExtraFiles = []*os.File{status}
	dump := e.Start(with, "checkpoint", "--image-path", e.Path("images"), "--lazy-pages", "--page-server", "127.0.0.1:"+port, "--status-fd", "3", c.ID)
	status.Close()
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		t.Fatalf("no word on the status descriptor: %v\n%s", err, dump.Wait())
	}
	other := e.Container(serving)
	daemon := lazily(e, o, other, "--page-server", "--address", "127.0.0.1", "--port", port)
	daemon.Wait().OK(e)
	same(other, own, count)
	dump.Wait().OK(e)
	if c.TryState() != nil {
		t.Error("the dumped container is still there")
	}
}

// What a paused container was doing it goes on with once it is restored.
func TestCheckpointPaused(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env, o harness.Options) {
		if e.View == harness.V2 && !e.HasController("memory") && harness.Views()[0] == harness.Hybrid {
			t.Skip("CRIU sees the machine's cgroup v1, which in this view has no freezer of the container's")
		}
		c := e.Container(serving)
		run(o, c)
		own, count := answer(c)
		e.Bailey("pause", c.ID).OK(e)
		checkpoint(o, c).OK(e)
		gone(c)
		restore(o, c).OK(e)
		c.ExpectStatus("running")
		same(c, own, count)
	})
}

// A namespace that config.json gives by path is not dumped, and another may take its place.
func TestCheckpointJoinedNetwork(t *testing.T) {
	e, o := newEnv(t, harness.ShortViews()[0])
	first, second := e.Container(), e.Container()
	first.RunDetached().OK(e)
	second.RunDetached().OK(e)
	path := func(c *harness.Container) string { return fmt.Sprintf("/proc/%d/ns/net", c.PID()) }
	c := e.Container(harness.Sh("sleep 100000"), harness.Joined(specs.NetworkNamespace, path(first)))
	run(o, c)
	checkpoint(o, c).OK(e)
	c.Spec.Linux.Namespaces[len(c.Spec.Linux.Namespaces)-1].Path = path(second)
	c.WriteSpec()
	restore(o, c).OK(e)
	if got, want := harness.Namespace(c.PID(), "net"), harness.Namespace(second.PID(), "net"); got != want {
		t.Errorf("it is in %s, want %s", got, want)
	}
	checkpoint(o, c).OK(e)
	harness.Without(specs.NetworkNamespace)(c.Spec)
	c.WriteSpec()
	restore(o, c).Fails(e, "/linux/namespaces", "network namespace given by path")
}

// The hooks around a container run for one that is restored as well, each with the right state.
func TestRestoreHooks(t *testing.T) {
	e, o := newEnv(t, harness.ShortViews()[0])
	hook := func(point string) []specs.Hook {
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "cat >>" + e.Path("hooks") + "; echo >>" + e.Path("hooks")}, Env: []string{"PATH=/bin"}}}
	}
	c := e.Container(serving, func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{Prestart: hook("prestart"), CreateRuntime: hook("createRuntime"), Poststart: hook("poststart"), Poststop: hook("poststop")}
	})
	run(o, c)
	own, count := answer(c)
	checkpoint(o, c).OK(e)
	e.Must(os.Remove(e.Path("hooks")))
	restore(o, c).OK(e)
	pid := c.PID()
	same(c, own, count)
	c.Delete("--force").OK(e)
	b, err := os.ReadFile(e.Path("hooks"))
	e.Must(err)
	var got []string
	for line := range strings.Lines(string(b)) {
		var s specs.State
		e.Must(json.Unmarshal([]byte(line), &s))
		got = append(got, fmt.Sprint(s.Status, " ", s.Pid))
	}
	want := []string{fmt.Sprint("created ", pid), fmt.Sprint("created ", pid), fmt.Sprint("running ", pid), "stopped 0"}
	if strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("%q, want %q", got, want)
	}
	// One that fails ends it all.
	c.Spec.Hooks.CreateRuntime = []specs.Hook{{Path: "/bin/false"}}
	c.WriteSpec()
	restore(o, c).Fails(e, "/hooks/createRuntime/0")
	gone(c)
}

// What cannot be is said before anything is done, and leaves nothing.
func TestCheckpointErrors(t *testing.T) {
	e, o := newEnv(t, harness.ShortViews()[0])
	c := e.Container(serving)
	checkpoint(o, c).Fails(e, "does not exist")
	restore(o, c).Fails(e, "--image-path", "ENOENT")
	e.Must(os.Mkdir(e.Path("images"), 0o700))
	restore(o, c).Fails(e, "--image-path", "bailey.json", "no checkpoint")
	e.WriteFile("images/bailey.json", `{"mount": 1}`, 0o600)
	restore(o, c).Fails(e, "--image-path", "bailey.json", "mount")
	c.Create().OK(e)
	checkpoint(o, c).Fails(e, "cannot checkpoint a container in the created state")
	c.Start().OK(e)
	none := o
	none.Env = []string{"PATH=/nowhere"}
	checkpoint(none, c).Fails(e, "find CRIU", "install CRIU")
	for _, f := range [][]string{{"--manage-cgroups-mode", "props"}, {"--empty-ns", "pid"}, {"--page-server", "host"}, {"--page-server", ":80"}, {"--status-fd", "-2"}} {
		checkpoint(o, c, f...).Fails(e, f[0])
	}
	c.ExpectStatus("running")
	// A process that is not below the container's init is not dumped, which is said.
	c.Exec([]string{"--detach"}, "sleep", "1000").OK(e)
	checkpoint(o, c, "--leave-running").OK(e)
	if log, err := os.ReadFile(e.Log); err != nil || !strings.Contains(string(log), "is not dumped") {
		t.Errorf("%s (%v)", log, err)
	}
	c.Delete("--force").OK(e)

	// What CRIU itself says is passed on: an established connection needs a flag.
	connected := e.Container(harness.Sh("sleep 1000 | nc -l -p 7001 & sleep 0.2; sleep 1000 | nc 127.0.0.1 7001"))
	run(o, connected)
	e.Eventually("a connection is established", func() bool { return strings.Contains(connected.Sh("cat /proc/net/tcp"), ":1B59 01 ") })
	checkpoint(o, connected).Fails(e, "CRIU says", "dump.log", "tcp-established")
	connected.ExpectStatus("running")
	checkpoint(o, connected, "--tcp-established").OK(e)
	restore(o, connected, "--tcp-established").OK(e)
	if !strings.Contains(connected.Sh("cat /proc/net/tcp"), ":1B59 01 ") {
		t.Error("the connection is lost")
	}

	mapped := e.Container(harness.UserNamespace, serving, harness.Mounted("/data", "bind", e.Dir, "bind", "idmap"))
	run(o, mapped)
	checkpoint(o, mapped).Fails(e, "/mounts/", "ID-mapped")
	mapped.ExpectStatus("running")
	image := e.Container(serving, harness.Mounted("/data", "ramfs", "none"))
	run(o, image)
	checkpoint(o, image).Fails(e, "/data", "ramfs", "bind mount")
	image.ExpectStatus("running")
}

// A restore that is killed at any moment leaves nothing that delete --force does not remove.
func TestRestoreKilled(t *testing.T) {
	e, o := newEnv(t, harness.ShortViews()[0])
	c := e.Container(serving)
	run(o, c)
	own, count := answer(c)
	checkpoint(o, c).OK(e)
	quietly := quiet(o)
	for i := range 12 {
		cmd := e.Start(quietly, restoreArgs(c, "--detach")...)
		unix.Nanosleep(&unix.Timespec{Nsec: int64(i) * 15e6}, nil)
		cmd.Signal(unix.SIGKILL)
		cmd.Wait()
		c.Delete("--force").OK(e)
		gone(c)
	}
	restore(o, c).OK(e)
	same(c, own, count)
}

// Cgroups can be left to the caller: the container is in its own all the same.
func TestIgnoreCgroups(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env, o harness.Options) {
		c := e.Container(serving)
		run(o, c)
		before := e.ProcFile(c.PID(), "cgroup")
		own, count := answer(c)
		checkpoint(o, c, "--manage-cgroups-mode", "ignore").OK(e)
		restore(o, c, "--manage-cgroups-mode", "ignore").OK(e)
		same(c, own, count)
		if after := e.ProcFile(c.PID(), "cgroup"); after != before {
			t.Errorf("its cgroups were\n%s\nand are\n%s", before, after)
		}
	})
}

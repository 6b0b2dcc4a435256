package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/protobuf/proto"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

const (
	runtimeName = "io.containerd.bailey.v2"
	namespace   = "tests"
)

// daemon is a containerd of the test's own, and the runtime that it is asked for.
type daemon struct {
	t testing.TB // of what is being done with it
	// owner is the test that it ends with.
	owner    testing.TB
	dir, ctr string
	path     string // of the daemon's program
	runtime  engine.Runtime
	// options are those of the runtime, in addition to which binary it is.
	options *options.Options
	// snapshotter is the one to use, "" for the usual one.
	snapshotter string
	process     *exec.Cmd
	client      *client.Client
	ctx         context.Context
}

// version is a containerd that there is.
type version struct{ name, daemon, ctr string }

// versions are the newest containerd and Debian's, each with its own shim for runc beside it.
func versions(t testing.TB) []version {
	t.Helper()
	built := engine.Built(t)
	found := []version{{"2.4", built + "/containerd", built + "/ctr"}}
	if engine.Exists("/usr/bin/containerd") {
		found = append(found, version{"1.6", "/usr/bin/containerd", "/usr/bin/ctr"})
	}
	return found
}

// ownShim is bailey without a binary: the shim does everything. What is made with it has no Path.
var ownShim = engine.Runtime{Name: "bailey's shim"}

// newDaemon starts a daemon with an image.
func newDaemon(t testing.TB, v version, r engine.Runtime) *daemon {
	t.Helper()
	d := &daemon{t: t, owner: t, dir: t.TempDir(), path: v.daemon, ctr: v.ctr, runtime: r}
	d.ctx = namespaces.WithNamespace(t.Context(), namespace)
	d.start()
	t.Cleanup(d.stop)
	d.Ctr("images", "import", engine.BusyboxImage(t, t.TempDir()))
	return d
}

// withDaemons runs a test of bailey's shim with each of the daemons.
func withDaemons(t *testing.T, test func(t *testing.T, d *daemon)) {
	for _, v := range versions(t) {
		t.Run(v.name, func(t *testing.T) {
			d := newDaemon(t, v, ownShim)
			before := takeInventory(t, d)
			test(t, d)
			if !t.Failed() {
				before.Compare(t, func() engine.Inventory { return takeInventory(t, d) })
			}
		})
	}
}

// own reports whether containers are bailey's shim's.
func (d *daemon) own() bool { return d.runtime.Path == "" }

// ending is what scripts end with that have something to say: containerd's shim does not always read what comes last of all.
func (d *daemon) ending() string {
	if d.own() {
		return ""
	}
	return " && sleep 0.2"
}

func (d *daemon) socket() string { return d.dir + "/containerd.sock" }

// start starts the daemon and waits until it answers.
func (d *daemon) start() {
	d.t.Helper()
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.cri.v1.images\", \"io.containerd.cri.v1.runtime\"]\n[grpc]\naddress = %q\n[ttrpc]\naddress = %q\n",
		d.dir+"/root", d.dir+"/state", d.socket(), d.socket()+".ttrpc")
	must(d.t, os.WriteFile(d.dir+"/config.toml", []byte(config), 0o600))
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(d.t, err)
	defer log.Close()
	d.process = exec.Command(d.path, "-c", d.dir+"/config.toml", "-l", "debug")
	d.process.Stdout, d.process.Stderr = log, log
	d.process.Dir = d.dir // Debian's takes a shim that is in its working directory
	d.process.Env = append(os.Environ(), "PATH="+strings.Join([]string{os.Getenv("BAILEY_BIN"), filepath.Dir(d.path) + "/shims", os.Getenv("PATH")}, ":"))
	must(d.t, d.process.Start())
	d.eventually("the daemon answers", func() error {
		c, err := client.New(d.socket(), client.WithTimeout(time.Second))
		if err != nil {
			return err
		}
		if _, err := c.Version(d.ctx); err != nil {
			c.Close()
			return err
		}
		d.client = c
		return nil
	})
}

func (d *daemon) stop() {
	if d.process == nil {
		return
	}
	if d.client != nil {
		d.client.Close()
	}
	_ = d.process.Process.Signal(syscall.SIGTERM)
	_ = d.process.Wait()
	d.process = nil
	engine.TellLog(d.owner, d.dir+"/log")
}

// killed ends the daemon by SIGKILL.
func (d *daemon) killed() {
	d.client.Close()
	_ = d.process.Process.Kill()
	_ = d.process.Wait()
	d.process, d.client = nil, nil
}

// Ctr runs a command that is to work, and returns what it prints.
func (d *daemon) Ctr(args ...string) string {
	d.t.Helper()
	out, status := d.ctrStatus(args...)
	if status != 0 {
		d.t.Fatalf("ctr %s: exit status %d: %s", strings.Join(args, " "), status, out)
	}
	return out
}

// remove ends and deletes a container.
func (d *daemon) remove(id string) {
	d.t.Helper()
	_, _ = d.ctrStatus("tasks", "delete", "-f", id) // it has the exit status of the task
	d.Ctr("containers", "delete", id)
}

// ctrStatus runs a command and returns what it prints and its exit status.
func (d *daemon) ctrStatus(args ...string) (string, int) {
	d.t.Helper()
	cmd := d.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatalf("ctr %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func (d *daemon) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	d.t.Cleanup(cancel)
	return exec.CommandContext(ctx, d.ctr, append([]string{"-a", d.socket(), "-n", namespace}, args...)...)
}

// run returns the arguments of a ctr run with the runtime.
func (d *daemon) run(id string, args ...string) []string {
	all := []string{"run", "--cgroup", cgroupOf(id), "--runtime", d.runtimeName()}
	if !d.own() {
		all = append(all, "--runc-binary", d.runtime.Path)
	}
	if !engine.HasController("cpu") {
		all = append(all, "--cpu-shares", "0") // it has a default
	}
	return append(all, args...)
}

func (d *daemon) runtimeName() string {
	if d.own() {
		return runtimeName
	}
	return "io.containerd.runc.v2"
}

// withRuntime chooses the runtime for a container of the client's.
func (d *daemon) withRuntime() client.NewContainerOpts {
	if d.own() && d.options == nil {
		return client.WithRuntime(d.runtimeName(), nil)
	}
	o := new(options.Options)
	if d.options != nil {
		o = proto.CloneOf(d.options)
	}
	o.BinaryName = d.runtime.Path
	return client.WithRuntime(d.runtimeName(), o)
}

// reset removes what a check has left that has failed.
func (d *daemon) reset() {
	if d.client == nil {
		d.start()
	}
	all, err := d.client.Containers(d.ctx)
	must(d.t, err)
	for _, c := range all {
		if k, err := c.Task(d.ctx, nil); err == nil {
			_ = k.Resume(d.ctx)
			_, _ = k.Delete(d.ctx, client.WithProcessKill)
		}
		_ = c.Delete(d.ctx, client.WithSnapshotCleanup)
	}
}

// cgroupOf returns a container's cgroup.
func cgroupOf(id string) string { return engine.Cgroup(id) }

// eventually waits until something holds.
func (d *daemon) eventually(what string, holds func() error) {
	d.t.Helper()
	engine.Eventually(d.t, what, holds)
}

// takeInventory tells what containers leave if they leave something. The socket of a shim that is killed is left by containerd's
// own.
func takeInventory(t testing.TB, d *daemon) engine.Inventory {
	t.Helper()
	daemons := func(command string) bool { return filepath.Base(strings.Fields(command)[0]) == "containerd" }
	patterns := []string{"/run/containerd/bailey/*/[^@]*", "/run/containerd/runc/*/[^@]*", "/run/containerd/fifo/*"}
	if d.own() {
		patterns = append(patterns, "/run/containerd/s/*")
	}
	return engine.TakeInventory(t, daemons, patterns...)
}

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

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

const (
	runtimeName = "io.containerd.bailey.v2"
	namespace   = "tests"
)

// daemon is a containerd of the test's own.
type daemon struct {
	t        testing.TB
	dir, ctr string
	path     string // of the daemon's program
	// snapshotter is the one to use, "" for the usual one.
	snapshotter string
	process     *exec.Cmd
	client      *client.Client
	ctx         context.Context
}

// engines are the daemons that there are, by name.
func engines(t *testing.T) map[string][2]string {
	t.Helper()
	found := make(map[string][2]string)
	if built := os.Getenv("BAILEY_ENGINES"); built != "" {
		found["2.4"] = [2]string{built + "/containerd", built + "/ctr"}
	}
	if _, err := os.Stat("/usr/bin/containerd"); err == nil {
		found["debian"] = [2]string{"/usr/bin/containerd", "/usr/bin/ctr"}
	}
	if os.Getenv("SANDBOX_TAG") == "" || len(found) == 0 {
		t.Skip("not in scripts/sandbox, or no containerd: make test-engines")
	}
	return found
}

// withDaemons runs a test with each of the daemons.
func withDaemons(t *testing.T, test func(t *testing.T, d *daemon)) {
	for name, programs := range engines(t) {
		t.Run(name, func(t *testing.T) {
			d := &daemon{t: t, dir: t.TempDir(), path: programs[0], ctr: programs[1]}
			d.ctx = namespaces.WithNamespace(t.Context(), namespace)
			d.start()
			d.Ctr("images", "import", engine.BusyboxImage(t, t.TempDir()))
			before := takeInventory(t)
			test(t, d)
			if !t.Failed() {
				before.Compare(t, func() engine.Inventory { return takeInventory(t) })
			}
		})
	}
}

func (d *daemon) socket() string { return d.dir + "/containerd.sock" }

// start starts the daemon and waits until it answers.
func (d *daemon) start() {
	d.t.Helper()
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n[ttrpc]\naddress = %q\n",
		d.dir+"/root", d.dir+"/state", d.socket(), d.socket()+".ttrpc")
	must(d.t, os.WriteFile(d.dir+"/config.toml", []byte(config), 0o600))
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(d.t, err)
	defer log.Close()
	d.process = exec.Command(d.path, "-c", d.dir+"/config.toml", "-l", "debug")
	d.process.Stdout, d.process.Stderr = log, log
	d.process.Env = append(os.Environ(), "PATH="+os.Getenv("BAILEY_BIN")+":"+os.Getenv("PATH"))
	must(d.t, d.process.Start())
	d.t.Cleanup(d.stop)
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
	if d.t.Failed() {
		log, _ := os.ReadFile(d.dir + "/log")
		lines := strings.Split(string(log), "\n")
		d.t.Logf("the daemon's log:\n%s", strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}

// killed ends the daemon by SIGKILL.
func (d *daemon) killed() {
	d.client.Close()
	_ = d.process.Process.Kill()
	_ = d.process.Wait()
	d.process = nil
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

// run returns the arguments of a ctr run of this runtime.
func (d *daemon) run(id string, args ...string) []string {
	all := []string{"run", "--runtime", runtimeName, "--cgroup", cgroupOf(id)}
	if engine.View() == "v2" && !engine.V2Has("cpu") {
		all = append(all, "--cpu-shares", "0") // it has a default
	}
	return append(all, args...)
}

// cgroupOf returns a container's cgroup.
func cgroupOf(id string) string { return engine.Cgroup(id) }

// eventually waits until something holds.
func (d *daemon) eventually(what string, holds func() error) {
	d.t.Helper()
	engine.Eventually(d.t, what, holds)
}

// takeInventory tells what containers leave if they leave something.
func takeInventory(t testing.TB) engine.Inventory {
	t.Helper()
	other := func(command string) bool {
		return filepath.Base(strings.Fields(command)[0]) != "containerd-shim-bailey-v2"
	}
	return engine.TakeInventory(t, other, "/run/containerd/s/*", "/run/containerd/bailey/*/[^@]*", "/run/containerd/fifo/*")
}

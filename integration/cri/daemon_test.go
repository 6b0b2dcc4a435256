package cri

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

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// The runtime classes: bailey's shim, containerd's with bailey's binary, and containerd's with Debian's runc.
const (
	shimClass   = "bailey"
	binaryClass = "bailey-runc-shim"
	runcClass   = "runc"
)

// daemon is a containerd with the CRI plugin, of the test's own.
type daemon struct {
	dir, path, ctr string
	// expected is a part of the warnings that are no failure.
	expected   string
	process    *exec.Cmd
	connection *grpc.ClientConn
	runtime    cri.RuntimeServiceClient
	images     cri.ImageServiceClient
}

// newest returns the daemon that is built, Debian's the other one.
func newest(t *testing.T) *daemon {
	built := engine.Built(t)
	if !engine.HasController("cpu") {
		t.Skip("a pod always asks for a share of the CPU, and cgroup v2 has no such controller here")
	}
	return &daemon{dir: t.TempDir(), path: built + "/containerd", ctr: built + "/ctr"}
}

func debians(t *testing.T) *daemon {
	d := newest(t)
	d.path, d.ctr = engine.Need(t, "containerd"), engine.Need(t, "ctr")
	return d
}

// classes are the runtimes of the checks, by what is judged: the binary is called through a program that keeps a record.
func classes(t *testing.T) []engine.Runtime {
	list := engine.Runtimes(t)
	list[0].Name = binaryClass
	return append([]engine.Runtime{{Name: shimClass}}, list...)
}

const runtimesOf = `
[plugins."PLUGIN".containerd]
  default_runtime_name = "bailey"
  [plugins."PLUGIN".containerd.runtimes.bailey]
    runtime_type = "io.containerd.bailey.v2"
    pod_annotations = ["run.bailey.*"]
    container_annotations = ["run.bailey.*"]
  [plugins."PLUGIN".containerd.runtimes.bailey-runc-shim]
    runtime_type = "io.containerd.runc.v2"
    [plugins."PLUGIN".containerd.runtimes.bailey-runc-shim.options]
      BinaryName = "BINARY"
  [plugins."PLUGIN".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."PLUGIN".containerd.runtimes.runc.options]
      BinaryName = "RUNC"
[plugins."PLUGIN".cni]
  CNIDIR
  conf_dir = "DIR/cni"
`

const configOf1 = `
version = 2
root = "DIR/root"
state = "DIR/state"
[grpc]
address = "DIR/containerd.sock"
[ttrpc]
address = "DIR/containerd.sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "PAUSE"
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "DIR/certs.d"
`

// Lines of the daemon itself are JSON, those of a shim are not.
const configOf2 = `
version = 3
root = "DIR/root"
state = "DIR/state"
[debug]
format = "json"
[grpc]
address = "DIR/containerd.sock"
[ttrpc]
address = "DIR/containerd.sock.ttrpc"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "PAUSE"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "DIR/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
[plugins."io.containerd.nri.v1.nri"]
  disable = false
  socket_path = "DIR/nri.sock"
  plugin_path = "DIR/nri"
  plugin_config_path = "DIR/nri"
`

const network = `{
  "cniVersion": "0.4.0", "name": "pods",
  "plugins": [
    {"type": "bridge", "bridge": "pods0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

// configure writes the configuration. Images of every registry come from the one on the loopback device.
func (d *daemon) configure(t *testing.T, binary string) {
	text, plugin, dirs := configOf2, "io.containerd.cri.v1.runtime", `bin_dirs = ["/usr/lib/cni"]`
	if d.path == "/usr/bin/containerd" {
		text, plugin, dirs = configOf1, "io.containerd.grpc.v1.cri", `bin_dir = "/usr/lib/cni"`
	}
	text = strings.NewReplacer("DIR", d.dir, "PLUGIN", plugin, "BINARY", binary, "RUNC", "/usr/sbin/runc", "CNIDIR", dirs, "PAUSE", pauseImage).
		Replace(text + strings.Replace(runtimesOf, "CNIDIR", dirs, 1))
	for name, content := range map[string]string{
		"config.toml": text, "cni/10-pods.conflist": network,
		"certs.d/_default/hosts.toml": "[host.\"http://" + registryAddress + "\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
	} {
		engine.Must(t, os.MkdirAll(filepath.Dir(d.dir+"/"+name), 0o755))
		engine.Must(t, os.WriteFile(d.dir+"/"+name, []byte(content), 0o644))
	}
}

func (d *daemon) socket() string { return d.dir + "/containerd.sock" }

// start starts the daemon, in the sandbox's own cgroup, and waits until it and the network of its pods are ready.
func (d *daemon) start(t testing.TB) {
	t.Helper()
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	engine.Must(t, err)
	defer log.Close()
	inCgroup := `for c in /sys/fs/cgroup/*/; do
	mkdir -p $c/$SANDBOX_TAG
	for f in cpuset.cpus cpuset.mems; do [ ! -e $c/$f ] || cat $c/$f >$c/$SANDBOX_TAG/$f; done
	echo $$ >$c/$SANDBOX_TAG/cgroup.procs
done
exec "$@"`
	d.process = exec.Command("/bin/sh", "-ec", inCgroup, "sh", d.path, "-c", d.dir+"/config.toml", "-l", "info")
	d.process.Stdout, d.process.Stderr = log, log
	d.process.Env = append(os.Environ(), "PATH="+engine.Bin(t)+":"+filepath.Dir(d.path)+"/shims:"+os.Getenv("PATH"))
	engine.Must(t, d.process.Start())
	d.connection, err = grpc.NewClient("unix://"+d.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	engine.Must(t, err)
	d.runtime, d.images = cri.NewRuntimeServiceClient(d.connection), cri.NewImageServiceClient(d.connection)
	engine.Eventually(t, "the daemon is ready", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s, err := d.runtime.Status(ctx, &cri.StatusRequest{})
		if err != nil {
			return err
		}
		for _, c := range s.Status.Conditions {
			if !c.Status && (c.Type == cri.RuntimeReady || c.Type == cri.NetworkReady) {
				return errors.New(c.String())
			}
		}
		return nil
	})
}

// stop ends the daemon; killed does it by SIGKILL.
func (d *daemon) stop()   { d.end(syscall.SIGTERM) }
func (d *daemon) killed() { d.end(syscall.SIGKILL) }

func (d *daemon) end(sig syscall.Signal) {
	if d.process != nil {
		d.connection.Close()
		_ = d.process.Process.Signal(sig)
		_ = d.process.Wait()
		d.process = nil
	}
}

// run has the daemon run until the end of the test, with the images of the checks.
func (d *daemon) run(t *testing.T, binary string, images ...string) {
	t.Helper()
	d.configure(t, binary)
	t.Cleanup(func() {
		d.stop()
		removeCgroups(t)
		d.tellLog(t)
	})
	d.start(t)
	for _, i := range images {
		d.command(t, d.ctr, "-a", d.socket(), "-n", "k8s.io", "images", "import", i)
	}
}

// removeCgroups removes the parent of the cgroups of pods that ask for none, which is not in the sandbox's, and where nothing is left.
func removeCgroups(t *testing.T) {
	dirs, err := filepath.Glob("/sys/fs/cgroup/*/k8s.io")
	engine.Must(t, err)
	for _, d := range dirs {
		if err := os.Remove(d); err != nil {
			t.Errorf("pods leave cgroups: %v", err)
		}
	}
}

// tellLog fails the test if a shim of bailey's warns, and shows what the daemon of a failed test has last said. containerd's own shim
// warns while the daemon is away.
func (d *daemon) tellLog(t *testing.T) {
	log, err := os.ReadFile(d.dir + "/log")
	engine.Must(t, err)
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "containerd config migrate") || strings.Contains(line, "runtime=io.containerd.runc.v2") || strings.Contains(line, `msg="forward event"`) ||
			d.expected != "" && strings.Contains(line, d.expected) {
			continue
		}
		if strings.HasPrefix(line, "time=") && (strings.Contains(line, " level=warning ") || strings.Contains(line, " level=error ")) && d.path != "/usr/bin/containerd" {
			t.Errorf("a shim says: %s", line)
		}
	}
	engine.TellLog(t, d.dir+"/log")
}

// command runs a command that is to work, and returns what it prints.
func (d *daemon) command(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v: %s%s", filepath.Base(name), strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// crictl runs crictl.
func (d *daemon) crictl(t testing.TB, args ...string) string {
	t.Helper()
	return d.command(t, engine.Built(t)+"/crictl", append([]string{"-r", "unix://" + d.socket(), "-t", "20s"}, args...)...)
}

// inventory tells what pods leave if they leave something. Sockets of its own that containerd's shim leaves after SIGKILL are not
// looked at.
func (e env) inventory(t testing.TB) engine.Inventory {
	skip := func(command string) bool { return strings.HasPrefix(command, e.path+" ") }
	patterns := []string{
		"/run/containerd/bailey/*/[^@]*", "/run/containerd/runc/*/[^@]*", "/run/netns/*", "/var/lib/cni/networks/pods/10.*",
		e.dir + "/state/io.containerd.runtime.v2.task/*/*", e.dir + "/state/io.containerd.grpc.v1.cri/*/*", e.dir + "/root/io.containerd.grpc.v1.cri/*/*",
	}
	if e.class == shimClass {
		patterns = append(patterns, "/run/containerd/s/*")
	}
	return engine.TakeInventory(t, skip, patterns...)
}

// same returns an error if two texts differ.
func same(got, want string) error {
	if got != want {
		return fmt.Errorf("it is %q and not %q", got, want)
	}
	return nil
}

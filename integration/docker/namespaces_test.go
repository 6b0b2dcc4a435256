package docker

import (
	"os"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// namespaceOf returns a namespace of a process; of the machine's, that the test is in.
func namespaceOf(t testing.TB, pid, kind string) string {
	t.Helper()
	link, err := os.Readlink("/proc/" + pid + "/ns/" + kind)
	engine.Must(t, err)
	return link
}

// ns returns a namespace of a container that prints it.
func (d *daemon) ns(t testing.TB, kind string, args ...string) string {
	t.Helper()
	return d.run(t, append(args, image, "readlink", "/proc/self/ns/"+kind)...)
}

var namespaceChecks = []check{
	{Name: "namespaces of its own", Do: func(c *engine.C, d *daemon) {
		d.up(c, "own", image, "sleep", "1000")
		for _, kind := range []string{"mnt", "pid", "ipc", "uts", "net"} {
			want(c, kind, namespaceOf(c, d.pid(c, "own"), kind) != namespaceOf(c, "self", kind), true)
		}
		want(c, "user", namespaceOf(c, d.pid(c, "own"), "user"), namespaceOf(c, "self", "user"))
		d.down(c, "own")
	}},
	{Name: "pid", Do: func(c *engine.C, d *daemon) {
		want(c, "host", d.ns(c, "pid", "--pid=host"), namespaceOf(c, "self", "pid"))
		has(c, "host: processes", d.run(c, "--pid=host", image, "ps", "-o", "args"), "dockerd")
		d.up(c, "first", image, "sleep", "4444")
		out := d.run(c, "--pid=container:first", image, "sh", "-c", "ps -o args; kill -0 1 && echo reached")
		has(c, "container", out, "sleep 4444", "reached")
		d.up(c, "second", "--pid=container:first", image, "sleep", "5555")
		has(c, "exec", d.exec(c, "second", "ps", "-o", "args"), "sleep 4444", "sleep 5555")
		d.docker(c, "stop", "-t", "0", "second")
		want(c, "the first goes on", d.inspect(c, "first", ".State.Running"), "true")
		d.down(c, "second", "first")
	}},
	{Name: "pid of a container that ends first", Do: func(c *engine.C, d *daemon) {
		d.up(c, "first", image, "sleep", "1000")
		d.up(c, "second", "--pid=container:first", image, "sleep", "1000")
		d.down(c, "first")
		d.becomes(c, "second", ".State.Status", "exited")
		want(c, "exit status", d.inspect(c, "second", ".State.ExitCode"), "137")
		d.down(c, "second")
	}},
	{Name: "ipc", Do: func(c *engine.C, d *daemon) {
		want(c, "host", d.ns(c, "ipc", "--ipc=host"), namespaceOf(c, "self", "ipc"))
		d.up(c, "share", "--ipc=shareable", image, "sh", "-c", "echo shared > /dev/shm/file; echo ready; sleep 1000")
		engine.Eventually(c, "it is ready", func() error { return engine.Contains(d.docker(c, "logs", "share"), "ready") })
		want(c, "container", d.run(c, "--ipc=container:share", image, "sh", "-c", "readlink /proc/self/ns/ipc; cat /dev/shm/file"), namespaceOf(c, d.pid(c, "share"), "ipc")+"\nshared")
		d.up(c, "closed", "--ipc=private", image, "sleep", "1000")
		_, status := d.try("run", "--rm", "--network=none", "--ipc=container:closed", image, "true")
		want(c, "private", status, 125)
		has(c, "none", d.run(c, "--ipc=none", image, "sh", "-c", "ls -d /dev/shm; grep -c ' /dev/shm ' /proc/mounts"+" || true"), "0")
		d.down(c, "share", "closed")
	}},
	{Name: "uts, host names", Do: func(c *engine.C, d *daemon) {
		want(c, "host", d.ns(c, "uts", "--uts=host"), namespaceOf(c, "self", "uts"))
		want(c, "names", d.run(c, "--hostname=name", "--domainname=example.org", image, "sh", "-c", "hostname; cat /proc/sys/kernel/domainname"), "name\nexample.org")
	}},
	{Name: "cgroup", Do: func(c *engine.C, d *daemon) {
		want(c, "host", d.ns(c, "cgroup", "--cgroupns=host"), namespaceOf(c, "self", "cgroup"))
		has(c, "host: path", d.run(c, "--cgroupns=host", image, "cat", "/proc/self/cgroup"), engine.Cgroup())
		want(c, "private", d.ns(c, "cgroup", "--cgroupns=private") != namespaceOf(c, "self", "cgroup"), true)
		out := d.run(c, "--cgroupns=private", image, "cat", "/proc/self/cgroup")
		want(c, "private: path", strings.Contains(out, engine.Cgroup()), false)
		for _, mode := range []string{"host", "private"} {
			out := d.run(c, "--cgroupns="+mode, image, "sh", "-c", "ls /sys/fs/cgroup | wc -l; mkdir /sys/fs/cgroup/x 2>&1 || true")
			has(c, mode+": read-only", out, "Read-only file system")
			want(c, mode+": there is a cgroup filesystem", strings.HasPrefix(out, "0"), false)
		}
	}},
	{Name: "user namespace of the host", Do: func(c *engine.C, d *daemon) {
		want(c, "host", d.ns(c, "user", "--userns=host"), namespaceOf(c, "self", "user"))
	}},
	{Name: "everything of the host", Do: func(c *engine.C, d *daemon) {
		out := d.docker(c, "run", "--rm", "--network=host", "--pid=host", "--ipc=host", "--uts=host", "--cgroupns=host", image, "sh", "-c", "cd /proc/self/ns; for n in net pid ipc uts cgroup user; do readlink $n; done")
		var all []string
		for _, kind := range []string{"net", "pid", "ipc", "uts", "cgroup", "user"} {
			all = append(all, namespaceOf(c, "self", kind))
		}
		want(c, "namespaces", out, strings.Join(all, "\n"))
	}},
}

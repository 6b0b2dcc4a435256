package containerd

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	v2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

func run(t *engine.C, d *daemon) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 0, "kill -KILL $$": 0, "echo out; echo err >&2; exit 1": 1} {
		// A process 1 is not ended by signals that it sends itself.
		out, status := d.ctrStatus(d.run("run", "--rm", image, "run", "/bin/sh", "-c", script)...)
		if status != want {
			t.Errorf("%q: exit status %d, want %d: %s", script, status, want, out)
		}
		if strings.Contains(script, "echo") && (!strings.Contains(out, "out") || !strings.Contains(out, "err")) {
			t.Errorf("%q: printed %q", script, out)
		}
	}
	// Of what cannot be executed engines make exit status 127 or 126 by the words.
	for path, want := range map[string]string{"/bin/none": "no such file or directory", "/etc/passwd": "permission denied", "none": "executable file not found in $PATH"} {
		out, status := d.ctrStatus(d.run("bad", "--rm", image, "bad", path)...)
		if status == 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit status %d: %s", path, status, out)
		}
		_, _ = d.ctrStatus("containers", "delete", "bad")
	}
}

func executed(t *engine.C, d *daemon) {
	k := d.startTask("exec", withArgs("/bin/sleep", "1000"))
	for i, tc := range []struct {
		script, out string
		status      uint32
	}{
		{"echo hello; exit 3", "hello", 3}, {"kill -KILL $$", "", 137}, {"cat /proc/1/comm", "sleep", 0}, {"yes | head -c 1000000 | wc -c", "1000000", 0},
	} {
		if out, status := k.exec("e"+strconv.Itoa(i), tc.script); out != tc.out || status != tc.status {
			t.Errorf("%q: %q, exit status %d", tc.script, out, status)
		}
	}
	p, err := k.Exec(d.ctx, "bad", &specs.Process{Args: []string{"/bin/none"}, Cwd: "/"}, cio.NullIO)
	must(t, err)
	if err := p.Start(d.ctx); err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("a program that is not there: %v", err)
	}
	if _, err := p.Delete(d.ctx); err != nil {
		t.Error(err)
	}
	// A process that runs is found and can be signalled.
	var out engine.Output
	sleeper, exit := k.spawn("sleeper", &out, "/bin/sleep", "1000")
	pids, err := k.Pids(d.ctx)
	must(t, err)
	if len(pids) != 2 {
		t.Errorf("%d processes, want 2", len(pids))
	}
	must(t, sleeper.Kill(d.ctx, syscall.SIGTERM))
	if s := statusOf(t, exit); s != 143 {
		t.Errorf("exit status %d", s)
	}
	if err := sleeper.Kill(d.ctx, syscall.SIGTERM); err == nil || !strings.Contains(err.Error(), "process already finished") {
		t.Errorf("a signal for a process that has ended: %v", err)
	}
	_, err = sleeper.Delete(d.ctx)
	must(t, err)
	// One that ends with the container is told of before it.
	last, exit := k.spawn("last", &out, "/bin/sleep", "1000")
	must(t, k.Kill(d.ctx, syscall.SIGKILL))
	if s := statusOf(t, exit); s != 137 {
		t.Errorf("exit status %d of a process that the end of the container has ended", s)
	}
	k.status()
	_, err = last.Delete(d.ctx)
	must(t, err)
	k.remove()
}

func createAndDelete(t *engine.C, d *daemon) {
	k := d.create("created", withArgs("/bin/true"))
	if s, err := k.Status(d.ctx); err != nil || s.Status != client.Created {
		t.Errorf("%v, %v", s, err)
	}
	if k.Pid() == 0 {
		t.Error("no process ID")
	}
	k.end() // without a start
}

func pause(t *engine.C, d *daemon) {
	k := d.startTask("pause", withArgs("/bin/sleep", "1000"))
	must(t, k.Pause(d.ctx))
	if s, err := k.Status(d.ctx); err != nil || s.Status != client.Paused {
		t.Errorf("paused: %v, %v", s, err)
	}
	must(t, k.Resume(d.ctx))
	if s, err := k.Status(d.ctx); err != nil || s.Status != client.Running {
		t.Errorf("resumed: %v, %v", s, err)
	}
	must(t, k.Pause(d.ctx))
	k.end() // SIGKILL thaws
}

func statsAndUpdate(t *engine.C, d *daemon) {
	k := d.startTask("stats", shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; sleep 1000"))
	d.eventually("the payload has worked", func() error { return engine.Contains(k.out.String(), "done") })
	m, err := k.Metrics(d.ctx)
	must(t, err)
	var cpu, memory uint64
	switch url := m.Data.TypeUrl; url {
	case "io.containerd.cgroups.v1.Metrics":
		var stats v1.Metrics
		must(t, proto.Unmarshal(m.Data.Value, &stats))
		cpu, memory = stats.CPU.Usage.Total, stats.Memory.Usage.Usage
		if stats.Pids.Current != 2 && stats.Pids.Current != 1 {
			t.Errorf("%d processes", stats.Pids.Current)
		}
		if stats.MemoryOomControl == nil {
			t.Error("nothing of lack of memory")
		}
	case "io.containerd.cgroups.v2.Metrics":
		var stats v2.Metrics
		must(t, proto.Unmarshal(m.Data.Value, &stats))
		if stats.MemoryEvents == nil && d.own() {
			t.Error("nothing of lack of memory")
		}
		if cpu = stats.CPU.UsageUsec; !engine.V2Has("memory") {
			memory = 1
		} else {
			memory = stats.Memory.Usage
		}
	default:
		t.Errorf("metrics of type %s", url)
	}
	if !engine.HasController("cpu") && !d.own() {
		cpu = 1 // Debian's own shim looks for the controller
	}
	if cpu == 0 || memory == 0 {
		t.Errorf("CPU time %d, memory %d", cpu, memory)
	}
	limit := int64(64 << 20)
	if path := "/sys/fs/cgroup/memory" + cgroupOf("stats") + "/memory.limit_in_bytes"; engine.Exists(path) {
		must(t, k.Update(d.ctx, client.WithResources(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}})))
		if got, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(got)) != strconv.FormatInt(limit, 10) {
			t.Errorf("the limit is %s, %v", got, err)
		}
	}
	k.end()
}

// What is told of a container comes in the order in which it happens.
func eventsInOrder(t *engine.C, d *daemon) {
	events := d.events()
	k := d.startTask("events", withArgs("/bin/sleep", "1000"))
	k.exec("one", "true")
	must(t, k.Pause(d.ctx))
	must(t, k.Resume(d.ctx))
	k.end()
	events.wantAll(t, d, "events", "create", "start", "exec-added", "exec-started", "exit one", "paused", "resumed")
}

func outOfMemory(t *engine.C, d *daemon) {
	events := d.events()
	k := d.startTask("oom", shell("sleep 0.3; exec tail /dev/zero"), memoryLimit(16<<20)) // containerd's own shim watches a little late
	if s := k.status(); s != 137 {
		t.Errorf("exit status %d", s)
	}
	k.remove()
	events.wantAll(t, d, "oom", "create", "start", "oom")
}

// Info is what CRI finds out before it uses user namespaces.
func TestInfo(t *testing.T) {
	engine.Built(t)
	out, err := shimCommand("-info").Output()
	must(t, err)
	info := decodeInfo(t, out)
	var features struct {
		Linux struct {
			MountExtensions struct {
				IDMap struct{ Enabled bool }
			}
		}
	}
	must(t, json.Unmarshal(info.Features.Value, &features))
	if info.Name != runtimeName || !features.Linux.MountExtensions.IDMap.Enabled {
		t.Errorf("%v", info)
	}
}

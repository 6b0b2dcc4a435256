package containerd

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	v2 "github.com/containerd/cgroups/v3/cgroup2/stats"
	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	"context"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// TestSystemd makes containers with the option SystemdCgroup where systemd runs the machine, on pure cgroup v2.
func TestSystemd(t *testing.T) {
	v := versions(t)[0]
	if !engine.Exists("/run/systemd/system") {
		t.Skip("systemd does not run this machine: make test-vm")
	}
	d := newDaemon(t, v, ownShim)
	setup := func(_ *testing.T, r engine.Runtime) *daemon {
		d.runtime = r
		return d
	}
	checks := []engine.Check[*daemon]{
		{Name: "scope", Do: scope}, {Name: "stats", Do: scopeStats}, {Name: "update", Do: scopeUpdate},
		{Name: "out of memory", Do: scopeOOM}, {Name: "pause", Do: scopePause}, {Name: "shim is killed", Do: scopeOfKilledShim},
	}
	for i, check := range checks {
		checks[i].Do = func(c *engine.C, d *daemon) {
			d.t, d.options = c, &options.Options{SystemdCgroup: true}
			defer func() {
				d.t, d.options = d.owner, nil
				if c.Failed() {
					d.reset()
				}
			}()
			check.Do(c, d)
			d.eventually("the scope is gone", func() error {
				if state := property(c, "LoadState"); state != "not-found" {
					return fmt.Errorf("it is %s", state)
				}
				if left := engine.Shims(c); len(left) > 0 {
					return fmt.Errorf("there are shims: %v", left)
				}
				return nil
			})
			if engine.Exists(scopeCgroup) {
				c.Error("the cgroup is left")
			}
		}
	}
	engine.Run(t, "containerd 2.4 with systemd", append(engine.Runtimes(t), ownShim), setup, nil, checks)
}

const scopeCgroup = "/sys/fs/cgroup/bt.slice/ctd-scope.scope"

// inScope starts a container with limits in a scope.
func inScope(d *daemon, opts ...oci.SpecOpts) *task {
	limits := func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		memory, pids, quota := int64(64<<20), int64(40), int64(50000)
		shares, period := uint64(512), uint64(100000)
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
		s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
		s.Linux.Resources.CPU = &specs.LinuxCPU{Shares: &shares, Quota: &quota, Period: &period}
		return nil
	}
	return d.startTask("scope", append([]oci.SpecOpts{limits, oci.WithCgroup("bt.slice:ctd:scope"), withArgs("/bin/sleep", "1000")}, opts...)...)
}

// property returns one of the scope's.
func property(t testing.TB, name string) string {
	t.Helper()
	out, err := exec.Command("systemctl", "show", "--value", "-p", name, "ctd-scope.scope").CombinedOutput()
	if err != nil {
		t.Fatalf("systemctl: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// wantScope compares properties of the scope and, in small letters, files of its cgroup.
func wantScope(t testing.TB, want map[string]string) {
	t.Helper()
	for name, value := range want {
		var got string
		if name[0] <= 'Z' {
			got = property(t, name)
		} else {
			b, err := os.ReadFile(scopeCgroup + "/" + name)
			must(t, err)
			got = strings.TrimSpace(string(b))
		}
		if got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

func scope(t *engine.C, d *daemon) {
	k := inScope(d)
	wantScope(t, map[string]string{
		"Slice": "bt.slice", "Delegate": "yes", "MemoryMax": "67108864", "TasksMax": "40", "CPUQuotaPerSecUSec": "500ms",
		"memory.max": "67108864", "pids.max": "40", "cpu.max": "50000 100000",
	})
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", k.Pid()))
	must(t, err)
	if got := strings.TrimSpace(string(b)); got != "0::/bt.slice/ctd-scope.scope" {
		t.Errorf("it is in %s", got)
	}
	if out, _ := k.exec("where", "cat /proc/self/cgroup"); !strings.HasSuffix(out, "/ctd-scope.scope") && out != "0::/" {
		t.Errorf("an executed process is in %q", out)
	}
	k.end()
}

func scopeMetrics(t *engine.C, d *daemon, k *task) *v2.Metrics {
	m, err := k.Metrics(d.ctx)
	must(t, err)
	stats := new(v2.Metrics)
	must(t, proto.Unmarshal(m.Data.Value, stats))
	return stats
}

func scopeStats(t *engine.C, d *daemon) {
	k := inScope(d, shell("i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; echo done; tail /dev/zero 2>/dev/null; while :; do sleep 1; done"))
	d.eventually("the payload has worked", func() error { return engine.Contains(k.out.String(), "done") })
	var stats *v2.Metrics
	d.eventually("a process was killed for lack of memory", func() error {
		if stats = scopeMetrics(t, d, k); stats.MemoryEvents == nil || stats.MemoryEvents.OomKill == 0 {
			return fmt.Errorf("%v", stats.MemoryEvents)
		}
		return nil
	})
	if stats.CPU.UsageUsec == 0 || stats.Memory.Usage == 0 || stats.Memory.UsageLimit != 64<<20 || stats.Pids.Current == 0 || stats.Pids.Limit != 40 || stats.MemoryEvents.Max == 0 {
		t.Errorf("%v", stats)
	}
	k.end()
}

func scopeUpdate(t *engine.C, d *daemon) {
	k := inScope(d)
	memory, pids := int64(48<<20), int64(30)
	must(t, k.Update(d.ctx, client.WithResources(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &memory}, Pids: &specs.LinuxPids{Limit: &pids}})))
	wantScope(t, map[string]string{"MemoryMax": "50331648", "TasksMax": "30", "memory.max": "50331648", "pids.max": "30"})
	k.end()
}

func scopeOOM(t *engine.C, d *daemon) {
	events := d.events()
	k := inScope(d, shell("sleep 1; exec tail /dev/zero")) // containerd's own shim watches a little later than from the start on
	if s := k.status(); s != 137 {
		t.Errorf("exit status %d", s)
	}
	k.remove()
	events.wantAll(t, d, "scope", "create", "start", "oom")
}

func scopePause(t *engine.C, d *daemon) {
	k := inScope(d)
	must(t, k.Pause(d.ctx))
	wantScope(t, map[string]string{"cgroup.freeze": "1"})
	if s, err := k.Status(d.ctx); err != nil || s.Status != client.Paused {
		t.Errorf("%v, %v", s, err)
	}
	must(t, k.Resume(d.ctx))
	wantScope(t, map[string]string{"cgroup.freeze": "0"})
	must(t, k.Pause(d.ctx))
	k.end()
}

func scopeOfKilledShim(t *engine.C, d *daemon) {
	k := inScope(d)
	must(t, syscall.Kill(shim(t, "scope"), syscall.SIGKILL))
	d.eventually("the payload has ended", func() error {
		if alive(int(k.Pid())) {
			return fmt.Errorf("%d lives", k.Pid())
		}
		return nil
	})
	k.IO().Cancel()
	must(t, k.IO().Close())
	d.eventually("the container can be deleted", func() error {
		_, _ = k.Delete(d.ctx)
		return k.container.Delete(d.ctx, client.WithSnapshotCleanup)
	})
}

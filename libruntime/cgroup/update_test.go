package cgroup

import (
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// 512 KiB are less than a Go program needs, and must be settable before one is there to need them.
func TestSmallMemoryLimit(t *testing.T) {
	need(t, "memory")
	m := create(t, testSpec(t, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(512 << 10))}}), Options{})
	file := "memory.limit_in_bytes"
	if m.Mode() == V2 {
		file = "memory.max"
	}
	if got := content(t, m, "memory", file); got != "524288" {
		t.Errorf("%s = %s", file, got)
	}
}

// Limits that the kernel checks against each other can be moved up and down together.
func TestUpdateOrder(t *testing.T) {
	need(t, "memory", "cpu")
	m := create(t, typicalSpec(t), Options{})
	mem := func(limit, swap int64) *specs.LinuxResources {
		return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &swap}}
	}
	cpu := func(period uint64, quota int64) *specs.LinuxResources {
		return &specs.LinuxResources{CPU: &specs.LinuxCPU{Period: &period, Quota: &quota}}
	}
	for _, r := range []*specs.LinuxResources{
		mem(64<<20, 96<<20), mem(256<<20, 512<<20), mem(16<<20, 16<<20), mem(-1, -1), mem(32<<20, 64<<20),
		cpu(1000000, 500000), cpu(10000, 20000), cpu(100000, -1), cpu(2000, 1000),
	} {
		if m.Mode() != V2 {
			if r.Memory != nil && !exists(m.Path("memory")+"/memory.memsw.limit_in_bytes") {
				continue // no swap accounting
			}
		}
		if err := m.Update(r); err != nil {
			t.Errorf("%+v %+v: %v", r.Memory, r.CPU, err)
		}
	}
	if err := m.Update(&specs.LinuxResources{CPU: &specs.LinuxCPU{Period: ptr(uint64(4000))}}); err != nil {
		t.Error(err)
	}
	file, want := "cpu.cfs_quota_us", "1000"
	if m.Mode() == V2 {
		file, want = "cpu.max", "1000 4000"
	}
	if got := content(t, m, "cpu", file); got != want {
		t.Errorf("a new period alone changed the quota: %s = %s", file, got)
	}
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

func TestUpdateRefusesWhatIsInUse(t *testing.T) {
	need(t, "memory")
	m := create(t, typicalSpec(t), Options{})
	p := spawn(t, m)
	p.do(t, `x=$(head -c 4000000 /dev/zero | tr '\0' x); echo`)
	err := m.Update(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 10)), CheckBeforeUpdate: ptr(true)}})
	if err == nil || origin(err) != resOrigin+"/memory/limit" {
		t.Errorf("%v", err)
	}
	p.do(t, "echo alive")
}

func TestOOM(t *testing.T) {
	need(t, "memory")
	m := create(t, testSpec(t, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(16 << 20))}}), Options{})
	w, err := m.WatchOOM()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	p := spawn(t, m)
	if happened, err := w.Happened(); happened || err != nil {
		t.Errorf("before: %v, %v", happened, err)
	}
	p.do(t, `(x=$(head -c 100000000 /dev/zero | tr '\0' x)) 2>/dev/null; echo`)
	if n, err := m.OOMKills(); n == 0 || err != nil {
		t.Errorf("OOMKills = %d, %v", n, err)
	}
	if n, err := unix.Poll([]unix.PollFd{w.PollFd()}, 10_000); n != 1 || err != nil {
		t.Errorf("poll: %d, %v", n, err)
	}
	if happened, err := w.Happened(); !happened || err != nil {
		t.Errorf("after: %v, %v", happened, err)
	}
	if happened, err := w.Happened(); happened || err != nil {
		t.Errorf("a second time: %v, %v", happened, err)
	}
	// The removal of the cgroup is no lack of memory.
	_ = p.Process.Kill()
	_ = p.Wait()
	if err := m.Destroy(); err != nil {
		t.Fatal(err)
	}
	unix.Poll([]unix.PollFd{w.PollFd()}, 100)
	if happened, err := w.Happened(); happened || (err != nil) != (m.Mode() == V2) {
		t.Errorf("after the end: %v, %v", happened, err)
	}
}

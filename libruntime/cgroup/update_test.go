package cgroup

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
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

func TestStats(t *testing.T) {
	m := create(t, typicalSpec(t), Options{})
	p := spawn(t, m)
	p.do(t, "for i in $(seq 20000); do :; done; echo")
	s, err := m.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if have(t, "memory") && (s.Memory.Usage.Limit != 64<<20 || s.Memory.Usage.Usage == 0 || len(s.Memory.Raw) == 0) {
		t.Errorf("memory: %+v", s.Memory)
	}
	if have(t, "pids") && s.Pids.Limit != 100 || s.Pids.Current != 1 {
		t.Errorf("pids: %+v", s.Pids)
	}
	if s.CPU.Usage.Total == 0 || s.CPU.Usage.Total > math.MaxInt64 {
		t.Errorf("cpu: %+v", s.CPU)
	}
	if n, err := m.OOMKills(); n != 0 || err != nil {
		t.Errorf("OOMKills = %d, %v", n, err)
	}
}

func TestOOM(t *testing.T) {
	need(t, "memory")
	m := create(t, testSpec(t, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(16 << 20))}}), Options{})
	f, err := m.OOMEvents()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := spawn(t, m)
	p.do(t, `(x=$(head -c 100000000 /dev/zero | tr '\0' x)) 2>/dev/null; echo`)
	if n, err := m.OOMKills(); n == 0 || err != nil {
		t.Errorf("OOMKills = %d, %v", n, err)
	}
	if m.Mode() != V2 {
		buf := make([]byte, 8)
		if n, err := f.Read(buf); n != 8 || err != nil || strings.Trim(string(buf), "\x00") == "" {
			t.Errorf("the event: %d, %v, %v", n, err, buf)
		}
	}
}

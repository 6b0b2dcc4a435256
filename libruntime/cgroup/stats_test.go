package cgroup

import (
	"encoding/json"
	"math"
	"os"
	"reflect"
	"testing"

	"github.com/opencontainers/cgroups/fs"
	"github.com/opencontainers/cgroups/fs2"

	"github.com/opencontainers/cgroups"
	"golang.org/x/sys/unix"
)

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

// The field's own library is the reference for what a figure is, for all that it has and we have. What moves
// by itself is compared with the figures before and after.
func TestStatsAsReference(t *testing.T) {
	m := create(t, typicalSpec(t), Options{})
	p := spawn(t, m)
	p.do(t, `x=$(head -c 4000000 /dev/zero | tr '\0' x); echo`)
	before, err := m.Stats()
	if err != nil {
		t.Fatal(err)
	}
	ref := referenceStats(t, m)
	after, err := m.Stats()
	if err != nil {
		t.Fatal(err)
	}
	same := func(what string, own, ref any) {
		t.Helper()
		if !reflect.DeepEqual(own, ref) {
			t.Errorf("%s: %v, the reference has %v", what, own, ref)
		}
	}
	within := func(what string, low, high, ref uint64) {
		t.Helper()
		if ref < min(low, high) || ref > max(low, high) {
			t.Errorf("%s: %d, then %d, the reference has %d", what, low, high, ref)
		}
	}
	c, rc := after.CPU, ref.CpuStats
	within("cpu", before.CPU.Usage.Total, c.Usage.Total, rc.CpuUsage.TotalUsage)
	same("number of CPUs", len(c.Usage.PerCPU), len(rc.CpuUsage.PercpuUsage))
	same("number of CPUs for the kernel", len(c.Usage.PerCPUKernel), len(rc.CpuUsage.PercpuUsageInKernelmode))
	same("number of CPUs for users", len(c.Usage.PerCPUUser), len(rc.CpuUsage.PercpuUsageInUsermode))
	same("throttling", c.Throttling, Throttling(rc.ThrottlingData))
	if m.Mode() != V2 { // which has no such figures, by the reference
		same("cpuset", after.CPUSet, CPUSetStats(ref.CPUSetStats))
	}
	for _, e := range []struct {
		name          string
		before, after MemoryEntry
		ref           cgroups.MemoryData
	}{
		{"memory", before.Memory.Usage, after.Memory.Usage, ref.MemoryStats.Usage},
		{"swap", before.Memory.Swap, after.Memory.Swap, ref.MemoryStats.SwapUsage},
		{"kernel", before.Memory.Kernel, after.Memory.Kernel, ref.MemoryStats.KernelUsage},
		{"TCP", before.Memory.KernelTCP, after.Memory.KernelTCP, ref.MemoryStats.KernelTCPUsage},
	} {
		if m.Mode() == V2 && e.ref == (cgroups.MemoryData{}) {
			continue
		}
		same(e.name+" limit", e.after.Limit, e.ref.Limit)
		same(e.name+" max", e.after.Max, e.ref.MaxUsage)
		within(e.name+" usage", e.before.Usage, e.after.Usage, e.ref.Usage)
		if m.Mode() != V2 {
			same(e.name+" failcnt", e.after.Failcnt, e.ref.Failcnt)
		}
	}
	for name := range ref.MemoryStats.Stats {
		if _, ok := after.Memory.Raw[name]; !ok {
			t.Errorf("memory: %s is missing", name)
		}
	}
	same("pids", after.Pids, PidsStats(ref.PidsStats))
	same("page sizes", len(after.Hugetlb), len(ref.HugetlbStats))
	if m.Mode() == V2 && (c.PSI == nil) != (rc.PSI == nil) {
		t.Errorf("PSI: %v, the reference has %v", c.PSI, rc.PSI)
	}
}

func referenceStats(t *testing.T, m *Manager) *cgroups.Stats {
	t.Helper()
	cg := &cgroups.Cgroup{Resources: &cgroups.Resources{}}
	var lib cgroups.Manager
	var err error
	if m.Mode() == V2 {
		lib, err = fs2.NewManager(cg, m.Path(""))
	} else {
		paths := m.Paths()
		delete(paths, "")
		lib, err = fs.NewManager(cg, paths)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := lib.GetStats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// files is a cgroup that holds files as a kernel writes them: for controllers and devices that this machine
// has not.
func files(t *testing.T, content map[string]string) *reader {
	t.Helper()
	path := t.TempDir()
	for name, text := range content {
		if err := os.WriteFile(path+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &reader{dir: dir{fd, path}}
}

func stats(t *testing.T, content map[string]string, read func(*reader, *Stats)) string {
	t.Helper()
	s := &Stats{Hugetlb: map[string]HugetlbStat{}}
	r := files(t, content)
	read(r, s)
	if r.err != nil {
		t.Errorf("%s: %v", r.file, r.err)
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStatsOfFilesV2(t *testing.T) {
	got := stats(t, map[string]string{
		"cpu.stat":              "usage_usec 300\nuser_usec 200\nsystem_usec 100\nnr_periods 5\nnr_throttled 2\nthrottled_usec 7\nnr_bursts 0\nburst_usec 0\n",
		"cpu.pressure":          "some avg10=1.50 avg60=0.25 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
		"cpuset.cpus.effective": "0-1,3\n",
		"cpuset.mems.effective": "0\n",
		"memory.stat":           "anon 5\nfile 9\nkernel 11\nsock 3\n",
		"memory.current":        "100\n", "memory.max": "200\n", "memory.peak": "150\n",
		"memory.events":       "low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\n",
		"memory.swap.current": "10\n", "memory.swap.max": "50\n", "memory.swap.events": "high 0\nmax 6\nfail 6\n",
		"pids.current": "3\n", "pids.max": "max\n",
		"io.stat":      "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0\n",
		"io.pressure":  "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
		"rdma.current": "mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=1 hca_object=0\n",
		"rdma.max":     "mlx4_0 hca_handle=max hca_object=max\nocrdma1 hca_handle=2 hca_object=9\n",
		"misc.current": "sev 3\nsev_es 0\n", "misc.max": "sev max\nsev_es 10\n", "misc.events": "sev.max 1\n",
	}, (*reader).v2)
	want := `{"cpu":{"usage":{"total":300000,"kernel":100000,"user":200000},"throttling":{"periods":5,"throttledPeriods":2,"throttledTime":7000},` +
		`"psi":{"some":{"avg10":1.5,"avg60":0.25,"avg300":0,"total":77},"full":{"avg10":0,"avg60":0,"avg300":0,"total":0}}},` +
		`"cpuset":{"cpus":[0,1,3],"cpu_exclusive":0,"mems":[0],"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,` +
		`"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},` +
		`"memory":{"cache":9,"usage":{"limit":200,"usage":100,"max":150,"failcnt":4},"swap":{"limit":250,"usage":110,"failcnt":6},` +
		`"kernel":{"limit":18446744073709551615,"usage":11,"failcnt":0},"kernelTCP":{"limit":18446744073709551615,"usage":3,"failcnt":0},` +
		`"raw":{"anon":5,"file":9,"kernel":11,"sock":3}},"pids":{"current":3},` +
		`"blkio":{"ioServiceBytesRecursive":[{"major":8,"op":"Read","value":1},{"major":8,"op":"Write","value":2}],` +
		`"ioServicedRecursive":[{"major":8,"op":"Read","value":3},{"major":8,"op":"Write","value":4}],` +
		`"psi":{"some":{"avg10":0,"avg60":0,"avg300":0,"total":1},"full":{"avg10":0,"avg60":0,"avg300":0,"total":0}}},"hugetlb":{},` +
		`"rdma":{"mlx4_0":{"hcaHandles":2,"hcaObjects":2000},"ocrdma1":{"hcaHandles":1,"hcaHandlesLimit":2,"hcaObjects":0,"hcaObjectsLimit":9}},` +
		`"misc":{"sev":{"usage":3,"failcnt":1},"sev_es":{"usage":0,"limit":10,"failcnt":0}}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestStatsOfMemoryEvents(t *testing.T) {
	for file, read := range map[string]func(*reader, *Stats){
		"memory.events":      (*reader).v2,
		"memory.oom_control": func(r *reader, s *Stats) { r.v1(s, &hierarchy{controllers: []string{"memory"}}) },
	} {
		var s Stats
		read(files(t, map[string]string{file: "max 4\noom_kill 2\n"}), &s)
		if n := s.Memory.Events["oom_kill"]; n != 2 {
			t.Errorf("%s: %d OOM kills", file, n)
		}
	}
}

func TestStatsOfBFQ(t *testing.T) {
	const entries = "8:0 Read 1\n8:0 Write 2\n8:0 Sync 3\n8:0 Async 0\n8:0 Discard 0\n8:0 Total 3\nTotal 3\n"
	read := func(r *reader, s *Stats) { r.v1(s, &hierarchy{controllers: []string{"blkio", "rdma", "misc"}}) }
	var s, none Stats
	r := files(t, map[string]string{
		"blkio.bfq.io_service_bytes_recursive": entries, "blkio.bfq.io_serviced_recursive": "8:0 Total 9\n",
		"blkio.bfq.io_queued_recursive": "8:0 Total 1\n", "blkio.bfq.io_service_time_recursive": "8:0 Total 2\n",
		"blkio.bfq.io_wait_time_recursive": "8:0 Total 3\n", "blkio.bfq.io_merged_recursive": "8:0 Total 4\n",
		"blkio.bfq.time_recursive": "8:0 5\n", "blkio.bfq.sectors_recursive": "8:16 6\n",
		"blkio.throttle.io_service_bytes_recursive": "8:0 Total 999\n",
	})
	read(r, &s)
	total := func(n uint64) []BlkIOEntry { return []BlkIOEntry{{Major: 8, Op: "Total", Value: n}} }
	want := BlkIOStats{
		ServiceBytes: []BlkIOEntry{{8, 0, "Read", 1}, {8, 0, "Write", 2}, {8, 0, "Sync", 3}, {8, 0, "Async", 0}, {8, 0, "Discard", 0}, {8, 0, "Total", 3}},
		Serviced:     total(9), Queued: total(1), ServiceTime: total(2), WaitTime: total(3), Merged: total(4),
		Time: []BlkIOEntry{{Major: 8, Value: 5}}, Sectors: []BlkIOEntry{{Major: 8, Minor: 16, Value: 6}},
	}
	if r.err != nil || !reflect.DeepEqual(s.BlkIO, want) {
		t.Errorf("%v, got  %+v\nwant %+v", r.err, s.BlkIO, want)
	}
	// Where no device has the BFQ scheduler, its files are there and empty.
	r = files(t, map[string]string{"blkio.bfq.io_service_bytes_recursive": "Total 0\n", "blkio.throttle.io_service_bytes_recursive": "8:0 Total 999\n"})
	read(r, &none)
	if r.err != nil || !reflect.DeepEqual(none.BlkIO, BlkIOStats{ServiceBytes: total(999)}) {
		t.Errorf("%v, %+v", r.err, none.BlkIO)
	}
}

func TestStatsRefuseNonsense(t *testing.T) {
	for file, text := range map[string]string{"memory.current": "x", "cpu.stat": "usage_usec 1x\n"} {
		s := &Stats{Hugetlb: map[string]HugetlbStat{}}
		r := files(t, map[string]string{file: text})
		if r.v2(s); r.err == nil || r.file != file {
			t.Errorf("%s = %q: %v, %s", file, text, r.err, r.file)
		}
	}
}

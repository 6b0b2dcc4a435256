package cgroup

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// short is a setting in the short form of the tables below.
func short(list []setting) string {
	var all []string
	for _, s := range list {
		text := s.file + "=" + strings.TrimSpace(s.value)
		if s.alt != "" {
			text += "|" + s.alt + "=" + s.altValue
		}
		if s.optional {
			text += "?"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestSettings(t *testing.T) {
	type res = specs.LinuxResources
	mem := func(m specs.LinuxMemory) *res { return &res{Memory: &m} }
	cpu := func(c specs.LinuxCPU) *res { return &res{CPU: &c} }
	i, u := ptr[int64], ptr[uint64]
	for _, c := range []struct {
		name   string
		r      *res
		v1, v2 string // "!/field" stands for an error about this field
	}{
		{"nothing", nil, "", ""},
		{"empty", &res{Memory: &specs.LinuxMemory{}, CPU: &specs.LinuxCPU{}, Pids: &specs.LinuxPids{}, BlockIO: &specs.LinuxBlockIO{}, Network: &specs.LinuxNetwork{}}, "", ""},
		{"memory", mem(specs.LinuxMemory{Limit: i(512 << 10)}), "memory.limit_in_bytes=524288", "memory.max=524288"},
		{"memory zero", mem(specs.LinuxMemory{Limit: i(0), Swap: i(0), Reservation: i(0)}), "", ""},
		{"memory unlimited", mem(specs.LinuxMemory{Limit: i(-1)}), "memory.limit_in_bytes=-1 memory.memsw.limit_in_bytes=-1?", "memory.swap.max=max? memory.max=max"},
		{"memory negative", mem(specs.LinuxMemory{Limit: i(-2)}), "!/memory/limit", "!/memory/limit"},
		{"swap", mem(specs.LinuxMemory{Limit: i(100), Swap: i(150)}), "memory.limit_in_bytes=100 memory.memsw.limit_in_bytes=150", "memory.swap.max=50 memory.max=100"},
		{"no swap", mem(specs.LinuxMemory{Limit: i(100), Swap: i(100)}), "memory.limit_in_bytes=100 memory.memsw.limit_in_bytes=100", "memory.swap.max=0? memory.max=100"},
		{"unlimited swap", mem(specs.LinuxMemory{Limit: i(100), Swap: i(-1)}), "memory.limit_in_bytes=100 memory.memsw.limit_in_bytes=-1", "memory.swap.max=max? memory.max=100"},
		{"swap alone", mem(specs.LinuxMemory{Swap: i(150)}), "memory.memsw.limit_in_bytes=150", "!/memory/swap"},
		{"swap too low", mem(specs.LinuxMemory{Limit: i(100), Swap: i(50)}), "memory.limit_in_bytes=100 memory.memsw.limit_in_bytes=50", "!/memory/swap"},
		{"reservation", mem(specs.LinuxMemory{Reservation: i(7)}), "memory.soft_limit_in_bytes=7", "memory.low=7"},
		{"swappiness", mem(specs.LinuxMemory{Swappiness: u(0)}), "memory.swappiness=0", "!/memory/swappiness"},
		{"swappiness range", mem(specs.LinuxMemory{Swappiness: u(101)}), "!/memory/swappiness", "!/memory/swappiness"},
		{"oom", mem(specs.LinuxMemory{DisableOOMKiller: ptr(true)}), "memory.oom_control=1", "!/memory/disableOOMKiller"},
		{"oom false", mem(specs.LinuxMemory{DisableOOMKiller: ptr(false)}), "", ""},
		{"kernel memory", mem(specs.LinuxMemory{Kernel: i(1)}), "", ""},
		{"TCP memory", mem(specs.LinuxMemory{KernelTCP: i(1)}), "memory.kmem.tcp.limit_in_bytes=1", ""},

		{"shares", cpu(specs.LinuxCPU{Shares: u(1024)}), "cpu.shares=1024", "cpu.weight=100"},
		{"shares low", cpu(specs.LinuxCPU{Shares: u(1)}), "!/cpu/shares", "cpu.weight=1"},
		{"shares high", cpu(specs.LinuxCPU{Shares: u(262145)}), "!/cpu/shares", "cpu.weight=10000"},
		{"quota", cpu(specs.LinuxCPU{Quota: i(5000)}), "cpu.cfs_quota_us=5000", "cpu.max=5000"},
		{"no quota", cpu(specs.LinuxCPU{Quota: i(-1)}), "cpu.cfs_quota_us=-1", "cpu.max=max"},
		{"quota negative", cpu(specs.LinuxCPU{Quota: i(-5)}), "!/cpu/quota", "!/cpu/quota"},
		{"quota and period", cpu(specs.LinuxCPU{Quota: i(5000), Period: u(10000), Burst: u(3)}), "cpu.cfs_period_us=10000 cpu.cfs_quota_us=5000 cpu.cfs_burst_us=3", "cpu.max=5000 10000 cpu.max.burst=3"},
		{"realtime", cpu(specs.LinuxCPU{RealtimePeriod: u(9), RealtimeRuntime: i(4)}), "cpu.rt_period_us=9 cpu.rt_runtime_us=4", "!/cpu/realtimePeriod"},
		{"idle", cpu(specs.LinuxCPU{Idle: i(1)}), "cpu.idle=1", "cpu.idle=1"},
		{"idle range", cpu(specs.LinuxCPU{Idle: i(2)}), "!/cpu/idle", "!/cpu/idle"},
		{"cpuset", cpu(specs.LinuxCPU{Cpus: "0-1", Mems: "0"}), "cpuset.cpus=0-1 cpuset.mems=0", "cpuset.cpus=0-1 cpuset.mems=0"},

		{"pids", &res{Pids: &specs.LinuxPids{Limit: i(9)}}, "pids.max=9", "pids.max=9"},
		{"pids none", &res{Pids: &specs.LinuxPids{Limit: i(-1)}}, "pids.max=max", "pids.max=max"},
		{"pids zero", &res{Pids: &specs.LinuxPids{Limit: i(0)}}, "pids.max=1", "pids.max=1"},

		{"io", &res{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(10)), LeafWeight: ptr(uint16(0))}},
			"blkio.weight=10|blkio.bfq.weight=10", "io.bfq.weight=10|io.weight=1"},
		{"io weight range", &res{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(1001))}}, "!/blockIO/weight", "!/blockIO/weight"},
		{"io leaf", &res{BlockIO: &specs.LinuxBlockIO{LeafWeight: ptr(uint16(10))}}, "blkio.leaf_weight=10", "!/blockIO/leafWeight"},
		{"io device", &res{BlockIO: &specs.LinuxBlockIO{WeightDevice: []specs.LinuxWeightDevice{weightDevice(8, 16, 1000)}}},
			"blkio.weight_device=8:16 1000|blkio.bfq.weight_device=8:16 1000", "io.bfq.weight=8:16 1000|io.weight=8:16 10000"},
		{"io throttle", &res{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: throttle(5), ThrottleWriteIOPSDevice: throttle(0)}},
			"blkio.throttle.read_bps_device=8:0 5 blkio.throttle.write_iops_device=8:0 0", "io.max=8:0 rbps=5 io.max=8:0 wiops=max"},

		{"hugetlb", &res{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4}}},
			"hugetlb.2MB.limit_in_bytes=4 hugetlb.2MB.rsvd.limit_in_bytes=4?", "hugetlb.2MB.max=4 hugetlb.2MB.rsvd.max=4?"},
		{"hugetlb size", &res{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "../x", Limit: 4}}}, "!/hugepageLimits/0/pageSize", "!/hugepageLimits/0/pageSize"},
		{"hugetlb size short", &res{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "MB"}}}, "!/hugepageLimits/0/pageSize", "!/hugepageLimits/0/pageSize"},

		{"network", &res{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(5)), Priorities: []specs.LinuxInterfacePriority{{Name: "eth0", Priority: 3}}}},
			"net_cls.classid=5 net_prio.ifpriomap=eth0 3", "!/network/classID"},
		{"rdma", &res{Rdma: map[string]specs.LinuxRdma{"mlx5": {HcaHandles: ptr(uint32(3)), HcaObjects: ptr(uint32(4))}}},
			"rdma.max=mlx5 hca_handle=3 hca_object=4", "rdma.max=mlx5 hca_handle=3 hca_object=4"},
		{"rdma name", &res{Rdma: map[string]specs.LinuxRdma{"a/b c": {}}}, "!/rdma/a~1b c", "!/rdma/a~1b c"},

		{"unified", &res{Unified: map[string]string{"memory.high": "9", "hugetlb.2MB.max": "1\n2"}}, "!/unified", "hugetlb.2MB.max=1 hugetlb.2MB.max=2 memory.high=9"},
		{"unified path", &res{Unified: map[string]string{"../memory.high": "9"}}, "!/unified", "!/unified/..~1memory.high"},
		{"unified name", &res{Unified: map[string]string{"memory": "9"}}, "!/unified", "!/unified/memory"},
	} {
		for v2, want := range map[bool]string{false: c.v1, true: c.v2} {
			list, _, err := settings(c.r, v2)
			got := short(list)
			if err != nil {
				got = "!" + origin(err)
				want = strings.Replace(want, "!", "!"+resOrigin, 1)
			}
			if got != want {
				t.Errorf("%s (v2: %v):\n got %s\nwant %s", c.name, v2, got, want)
			}
		}
	}
}

func weightDevice(major, minor int64, w uint16) specs.LinuxWeightDevice {
	d := specs.LinuxWeightDevice{Weight: &w}
	d.Major, d.Minor = major, minor
	return d
}

func throttle(rate uint64) []specs.LinuxThrottleDevice {
	d := specs.LinuxThrottleDevice{Rate: rate}
	d.Major = 8
	return []specs.LinuxThrottleDevice{d}
}

func TestIgnoredFieldsAreWarnedAbout(t *testing.T) {
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Kernel: ptr(int64(5)), KernelTCP: ptr(int64(5)), UseHierarchy: ptr(false)}}
	_, warnings, err := settings(r, true)
	if err != nil || len(warnings) != 3 {
		t.Errorf("%v, %v", warnings, err)
	}
}

package wire

import (
	"math"
	"strings"

	"github.com/bailey-oci/bailey/internal/protobuf"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
)

// metricsV2 returns io.containerd.cgroups.v2.Metrics.
func metricsV2(s *libruntime.Stats) message {
	var m message
	m.inner(1, pids(s))
	m.inner(2, cpuV2(&s.CPU))
	m.inner(4, memoryV2(&s.Memory))
	m.inner(5, rdma(s.RDMA))
	m.inner(6, io(&s.BlkIO))
	for size, h := range s.Hugetlb {
		var e message
		e.number(1, h.Usage)
		e.number(2, h.Max)
		e.text(3, size)
		e.number(4, h.Failcnt)
		m.inner(7, e)
	}
	var events message
	events.numbered(1, s.Memory.Events, "low", "high", "max", "oom", "oom_kill", "oom_group_kill")
	m.inner(8, events)
	for i := range s.NetworkInterfaces {
		m.inner(9, network(&s.NetworkInterfaces[i]))
	}
	return m
}

func cpuV2(c *cgroup.CPUStats) message {
	const microsecond = 1000
	var m message
	m.number(1, c.Usage.Total/microsecond)
	m.number(2, c.Usage.User/microsecond)
	m.number(3, c.Usage.Kernel/microsecond)
	m.number(4, c.Throttling.Periods)
	m.number(5, c.Throttling.ThrottledPeriods)
	m.number(6, c.Throttling.ThrottledTime/microsecond)
	m.pressure(7, c.PSI)
	return m
}

// memoryNamesV2 are the fields 1 to 31 of a MemoryStat by their names in memory.stat; "" are those of names that the kernel
// has no more.
var memoryNamesV2 = []string{
	"anon", "file", "kernel_stack", "slab", "sock", "shmem", "file_mapped", "file_dirty", "file_writeback", "anon_thp",
	"inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable", "slab_reclaimable", "slab_unreclaimable",
	"pgfault", "pgmajfault", "", "", "workingset_nodereclaim", "pgrefill", "pgscan", "pgsteal", "pgactivate", "pgdeactivate",
	"pglazyfree", "pglazyfreed", "thp_fault_alloc", "thp_collapse_alloc",
}

func memoryV2(s *cgroup.MemoryStats) message {
	var m message
	m.numbered(1, s.Raw, memoryNamesV2...)
	m.number(20, s.Raw["workingset_refault_anon"]+s.Raw["workingset_refault_file"])
	m.number(21, s.Raw["workingset_activate_anon"]+s.Raw["workingset_activate_file"])
	m.number(32, s.Usage.Usage)
	m.number(33, s.Usage.Limit)
	// Here that of swap is without memory.
	m.number(34, s.Swap.Usage-min(s.Swap.Usage, s.Usage.Usage))
	limit := s.Swap.Limit
	if limit != math.MaxUint64 {
		limit -= min(limit, s.Usage.Limit)
	}
	m.number(35, limit)
	m.number(36, s.Usage.Max)
	m.pressure(38, s.PSI)
	return m
}

// pressure adds PSIStats.
func (m *message) pressure(field uint64, p *cgroup.PSI) {
	if p == nil {
		return
	}
	var stats message
	for i, d := range []*cgroup.PSIData{&p.Some, &p.Full} {
		var data message
		data.double(1, d.Avg10)
		data.double(2, d.Avg60)
		data.double(3, d.Avg300)
		data.number(4, d.Total)
		stats.inner(protoNumber(1+i), data)
	}
	m.inner(field, stats)
}

func (m *message) double(field uint64, v float64) {
	if v != 0 {
		*m = protobuf.AppendFixed64(*m, field, math.Float64bits(v))
	}
}

// io returns an IOStat, which has one entry for a device, where ours have one for a device and operation.
func io(s *cgroup.BlkIOStats) message {
	type device struct{ major, minor uint64 }
	type figures struct{ readBytes, writtenBytes, reads, writes uint64 }
	all := make(map[device]*figures)
	var order []device
	of := func(e *cgroup.BlkIOEntry) *figures {
		d := device{e.Major, e.Minor}
		if all[d] == nil {
			all[d] = new(figures)
			order = append(order, d)
		}
		return all[d]
	}
	for i := range s.ServiceBytes {
		e := &s.ServiceBytes[i]
		switch strings.ToLower(e.Op) {
		case "read":
			of(e).readBytes = e.Value
		case "write":
			of(e).writtenBytes = e.Value
		}
	}
	for i := range s.Serviced {
		e := &s.Serviced[i]
		switch strings.ToLower(e.Op) {
		case "read":
			of(e).reads = e.Value
		case "write":
			of(e).writes = e.Value
		}
	}
	var m message
	for _, d := range order {
		f := all[d]
		var e message
		for i, v := range []uint64{d.major, d.minor, f.readBytes, f.writtenBytes, f.reads, f.writes} {
			e.number(protoNumber(1+i), v)
		}
		m.inner(1, e)
	}
	m.pressure(2, s.PSI)
	return m
}

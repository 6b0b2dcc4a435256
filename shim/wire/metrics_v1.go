package wire

import (
	"encoding/binary"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
)

func protoNumber(n int) uint64 { return uint64(n) }

// metricsV1 returns io.containerd.cgroups.v1.Metrics.
func metricsV1(s *libruntime.Stats) message {
	var m message
	for size, h := range s.Hugetlb {
		var e message
		e.number(1, h.Usage)
		e.number(2, h.Max)
		e.number(3, h.Failcnt)
		e.text(4, size)
		m.inner(1, e)
	}
	m.inner(2, pids(s))
	m.inner(3, cpuV1(&s.CPU))
	m.inner(4, memoryV1(&s.Memory))
	m.inner(5, blkio(&s.BlkIO))
	m.inner(6, rdma(s.RDMA))
	for i := range s.NetworkInterfaces {
		m.inner(7, network(&s.NetworkInterfaces[i]))
	}
	var oom message
	oom.numbered(1, s.Memory.Events, "oom_kill_disable", "under_oom", "oom_kill")
	m.inner(9, oom)
	return m
}

func pids(s *libruntime.Stats) message {
	var m message
	m.number(1, s.Pids.Current)
	m.number(2, s.Pids.Limit)
	return m
}

func cpuV1(c *cgroup.CPUStats) message {
	var m, usage, throttle message
	usage.number(1, c.Usage.Total)
	usage.number(2, c.Usage.Kernel)
	usage.number(3, c.Usage.User)
	var each []byte
	for _, v := range c.Usage.PerCPU {
		each = binary.AppendUvarint(each, v)
	}
	usage.bytes(4, each)
	throttle.number(1, c.Throttling.Periods)
	throttle.number(2, c.Throttling.ThrottledPeriods)
	throttle.number(3, c.Throttling.ThrottledTime)
	m.inner(1, usage)
	m.inner(2, throttle)
	return m
}

// memoryNamesV1 are the fields 1 to 32 of a MemoryStat by their names in memory.stat.
var memoryNamesV1 = []string{
	"cache", "rss", "rss_huge", "mapped_file", "dirty", "writeback", "pgpgin", "pgpgout", "pgfault", "pgmajfault",
	"inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable",
	"hierarchical_memory_limit", "hierarchical_memsw_limit",
	"total_cache", "total_rss", "total_rss_huge", "total_mapped_file", "total_dirty", "total_writeback",
	"total_pgpgin", "total_pgpgout", "total_pgfault", "total_pgmajfault",
	"total_inactive_anon", "total_active_anon", "total_inactive_file", "total_active_file", "total_unevictable",
}

func memoryV1(s *cgroup.MemoryStats) message {
	var m message
	m.numbered(1, s.Raw, memoryNamesV1...)
	for i, e := range []*cgroup.MemoryEntry{&s.Usage, &s.Swap, &s.Kernel, &s.KernelTCP} {
		var entry message
		entry.number(1, e.Limit)
		entry.number(2, e.Usage)
		entry.number(3, e.Max)
		entry.number(4, e.Failcnt)
		m.inner(protoNumber(33+i), entry)
	}
	return m
}

func blkio(s *cgroup.BlkIOStats) message {
	var m message
	for i, list := range [][]cgroup.BlkIOEntry{
		s.ServiceBytes, s.Serviced, s.Queued, s.ServiceTime, s.WaitTime, s.Merged, s.Time, s.Sectors,
	} {
		for _, e := range list {
			var entry message
			entry.text(1, e.Op)
			entry.number(3, e.Major)
			entry.number(4, e.Minor)
			entry.number(5, e.Value)
			m.inner(protoNumber(1+i), entry)
		}
	}
	return m
}

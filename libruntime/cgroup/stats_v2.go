package cgroup

import (
	"math"
	"strings"
)

// v2 reads what a cgroup of the unified hierarchy tells.
func (r *reader) v2(s *Stats) {
	t := r.keyed("cpu.stat")
	s.CPU = CPUStats{
		Usage:      CPUUsage{Total: t["usage_usec"] * nsPerUsec, Kernel: t["system_usec"] * nsPerUsec, User: t["user_usec"] * nsPerUsec},
		Throttling: Throttling{t["nr_periods"], t["nr_throttled"], t["throttled_usec"] * nsPerUsec},
	}
	s.CPUSet = CPUSetStats{CPUs: r.list("cpuset.cpus.effective"), Mems: r.list("cpuset.mems.effective")}
	r.memoryV2(&s.Memory)
	r.pids(s)
	if s.Pids.Current == 0 { // without the controller the processes can be counted at least
		s.Pids.Current = uint64(strings.Count(r.text("cgroup.procs"), "\n"))
	}
	r.ioStat(s)
	r.rdma(s)
	r.misc(s)
	r.beside(s)
}

// beside reads what the v2 tree tells even where the v1 hierarchies have the controllers: pressure, and
// huge pages, whose controller is often the one that v1 leaves over.
func (r *reader) beside(s *Stats) {
	s.CPU.PSI, s.Memory.PSI, s.BlkIO.PSI = r.psi("cpu.pressure"), r.psi("memory.pressure"), r.psi("io.pressure")
	if len(s.Hugetlb) == 0 {
		r.hugetlb(s, ".current", func(size string) HugetlbStat {
			return HugetlbStat{Usage: r.num(size + ".current"), Failcnt: r.keyed(size + ".events")["max"]}
		})
	}
}

func (r *reader) memoryV2(m *MemoryStats) {
	m.Raw, m.Events = r.keyed("memory.stat"), r.keyed("memory.events")
	m.Cache = m.Raw["file"]
	m.Usage = MemoryEntry{Limit: r.num("memory.max"), Usage: r.num("memory.current"), Max: r.num("memory.peak"),
		Failcnt: m.Events["max"]}
	// Readers expect v1's meaning: memory and swap together.
	m.Swap = MemoryEntry{Limit: r.num("memory.swap.max"), Usage: r.num("memory.swap.current") + m.Usage.Usage,
		Failcnt: r.keyed("memory.swap.events")["max"]}
	if m.Swap.Limit != math.MaxUint64 {
		if m.Usage.Limit == math.MaxUint64 {
			m.Swap.Limit = math.MaxUint64
		} else {
			m.Swap.Limit += m.Usage.Limit
		}
	}
	if m.Raw["kernel"] != 0 { // Linux 5.18
		m.Kernel = MemoryEntry{Limit: math.MaxUint64, Usage: m.Raw["kernel"]}
	}
	if sock, ok := m.Raw["sock"]; ok {
		m.KernelTCP = MemoryEntry{Limit: math.MaxUint64, Usage: sock}
	}
}

// ioStat reads lines of MAJOR:MINOR KEY=VALUE….
func (r *reader) ioStat(s *Stats) {
	const file = "io.stat"
	for line := range strings.Lines(r.text(file)) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		major, minor, ok := strings.Cut(f[0], ":")
		if !ok {
			continue
		}
		for _, kv := range f[1:] {
			key, value, _ := strings.Cut(kv, "=")
			e := BlkIOEntry{Major: r.parse(file, major), Minor: r.parse(file, minor)}
			list := &s.BlkIO.ServiceBytes
			switch key {
			case "rbytes":
				e.Op = "Read"
			case "wbytes":
				e.Op = "Write"
			case "rios":
				e.Op, list = "Read", &s.BlkIO.Serviced
			case "wios":
				e.Op, list = "Write", &s.BlkIO.Serviced
			default:
				continue
			}
			e.Value = r.parse(file, value)
			*list = append(*list, e)
		}
	}
}

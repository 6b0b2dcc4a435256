package cgroup

import (
	"strconv"
	"strings"
)

// v1 reads what the controllers of a v1 hierarchy tell.
func (r *reader) v1(s *Stats, h *hierarchy) {
	for _, c := range h.controllers {
		switch c {
		case "cpu":
			t := r.keyed("cpu.stat")
			s.CPU.Throttling = Throttling{t["nr_periods"], t["nr_throttled"], t["throttled_time"]}
		case "cpuacct":
			s.CPU.Usage = CPUUsage{
				Total: r.num("cpuacct.usage"), PerCPU: r.nums("cpuacct.usage_percpu"),
				PerCPUKernel: r.nums("cpuacct.usage_percpu_sys"), PerCPUUser: r.nums("cpuacct.usage_percpu_user"),
				Kernel: r.num("cpuacct.usage_sys"), User: r.num("cpuacct.usage_user"),
			}
		case "cpuset":
			s.CPUSet = r.cpusetV1()
		case "memory":
			m := &s.Memory
			m.Raw, m.Events = r.keyed("memory.stat"), r.keyed("memory.oom_control")
			m.Cache = m.Raw["cache"]
			m.Usage, m.Swap = r.memoryV1("memory"), r.memoryV1("memory.memsw")
			m.Kernel, m.KernelTCP = r.memoryV1("memory.kmem"), r.memoryV1("memory.kmem.tcp")
		case "pids":
			r.pids(s)
		case "blkio":
			r.blkio(s)
		case "hugetlb":
			r.hugetlb(s, ".usage_in_bytes", func(size string) HugetlbStat {
				return HugetlbStat{r.num(size + ".usage_in_bytes"), r.num(size + ".max_usage_in_bytes"), r.num(size + ".failcnt")}
			})
		case "rdma":
			r.rdma(s)
		case "misc":
			r.misc(s)
		}
	}
}

func (r *reader) cpusetV1() CPUSetStats {
	level := strings.TrimSpace(r.text("cpuset.sched_relax_domain_level"))
	relax, err := strconv.ParseInt(level, 10, 64)
	if err != nil && level != "" && r.err == nil {
		r.file, r.err = "cpuset.sched_relax_domain_level", err
	}
	return CPUSetStats{
		CPUs: r.list("cpuset.cpus"), CPUExclusive: r.num("cpuset.cpu_exclusive"),
		Mems: r.list("cpuset.mems"), MemHardwall: r.num("cpuset.mem_hardwall"), MemExclusive: r.num("cpuset.mem_exclusive"),
		MemoryMigrate: r.num("cpuset.memory_migrate"), MemorySpreadPage: r.num("cpuset.memory_spread_page"),
		MemorySpreadSlab: r.num("cpuset.memory_spread_slab"), MemoryPressure: r.num("cpuset.memory_pressure"),
		SchedLoadBalance: r.num("cpuset.sched_load_balance"), SchedRelaxDomainLevel: relax,
	}
}

func (r *reader) memoryV1(prefix string) MemoryEntry {
	return MemoryEntry{
		Limit: r.num(prefix + ".limit_in_bytes"), Usage: r.num(prefix + ".usage_in_bytes"),
		Max: r.num(prefix + ".max_usage_in_bytes"), Failcnt: r.num(prefix + ".failcnt"),
	}
}

// blkio reads the figures of the throttling layer, which every scheduler has, or of BFQ where it
// counts itself.
func (r *reader) blkio(s *Stats) {
	for _, prefix := range []string{"blkio.bfq.", "blkio.throttle."} {
		s.BlkIO = BlkIOStats{
			ServiceBytes: r.blkioEntries(prefix + "io_service_bytes_recursive"),
			Serviced:     r.blkioEntries(prefix + "io_serviced_recursive"),
			Queued:       r.blkioEntries(prefix + "io_queued_recursive"),
			ServiceTime:  r.blkioEntries(prefix + "io_service_time_recursive"),
			WaitTime:     r.blkioEntries(prefix + "io_wait_time_recursive"),
			Merged:       r.blkioEntries(prefix + "io_merged_recursive"),
			Time:         r.blkioEntries(prefix + "time_recursive"),
			Sectors:      r.blkioEntries(prefix + "sectors_recursive"),
			PSI:          s.BlkIO.PSI,
		}
		if len(s.BlkIO.ServiceBytes) > 0 {
			return
		}
	}
}

// blkioEntries reads lines of MAJOR:MINOR OPERATION VALUE, or without the operation where there is but one
// value; the line with the grand total has no device.
func (r *reader) blkioEntries(file string) []BlkIOEntry {
	var all []BlkIOEntry
	for line := range strings.Lines(r.text(file)) {
		f := strings.Fields(line)
		if len(f) < 2 || len(f) > 3 {
			continue
		}
		major, minor, ok := strings.Cut(f[0], ":")
		if !ok {
			continue
		}
		e := BlkIOEntry{Major: r.parse(file, major), Minor: r.parse(file, minor), Value: r.parse(file, f[len(f)-1])}
		if len(f) == 3 {
			e.Op = f[1]
		}
		all = append(all, e)
	}
	return all
}

package cgroup

import (
	"math"
	"strings"

	"golang.org/x/sys/unix"
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
				Kernel: r.num("cpuacct.usage_sys"), User: r.num("cpuacct.usage_user"),
			}
		case "cpuset":
			s.CPUSet = CPUSetStats{r.list("cpuset.cpus"), r.list("cpuset.mems")}
		case "memory":
			m := &s.Memory
			m.Raw = r.keyed("memory.stat")
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
		}
	}
}

// nums reads numbers separated by blanks.
func (r *reader) nums(file string) []uint64 {
	var all []uint64
	for _, f := range strings.Fields(r.text(file)) {
		all = append(all, r.parse(file, f))
	}
	return all
}

func (r *reader) memoryV1(prefix string) MemoryEntry {
	return MemoryEntry{
		Limit: r.num(prefix + ".limit_in_bytes"), Usage: r.num(prefix + ".usage_in_bytes"),
		Max: r.num(prefix + ".max_usage_in_bytes"), Failcnt: r.num(prefix + ".failcnt"),
	}
}

func (r *reader) pids(s *Stats) {
	s.Pids = PidsStats{r.num("pids.current"), r.num("pids.max")}
	if s.Pids.Limit == math.MaxUint64 {
		s.Pids.Limit = 0
	}
}

// blkio reads the figures of the throttling layer, which every scheduler has, or of BFQ where it
// counts itself.
func (r *reader) blkio(s *Stats) {
	for _, prefix := range []string{"blkio.bfq", "blkio.throttle"} {
		s.BlkIO.ServiceBytes = r.blkioEntries(prefix + ".io_service_bytes_recursive")
		s.BlkIO.Serviced = r.blkioEntries(prefix + ".io_serviced_recursive")
		if len(s.BlkIO.ServiceBytes) > 0 {
			return
		}
	}
}

// blkioEntries reads lines of MAJOR:MINOR OPERATION VALUE; the line with the grand total has no device.
func (r *reader) blkioEntries(file string) []BlkIOEntry {
	var all []BlkIOEntry
	for line := range strings.Lines(r.text(file)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		major, minor, _ := strings.Cut(f[0], ":")
		all = append(all, BlkIOEntry{r.parse(file, major), r.parse(file, minor), f[1], r.parse(file, f[2])})
	}
	return all
}

// hugetlb finds the page sizes by the files with the suffix.
func (r *reader) hugetlb(s *Stats, suffix string, read func(prefix string) HugetlbStat) {
	for _, size := range pageSizes() {
		if prefix := "hugetlb." + size; r.text(prefix+suffix) != "" {
			s.Hugetlb[size] = read(prefix)
		}
	}
}

// pageSizes returns the machine's huge page sizes as the cgroup files name them.
func pageSizes() []string {
	const name = "/sys/kernel/mm/hugepages"
	fd, err := retryFD(func() (int, error) {
		return unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil
	}
	d := dir{fd, name}
	defer d.close()
	names, _ := subdirs(d)
	var sizes []string
	for _, n := range names {
		n = strings.TrimSuffix(strings.TrimPrefix(n, "hugepages-"), "kB")
		kb := (&reader{}).parse("", n)
		switch {
		case kb == 0 || kb == math.MaxUint64:
		case kb >= 1<<20:
			sizes = append(sizes, num(kb>>20)+"GB")
		case kb >= 1<<10:
			sizes = append(sizes, num(kb>>10)+"MB")
		default:
			sizes = append(sizes, num(kb)+"KB")
		}
	}
	return sizes
}

// v2 reads what a cgroup of the unified hierarchy tells.
func (r *reader) v2(s *Stats) {
	t := r.keyed("cpu.stat")
	s.CPU = CPUStats{
		Usage:      CPUUsage{Total: t["usage_usec"] * nsPerUsec, Kernel: t["system_usec"] * nsPerUsec, User: t["user_usec"] * nsPerUsec},
		Throttling: Throttling{t["nr_periods"], t["nr_throttled"], t["throttled_usec"] * nsPerUsec},
		PSI:        r.psi("cpu.pressure"),
	}
	s.CPUSet = CPUSetStats{r.list("cpuset.cpus.effective"), r.list("cpuset.mems.effective")}
	r.memoryV2(&s.Memory)
	r.pids(s)
	if s.Pids.Current == 0 { // without the controller the processes can be counted at least
		s.Pids.Current = uint64(strings.Count(r.text("cgroup.procs"), "\n"))
	}
	s.BlkIO.PSI = r.psi("io.pressure")
	r.ioStat(s)
	r.hugetlb(s, ".current", func(size string) HugetlbStat {
		return HugetlbStat{Usage: r.num(size + ".current"), Failcnt: r.keyed(size + ".events")["max"]}
	})
}

func (r *reader) memoryV2(m *MemoryStats) {
	m.Raw = r.keyed("memory.stat")
	m.Cache = m.Raw["file"]
	m.Usage = MemoryEntry{Limit: r.num("memory.max"), Usage: r.num("memory.current"), Max: r.num("memory.peak"),
		Failcnt: r.keyed("memory.events")["max"]}
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
	m.PSI = r.psi("memory.pressure")
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

package cgroup

import "github.com/bailey-oci/bailey/internal/fault"

// Stats are a container's resource figures. The JSON form is that of `runc events`, as its package types
// declares it and its readers decode it; the same figures have the same names on v1 and v2. RDMA and Misc
// are our own.
type Stats struct {
	CPU     CPUStats               `json:"cpu"`
	CPUSet  CPUSetStats            `json:"cpuset"`
	Memory  MemoryStats            `json:"memory"`
	Pids    PidsStats              `json:"pids"`
	BlkIO   BlkIOStats             `json:"blkio"`
	Hugetlb map[string]HugetlbStat `json:"hugetlb"`
	RDMA    map[string]RDMAStat    `json:"rdma,omitempty"`
	Misc    map[string]MiscStat    `json:"misc,omitempty"`
}

// CPUStats are times in nanoseconds.
type CPUStats struct {
	Usage      CPUUsage   `json:"usage"`
	Throttling Throttling `json:"throttling"`
	PSI        *PSI       `json:"psi,omitempty"`
}

// CPUUsage is CPU time used, in nanoseconds. That of each CPU is told on v1 only.
type CPUUsage struct {
	Total        uint64   `json:"total,omitempty"`
	PerCPU       []uint64 `json:"percpu,omitempty"`
	PerCPUKernel []uint64 `json:"percpu_kernel,omitempty"`
	PerCPUUser   []uint64 `json:"percpu_user,omitempty"`
	Kernel       uint64   `json:"kernel"`
	User         uint64   `json:"user"`
}

// Throttling says how often the CPU quota was used up.
type Throttling struct {
	Periods          uint64 `json:"periods,omitempty"`
	ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
	ThrottledTime    uint64 `json:"throttledTime,omitempty"` // nanoseconds
}

// CPUSetStats are the CPUs and memory nodes in force, and v1's flags, which stay zero on v2 (cpuset(7)).
type CPUSetStats struct {
	CPUs             []uint16 `json:"cpus,omitempty"`
	CPUExclusive     uint64   `json:"cpu_exclusive"`
	Mems             []uint16 `json:"mems,omitempty"`
	MemHardwall      uint64   `json:"mem_hardwall"`
	MemExclusive     uint64   `json:"mem_exclusive"`
	MemoryMigrate    uint64   `json:"memory_migrate"`
	MemorySpreadPage uint64   `json:"memory_spread_page"`
	MemorySpreadSlab uint64   `json:"memory_spread_slab"`
	MemoryPressure   uint64   `json:"memory_pressure"`
	SchedLoadBalance uint64   `json:"sched_load_balance"`
	// SchedRelaxDomainLevel can be -1, which is the default.
	SchedRelaxDomainLevel int64 `json:"sched_relax_domain_level"`
}

// MemoryStats are bytes.
type MemoryStats struct {
	Cache     uint64            `json:"cache,omitempty"`
	Usage     MemoryEntry       `json:"usage"`
	Swap      MemoryEntry       `json:"swap"` // memory and swap together
	Kernel    MemoryEntry       `json:"kernel"`
	KernelTCP MemoryEntry       `json:"kernelTCP"`
	Raw       map[string]uint64 `json:"raw,omitempty"`
	PSI       *PSI              `json:"psi,omitempty"`
	// Events are those of memory.events, or memory.oom_control on v1, by their names there.
	Events map[string]uint64 `json:"-"`
}

// MemoryEntry is one counter with its limit; math.MaxUint64 stands for none.
type MemoryEntry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// PidsStats are numbers of tasks; a limit of 0 stands for none.
type PidsStats struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

// BlkIOStats are bytes and operations by device. Only the BFQ scheduler on v1 can tell more than the first
// two, and only where the kernel was built to debug it (CONFIG_BFQ_CGROUP_DEBUG).
type BlkIOStats struct {
	ServiceBytes []BlkIOEntry `json:"ioServiceBytesRecursive,omitempty"`
	Serviced     []BlkIOEntry `json:"ioServicedRecursive,omitempty"`
	Queued       []BlkIOEntry `json:"ioQueueRecursive,omitempty"`
	ServiceTime  []BlkIOEntry `json:"ioServiceTimeRecursive,omitempty"`
	WaitTime     []BlkIOEntry `json:"ioWaitTimeRecursive,omitempty"`
	Merged       []BlkIOEntry `json:"ioMergedRecursive,omitempty"`
	Time         []BlkIOEntry `json:"ioTimeRecursive,omitempty"`
	Sectors      []BlkIOEntry `json:"sectorsRecursive,omitempty"`
	PSI          *PSI         `json:"psi,omitempty"`
}

// BlkIOEntry is the figure of one device and operation ("Read", "Write", …).
type BlkIOEntry struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

// HugetlbStat is bytes of one page size.
type HugetlbStat struct {
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// RDMAStat is what is in use of one device of the RDMA controller; a limit of nil stands for none.
type RDMAStat struct {
	Handles      uint64  `json:"hcaHandles"`
	HandlesLimit *uint64 `json:"hcaHandlesLimit,omitempty"`
	Objects      uint64  `json:"hcaObjects"`
	ObjectsLimit *uint64 `json:"hcaObjectsLimit,omitempty"`
}

// MiscStat is one resource of the misc controller; a limit of nil stands for none, and Failcnt counts how
// often it was hit.
type MiscStat struct {
	Usage   uint64  `json:"usage"`
	Limit   *uint64 `json:"limit,omitempty"`
	Failcnt uint64  `json:"failcnt"`
}

// PSI is pressure stall information.
type PSI struct {
	Some PSIData `json:"some"`
	Full PSIData `json:"full"`
}

// PSIData are the shares of time in percent over 10, 60 and 300 seconds, and the total in microseconds.
type PSIData struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"`
}

// Stats reads the container's figures. What a missing controller would tell stays zero.
func (m *Manager) Stats() (*Stats, error) {
	s := &Stats{Memory: MemoryStats{Raw: map[string]uint64{}}, Hugetlb: map[string]HugetlbStat{}}
	for i := range m.hs {
		h := &m.hs[i]
		d, err := openDir(h.path)
		if err != nil {
			return nil, &fault.Error{Step: "read the container's statistics", Object: h.path, Syscall: "openat2", Err: err}
		}
		r := &reader{dir: d}
		switch {
		case !h.v2():
			r.v1(s, h)
		case m.mode == V2:
			r.v2(s)
		default:
			r.beside(s)
		}
		d.close()
		if r.err != nil {
			return nil, &fault.Error{Step: "read the container's statistics", Object: h.path + "/" + r.file, Err: r.err}
		}
	}
	return s, nil
}

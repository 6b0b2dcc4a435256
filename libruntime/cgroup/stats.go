package cgroup

import (
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// Stats are a container's resource figures. The JSON form is that of `runc events --stats`, which
// containerd, Docker and cAdvisor read; the same figures have the same names on v1 and v2.
type Stats struct {
	CPU     CPUStats               `json:"cpu"`
	CPUSet  CPUSetStats            `json:"cpuset"`
	Memory  MemoryStats            `json:"memory"`
	Pids    PidsStats              `json:"pids"`
	BlkIO   BlkIOStats             `json:"blkio"`
	Hugetlb map[string]HugetlbStat `json:"hugetlb"`
}

// CPUStats are times in nanoseconds.
type CPUStats struct {
	Usage      CPUUsage   `json:"usage"`
	Throttling Throttling `json:"throttling"`
	PSI        *PSI       `json:"psi,omitempty"`
}

// CPUUsage is CPU time used, in nanoseconds.
type CPUUsage struct {
	Total  uint64   `json:"total,omitempty"`
	PerCPU []uint64 `json:"percpu,omitempty"` // v1 only
	Kernel uint64   `json:"kernel"`
	User   uint64   `json:"user"`
}

// Throttling says how often the CPU quota was used up.
type Throttling struct {
	Periods          uint64 `json:"periods,omitempty"`
	ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
	ThrottledTime    uint64 `json:"throttledTime,omitempty"` // nanoseconds
}

// CPUSetStats are the CPUs and memory nodes in force.
type CPUSetStats struct {
	CPUs []uint16 `json:"cpus,omitempty"`
	Mems []uint16 `json:"mems,omitempty"`
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

// BlkIOStats are bytes and operations by device.
type BlkIOStats struct {
	ServiceBytes []BlkIOEntry `json:"ioServiceBytesRecursive,omitempty"`
	Serviced     []BlkIOEntry `json:"ioServicedRecursive,omitempty"`
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
		if h.v2() && m.mode != V2 {
			continue // the tree beside the v1 controllers
		}
		d, err := openDir(h.path)
		if err != nil {
			return nil, &fault.Error{Step: "read the container's statistics", Object: h.path, Syscall: "openat2", Err: err}
		}
		r := &reader{dir: d}
		if h.v2() {
			r.v2(s)
		} else {
			r.v1(s, h)
		}
		d.close()
		if r.err != nil {
			return nil, &fault.Error{Step: "read the container's statistics", Object: h.path + "/" + r.file, Err: r.err}
		}
	}
	return s, nil
}

// OOMKills returns how many processes of the container the kernel killed for lack of memory.
func (m *Manager) OOMKills() (uint64, error) {
	h := m.hierarchy("memory")
	if h == nil {
		return 0, nil
	}
	file := "memory.oom_control"
	if h.v2() {
		file = "memory.events"
	}
	d, err := openDir(h.path)
	if err != nil {
		return 0, &fault.Error{Step: "read the number of OOM kills", Object: h.path, Syscall: "openat2", Err: err}
	}
	defer d.close()
	r := &reader{dir: d}
	n := r.keyed(file)["oom_kill"]
	if r.err != nil {
		return 0, &fault.Error{Step: "read the number of OOM kills", Object: h.path + "/" + file, Err: r.err}
	}
	return n, nil
}

// OOMEvents returns a descriptor that becomes readable (v1) or gives POLLPRI (v2) when the container
// runs out of memory. On v1 it is an eventfd, each read of which returns the number of events since
// the last, and which also becomes readable when the cgroup is removed; on v2 it is memory.events,
// which is to be read again from its start. The caller closes it.
func (m *Manager) OOMEvents() (*os.File, error) {
	fail := func(object string, err error) (*os.File, error) {
		return nil, &fault.Error{Step: "watch for OOM", Object: object, Err: err}
	}
	h := m.hierarchy("memory")
	if h == nil {
		return nil, m.noController(setting{controller: "memory"})
	}
	d, err := openDir(h.path)
	if err != nil {
		return fail(h.path, err)
	}
	defer d.close()
	if h.v2() {
		fd, err := d.open("memory.events", unix.O_RDONLY)
		if err != nil {
			return fail(h.path+"/memory.events", err)
		}
		return os.NewFile(uintptr(fd), h.path+"/memory.events"), nil
	}
	control, err := d.open("memory.oom_control", unix.O_RDONLY)
	if err != nil {
		return fail(h.path+"/memory.oom_control", err)
	}
	defer unix.Close(control)
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fail("eventfd", err)
	}
	if _, err := d.write("cgroup.event_control", strconv.Itoa(event)+" "+strconv.Itoa(control)); err != nil {
		unix.Close(event)
		return fail(h.path+"/cgroup.event_control", err)
	}
	return os.NewFile(uintptr(event), "oom events"), nil
}

// reader reads control files of one cgroup; missing ones are zero, other errors are kept.
type reader struct {
	dir  dir
	file string
	err  error
}

func (r *reader) text(file string) string {
	if r.err != nil {
		return ""
	}
	text, err := r.dir.read(file)
	// EOPNOTSUPP: PSI is switched off, or the file has nothing to say in this kernel.
	if err != nil && !gone(err) && err != unix.EOPNOTSUPP {
		r.file, r.err = file, err
	}
	return text
}

// num reads a single number; "max" and negative numbers, which stand for no limit, are math.MaxUint64.
func (r *reader) num(file string) uint64 {
	text := strings.TrimSpace(r.text(file))
	if text == "" {
		return 0
	}
	return r.parse(file, text)
}

func (r *reader) parse(file, text string) uint64 {
	if text == "max" || strings.HasPrefix(text, "-") {
		return math.MaxUint64
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil && r.err == nil {
		r.file, r.err = file, err
	}
	return n
}

// keyed reads lines of a name and a number.
func (r *reader) keyed(file string) map[string]uint64 {
	m := make(map[string]uint64)
	for line := range strings.Lines(r.text(file)) {
		if f := strings.Fields(line); len(f) == 2 {
			m[f[0]] = r.parse(file, f[1])
		}
	}
	return m
}

// list reads a list of numbers and ranges ("0-3,8").
func (r *reader) list(file string) []uint16 {
	var all []uint16
	for part := range strings.SplitSeq(strings.TrimSpace(r.text(file)), ",") {
		if part == "" {
			continue
		}
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		for n, end := r.parse(file, first), r.parse(file, last); n <= end && n <= math.MaxUint16; n++ {
			all = append(all, uint16(n))
		}
	}
	return all
}

// psi reads a pressure file, or returns nil where the kernel has none.
func (r *reader) psi(file string) *PSI {
	text := r.text(file)
	if text == "" {
		return nil
	}
	p := &PSI{}
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		data := &p.Some
		if kind == "full" {
			data = &p.Full
		}
		for _, f := range strings.Fields(rest) {
			name, value, _ := strings.Cut(f, "=")
			avg, _ := strconv.ParseFloat(value, 64)
			switch name {
			case "avg10":
				data.Avg10 = avg
			case "avg60":
				data.Avg60 = avg
			case "avg300":
				data.Avg300 = avg
			case "total":
				data.Total = r.parse(file, value)
			}
		}
	}
	return p
}

const nsPerUsec = uint64(time.Microsecond)

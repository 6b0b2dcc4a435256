package cgroup

import (
	"math"
	"strings"

	"golang.org/x/sys/unix"
)

func (r *reader) pids(s *Stats) {
	s.Pids = PidsStats{r.num("pids.current"), r.num("pids.max")}
	if s.Pids.Limit == math.MaxUint64 {
		s.Pids.Limit = 0
	}
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

// rdma reads lines of DEVICE hca_handle=N hca_object=N (Documentation/admin-guide/cgroup-v1/rdma.rst).
func (r *reader) rdma(s *Stats) {
	limits := r.pairs("rdma.max")
	for device, now := range r.pairs("rdma.current") {
		if s.RDMA == nil {
			s.RDMA = make(map[string]RDMAStat)
		}
		max := limits[device]
		s.RDMA[device] = RDMAStat{
			Handles: now["hca_handle"], HandlesLimit: limitOf(max, "hca_handle"),
			Objects: now["hca_object"], ObjectsLimit: limitOf(max, "hca_object"),
		}
	}
}

// misc reads lines of RESOURCE NUMBER, and the events, which are RESOURCE.max NUMBER.
func (r *reader) misc(s *Stats) {
	limits, events := r.keyed("misc.max"), r.keyed("misc.events")
	for resource, now := range r.keyed("misc.current") {
		if s.Misc == nil {
			s.Misc = make(map[string]MiscStat)
		}
		s.Misc[resource] = MiscStat{Usage: now, Limit: limitOf(limits, resource), Failcnt: events[resource+".max"]}
	}
}

// pairs reads lines of NAME KEY=NUMBER….
func (r *reader) pairs(file string) map[string]map[string]uint64 {
	all := make(map[string]map[string]uint64)
	for line := range strings.Lines(r.text(file)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		all[f[0]] = make(map[string]uint64)
		for _, pair := range f[1:] {
			if key, value, ok := strings.Cut(pair, "="); ok {
				all[f[0]][key] = r.parse(file, value)
			}
		}
	}
	return all
}

// limitOf returns the limit of a name, nil for none.
func limitOf(limits map[string]uint64, name string) *uint64 {
	limit, ok := limits[name]
	if !ok || limit == math.MaxUint64 {
		return nil
	}
	return &limit
}

package sandbox

import (
	"math"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/cgroup"
)

// limits sets those on memory and processes. The defaults are left out where the caller has no rights over cgroups; what was
// asked for is not, and its failure is an error. The number of processes is limited by RLIMIT_NPROC as well, which
// takes no rights: the kernel counts it in each user namespace.
func (b *builder) limits(s *specs.Spec) {
	memory, pids := b.o.Memory, b.o.Pids
	if memory == 0 && cgroup.Limitable("memory") {
		memory = DefaultMemory
	}
	byCgroup := pids != 0 || cgroup.Limitable("pids")
	if pids == 0 {
		pids = DefaultPids
	}
	r := &specs.LinuxResources{}
	if memory != 0 {
		limit := int64(min(memory, math.MaxInt64))
		r.Memory = &specs.LinuxMemory{Limit: &limit}
		b.note("memory: at most " + size(memory))
	} else {
		b.note("memory: as much as you may use yourself; there is no cgroup here in which you could limit it")
	}
	if byCgroup {
		limit := int64(min(pids, math.MaxInt64))
		r.Pids = &specs.LinuxPids{Limit: &limit}
	}
	if r.Memory != nil || r.Pids != nil {
		s.Linux.Resources = r
	}
	b.note("processes: at most " + decimal(pids))
	var have unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NPROC, &have) == nil {
		n := min(pids, have.Max)
		s.Process.Rlimits = append(s.Process.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_NPROC", Soft: n, Hard: n})
	}
}

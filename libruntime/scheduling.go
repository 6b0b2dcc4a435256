package libruntime

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/cpulist"
	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/plan"
)

// setScheduler sets the scheduling policy of a process.
func setScheduler(op plan.Op, pid int, a plan.SetScheduler) error {
	attr := unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: a.Policy, Flags: a.Flags, Nice: a.Nice, Priority: a.Priority,
		Runtime: a.Runtime, Deadline: a.Deadline, Period: a.Period,
	}
	if err := unix.SchedSetAttr(pid, &attr, 0); err != nil {
		f := &fault.Error{Step: op.String(), Origin: op.Origin, Syscall: "sched_setattr", Err: err}
		if err == unix.EPERM {
			f.Cause = "real-time policies and negative nice values need CAP_SYS_NICE; on cgroup v1 a real-time policy " +
				"also needs a cpu.rt_runtime_us in the container's cgroup"
		}
		return f
	}
	return nil
}

// setIOPriority sets the I/O priority of a process.
func setIOPriority(op plan.Op, pid int, a plan.SetIOPriority) error {
	const (
		whoProcess = 1  // IOPRIO_WHO_PROCESS
		classShift = 13 // IOPRIO_CLASS_SHIFT
	)
	_, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, uintptr(pid), uintptr(a.Class)<<classShift|uintptr(a.Level))
	if errno != 0 {
		f := &fault.Error{Step: op.String(), Origin: op.Origin, Syscall: "ioprio_set", Err: errno}
		if errno == unix.EPERM {
			f.Cause = "the real-time class needs CAP_SYS_ADMIN or CAP_SYS_NICE"
		}
		return f
	}
	return nil
}

// maxCPUs is the highest number of CPUs that Linux can be built for (CONFIG_NR_CPUS).
const maxCPUs = 8192

// setAffinity confines a process to CPUs.
func setAffinity(op plan.Op, pid int, a plan.SetAffinity) error {
	mask, err := parseCPUs(a.CPUs)
	if err == nil {
		_, _, errno := unix.Syscall(unix.SYS_SCHED_SETAFFINITY, uintptr(pid), uintptr(len(mask)*8), uintptr(unsafe.Pointer(&mask[0])))
		if errno == 0 {
			return nil
		}
		err = errno
	}
	return &fault.Error{Step: op.String(), Origin: op.Origin, Object: a.CPUs, Syscall: "sched_setaffinity", Err: err}
}

// parseCPUs returns the bit mask of a list such as "0-3,7".
func parseCPUs(list string) ([]uint64, error) {
	mask := make([]uint64, maxCPUs/64)
	if cpulist.Each(list, maxCPUs, func(n uint64) { mask[n/64] |= 1 << (n % 64) }) != nil {
		return nil, unix.EINVAL
	}
	return mask, nil
}

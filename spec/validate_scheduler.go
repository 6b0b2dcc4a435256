package spec

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var (
	schedPolicies = []specs.LinuxSchedulerPolicy{
		specs.SchedOther, specs.SchedFIFO, specs.SchedRR, specs.SchedBatch, specs.SchedISO,
		specs.SchedIdle, specs.SchedDeadline,
	}
	schedFlags = []specs.LinuxSchedulerFlag{
		specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun,
		specs.SchedFlagKeepPolicy, specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin,
		specs.SchedFlagUtilClampMax,
	}
)

// minRuntime is 1 << DL_SCALE nanoseconds, the least that the kernel reserves for SCHED_DEADLINE.
const minRuntime = 1024

// validateScheduler checks process.scheduler (config.md) by the rules of sched_setattr(2). A field that the
// policy has no use for is refused: the kernel would ignore it, and the author expects otherwise.
func validateScheduler(p *specs.Process, base string) error {
	sc := p.Scheduler
	if sc == nil {
		return nil
	}
	base += "/scheduler"
	if !slices.Contains(schedPolicies, sc.Policy) {
		return bad(base+"/policy", "scheduling policy %q is unknown, allowed are %s", sc.Policy, choice(schedPolicies))
	}
	for i, f := range sc.Flags {
		if !slices.Contains(schedFlags, f) {
			return bad(base+at("flags", i), "scheduling flag %q is unknown, allowed are %s", f, choice(schedFlags))
		}
	}
	switch sc.Policy {
	case specs.SchedOther, specs.SchedBatch:
		if sc.Nice < -20 || sc.Nice > 19 {
			return bad(base+"/nice", "nice value %d is out of range, allowed are -20 to 19", sc.Nice)
		}
	default:
		if sc.Nice != 0 {
			return bad(base+"/nice", "%s takes no nice value (%d), only SCHED_OTHER and SCHED_BATCH do", sc.Policy, sc.Nice)
		}
	}
	switch sc.Policy {
	case specs.SchedFIFO, specs.SchedRR:
		keep := slices.Contains(sc.Flags, specs.SchedFlagKeepParams) && sc.Priority == 0
		if (sc.Priority < 1 || sc.Priority > 99) && !keep {
			return bad(base+"/priority", "priority %d is out of range, %s takes 1 to 99", sc.Priority, sc.Policy)
		}
	default:
		if sc.Priority != 0 {
			return bad(base+"/priority", "%s takes no priority (%d), only SCHED_FIFO and SCHED_RR do", sc.Policy, sc.Priority)
		}
	}
	return validateDeadline(sc, base)
}

// validateDeadline checks the three times, in nanoseconds, of SCHED_DEADLINE.
func validateDeadline(sc *specs.Scheduler, base string) error {
	if sc.Policy != specs.SchedDeadline {
		for _, f := range []struct {
			field string
			value uint64
		}{{"runtime", sc.Runtime}, {"deadline", sc.Deadline}, {"period", sc.Period}} {
			if f.value != 0 {
				return bad(base+at(f.field), "%s takes no %s (%d), only SCHED_DEADLINE does", sc.Policy, f.field, f.value)
			}
		}
		return nil
	}
	if slices.Contains(sc.Flags, specs.SchedFlagKeepParams) && sc.Runtime == 0 && sc.Deadline == 0 && sc.Period == 0 {
		return nil
	}
	switch {
	case sc.Runtime < minRuntime:
		return bad(base+"/runtime", "runtime %d is too short, at least %d nanoseconds are needed", sc.Runtime, minRuntime)
	case sc.Deadline < sc.Runtime || sc.Deadline >= 1<<63:
		return bad(base+"/deadline", "deadline %d is out of range, allowed are runtime (%d) to 2^63-1 nanoseconds", sc.Deadline, sc.Runtime)
	case sc.Period != 0 && sc.Period < sc.Deadline || sc.Period >= 1<<63:
		return bad(base+"/period", "period %d is out of range, allowed are deadline (%d) to 2^63-1 nanoseconds, and 0 for the same as deadline",
			sc.Period, sc.Deadline)
	}
	return nil
}

package plan

// Actions on how the container's processes run: scheduler, I/O priority, CPUs, memory, personality.

// SetScheduler sets the scheduling policy of the container's init (sched_setattr(2)).
type SetScheduler struct {
	// Policy is the kernel's SCHED_ number, Flags an OR of SCHED_FLAG_ values.
	Policy uint32
	Flags  uint64
	Nice   int32
	// Priority is the static priority of the real-time policies, 1 to 99.
	Priority uint32
	// Runtime, Deadline and Period are those of SCHED_DEADLINE, in nanoseconds.
	Runtime, Deadline, Period uint64
}

// SetIOPriority sets the I/O priority of the container's init (ioprio_set(2)).
type SetIOPriority struct {
	// Class is the kernel's IOPRIO_CLASS_ number, Level 0 (first) to 7 (last) within it.
	Class, Level uint8
}

// SetAffinity confines the process to CPUs, a list such as "0-3,7".
type SetAffinity struct {
	CPUs string
	// Initial is for the preamble before it joins the container's cgroup. Otherwise it is for the
	// process that has been cloned into it.
	Initial bool
}

// SetMemoryPolicy sets the NUMA memory policy (set_mempolicy(2)).
type SetMemoryPolicy struct {
	// Mode is the kernel's MPOL_ number, Flags an OR of MPOL_F_ values.
	Mode, Flags uint32
	// Nodes is a list such as "0-1", or "" for none.
	Nodes string
}

// SetPersonality sets the execution domain (personality(2)).
type SetPersonality struct{ Persona uint32 }

func (SetScheduler) Where() Where  { return Asked }
func (SetIOPriority) Where() Where { return Asked }
func (a SetAffinity) Where() Where {
	if a.Initial {
		return Host
	}
	return Asked
}
func (SetMemoryPolicy) Where() Where { return Init }
func (SetPersonality) Where() Where  { return Init }

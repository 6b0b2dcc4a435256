package plan

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"slices"
)

// schedulerPolicies are the kernel's numbers (include/uapi/linux/sched.h). SCHED_ISO has one that was never
// used.
var schedulerPolicies = [...]struct {
	name   specs.LinuxSchedulerPolicy
	number uint32
}{
	{specs.SchedOther, 0}, {specs.SchedFIFO, 1}, {specs.SchedRR, 2}, {specs.SchedBatch, 3},
	{specs.SchedISO, 4}, {specs.SchedIdle, 5}, {specs.SchedDeadline, 6},
}

var schedulerFlags = [...]struct {
	name specs.LinuxSchedulerFlag
	bit  uint64
}{
	{specs.SchedFlagResetOnFork, 0x01}, {specs.SchedFlagReclaim, 0x02}, {specs.SchedFlagDLOverrun, 0x04},
	{specs.SchedFlagKeepPolicy, 0x08}, {specs.SchedFlagKeepParams, 0x10},
	{specs.SchedFlagUtilClampMin, 0x20}, {specs.SchedFlagUtilClampMax, 0x40},
}

var ioPriorityClasses = [...]specs.IOPriorityClass{
	1: specs.IOPRIO_CLASS_RT, 2: specs.IOPRIO_CLASS_BE, 3: specs.IOPRIO_CLASS_IDLE,
}

// memoryModes are the kernel's MPOL_ numbers (include/uapi/linux/mempolicy.h).
var memoryModes = [...]specs.MemoryPolicyModeType{
	specs.MpolDefault, specs.MpolPreferred, specs.MpolBind, specs.MpolInterleave, specs.MpolLocal,
	specs.MpolPreferredMany, specs.MpolWeightedInterleave,
}

var memoryFlags = [...]struct {
	name specs.MemoryPolicyFlagType
	bit  uint32
}{
	{specs.MpolFNumaBalancing, 1 << 13}, {specs.MpolFRelativeNodes, 1 << 14}, {specs.MpolFStaticNodes, 1 << 15},
}

// MemoryModes returns the modes that linux.memoryPolicy can have.
func MemoryModes() []string {
	names := make([]string, len(memoryModes))
	for i, m := range memoryModes {
		names[i] = string(m)
	}
	slices.Sort(names)
	return names
}

// MemoryFlags returns the flags that linux.memoryPolicy can have.
func MemoryFlags() []string {
	names := make([]string, len(memoryFlags))
	for i, f := range memoryFlags {
		names[i] = string(f.name)
	}
	slices.Sort(names)
	return names
}

// perLinux32 makes uname(2) name a 32-bit machine (include/uapi/linux/personality.h).
const perLinux32 = 0x0008

// scheduling adds scheduler and I/O priority. They are set by the host, which may raise them where the
// container may not.
func (c *compiler) scheduling() {
	if s := c.process.Scheduler; s != nil {
		a := SetScheduler{Nice: s.Nice, Priority: uint32(s.Priority), Runtime: s.Runtime, Deadline: s.Deadline,
			Period: s.Period}
		for _, p := range schedulerPolicies {
			if p.name == s.Policy {
				a.Policy = p.number
			}
		}
		for _, name := range s.Flags {
			for _, f := range schedulerFlags {
				if f.name == name {
					a.Flags |= f.bit
				}
			}
		}
		c.add(a, c.field("/scheduler"))
	}
	if io := c.process.IOPriority; io != nil {
		a := SetIOPriority{Level: uint8(io.Priority)}
		for class, name := range ioPriorityClasses {
			if name == io.Class {
				a.Class = uint8(class)
			}
		}
		c.add(a, c.field("/ioPriority"))
	}
}

// memory adds the memory policy and the personality.
func (c *compiler) memory() {
	if m := c.spec.Linux.MemoryPolicy; m != nil {
		a := SetMemoryPolicy{Nodes: m.Nodes}
		for mode, name := range memoryModes {
			if name == m.Mode {
				a.Mode = uint32(mode)
			}
		}
		for _, name := range m.Flags {
			for _, f := range memoryFlags {
				if f.name == name {
					a.Flags |= f.bit
				}
			}
		}
		c.add(a, "/linux/memoryPolicy")
	}
	if p := c.spec.Linux.Personality; p != nil {
		var a SetPersonality
		if p.Domain == specs.PerLinux32 {
			a.Persona = perLinux32
		}
		c.add(a, "/linux/personality")
	}
}

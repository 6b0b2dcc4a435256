package cgroup

import "github.com/opencontainers/runtime-spec/specs-go"

// memory translates linux.resources.memory. Sizes are in bytes; -1 lifts a limit, 0 leaves it alone.
func (b *builder) memory(m *specs.LinuxMemory) {
	value := func(p *int64, field string) int64 {
		if p == nil {
			return 0
		}
		if *p < -1 {
			b.fail("/memory"+field, num(*p), "a limit is a number of bytes, or -1 for none")
		}
		return *p
	}
	lim, swap, low := value(m.Limit, "/limit"), value(m.Swap, "/swap"), value(m.Reservation, "/reservation")
	tcp := value(m.KernelTCP, "/kernelTCP")
	if b.v2 {
		b.memoryV2(m, lim, swap, low)
	} else {
		b.memoryV1(m, lim, swap, low, tcp)
	}
	if m.Kernel != nil && *m.Kernel != 0 { //nolint:staticcheck // deprecated, and still in use
		b.warn("/memory/kernel", "kernel memory is part of the memory limit on supported kernels")
	}
	if b.v2 && tcp != 0 {
		b.warn("/memory/kernelTCP", "cgroup v2 counts TCP buffers as part of the memory limit")
	}
	if m.UseHierarchy != nil && !*m.UseHierarchy {
		b.warn("/memory/useHierarchy", "supported kernels always account hierarchically")
	}
}

func (b *builder) memoryV1(m *specs.LinuxMemory, lim, swap, low, tcp int64) {
	set := func(field, file, value string, optional bool) {
		b.add(setting{controller: "memory", file: file, value: value, origin: "/memory" + field, optional: optional})
	}
	const limFile, swapFile = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
	if lim != 0 {
		set("/limit", limFile, num(lim), false)
	}
	switch {
	case swap != 0:
		set("/swap", swapFile, num(swap), false)
	case lim == -1:
		// No memory limit under the old limit of memory and swap together would be no change at
		// all. Without swap accounting there is no such limit.
		set("/limit", swapFile, "-1", true)
	}
	if low != 0 {
		set("/reservation", "memory.soft_limit_in_bytes", num(low), false)
	}
	if m.Swappiness != nil {
		if *m.Swappiness > 100 {
			b.fail("/memory/swappiness", num(*m.Swappiness), "swappiness is 0 to 100")
		}
		set("/swappiness", "memory.swappiness", num(*m.Swappiness), false)
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		set("/disableOOMKiller", "memory.oom_control", "1", false)
	}
	if tcp != 0 {
		set("/kernelTCP", "memory.kmem.tcp.limit_in_bytes", num(tcp), false)
	}
}

func (b *builder) memoryV2(m *specs.LinuxMemory, lim, swap, low int64) {
	set := func(field, file, value string, optional bool) {
		b.add(setting{controller: "memory", file: file, value: value, origin: "/memory" + field, optional: optional})
	}
	// Swap goes first: with a lower memory limit alone the kernel would start to swap out.
	b.swapV2(lim, swap, set)
	if lim != 0 {
		set("/limit", "memory.max", limit(lim), false)
	}
	if low != 0 {
		set("/reservation", "memory.low", limit(low), false)
	}
	if m.Swappiness != nil {
		b.noV2("/memory/swappiness", "swappiness per cgroup")
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		b.noV2("/memory/disableOOMKiller", "way to disable the OOM killer")
	}
}

// swapV2 converts the specification's limit of memory and swap together into that of v2, which counts
// swap alone.
func (b *builder) swapV2(lim, swap int64, set func(field, file, value string, optional bool)) {
	const file = "memory.swap.max"
	switch {
	case swap == 0 && lim == -1:
		set("/limit", file, "max", true) // as on v1
	case swap == 0:
	case swap == -1:
		set("/swap", file, "max", true) // nothing to lift where the kernel has no swap accounting
	case lim == -1:
		set("/swap", file, num(swap), false)
	case lim == 0:
		b.fail("/memory/swap", num(swap), "cgroup v2 limits swap alone, so the share of memory in it must be known: set memory.limit too")
	case swap < lim:
		b.fail("/memory/swap", num(swap), "the limit of memory and swap together is lower than that of memory")
	default:
		// No swap at all is the case without swap accounting, too.
		set("/swap", file, num(swap-lim), swap == lim)
	}
}

package spec

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ValidateResources checks r, as given to update, by the rules that Validate has for linux.resources. The
// Origin of an error is "resources" followed by the pointer within r.
func ValidateResources(r *specs.LinuxResources) error { return validateResources(r, "resources ") }

// validateResources checks the resources at base (config-linux.md, "Control groups"). What depends on the
// cgroup version, or on the machine, is left to those who write to the cgroup.
func validateResources(r *specs.LinuxResources, base string) error {
	if err := validateDeviceRules(r.Devices, base); err != nil {
		return err
	}
	if err := validateMemory(r.Memory, base+"/memory"); err != nil {
		return err
	}
	if err := validateCPU(r.CPU, base+"/cpu"); err != nil {
		return err
	}
	if err := validateBlockIO(r.BlockIO, base); err != nil {
		return err
	}
	for i, h := range r.HugepageLimits {
		if !isPageSize(h.Pagesize) {
			return bad(base+at("hugepageLimits", i, "pageSize"), "page size %q is not of the form 64KB, 2MB or 1GB", h.Pagesize)
		}
		if slices.ContainsFunc(r.HugepageLimits[:i], func(o specs.LinuxHugepageLimit) bool { return o.Pagesize == h.Pagesize }) {
			return bad(base+at("hugepageLimits", i, "pageSize"), "page size %s is given twice", h.Pagesize)
		}
	}
	if r.Network != nil {
		for i, p := range r.Network.Priorities {
			if why := badIface(p.Name); why != "" {
				return bad(base+at("network", "priorities", i, "name"), "network device name %q %s", p.Name, why)
			}
		}
	}
	for name, limit := range r.Rdma {
		if name == "" || strings.ContainsAny(name, " \n\x00") {
			return bad(base+at("rdma", name), "%q is not the name of an RDMA device", name)
		}
		if limit.HcaHandles == nil && limit.HcaObjects == nil {
			return bad(base+at("rdma", name), "the limit of %q has neither hcaHandles nor hcaObjects", name)
		}
	}
	for file, value := range r.Unified {
		origin := func() string { return base + at("unified", file) }
		// Anything but a plain name would be a file of another cgroup, or none of a cgroup at all.
		if file == "" || file == "." || file == ".." || strings.ContainsAny(file, "/\x00\n") {
			return bad(origin(), "%q is not the name of a file in a cgroup", file)
		}
		if err := noNUL(value, origin); err != nil {
			return err
		}
	}
	return nil
}

// validateDeviceRules checks the allow and deny rules of the device cgroup.
func validateDeviceRules(rules []specs.LinuxDeviceCgroup, base string) error {
	for i, rule := range rules {
		if !slices.Contains([]string{"", "a", "b", "c"}, rule.Type) {
			return bad(base+at("devices", i, "type"), "device type %q is unknown, allowed are a, b and c", rule.Type)
		}
		for _, n := range []struct {
			field  string
			number *int64
			limit  int64
		}{{"major", rule.Major, maxMajor}, {"minor", rule.Minor, maxMinor}} {
			if n.number != nil && (*n.number < -1 || *n.number > n.limit) {
				return bad(base+at("devices", i, n.field), "%s %d is out of range, allowed are 0 to %d, and -1 for all",
					n.field, *n.number, n.limit)
			}
		}
		if strings.Trim(rule.Access, "rwm") != "" {
			return bad(base+at("devices", i, "access"), "access %q is not made of r, w and m", rule.Access)
		}
	}
	return nil
}

// validateMemory checks limits in bytes. -1 means unlimited and 0, by the custom of engines, unset.
func validateMemory(m *specs.LinuxMemory, base string) error {
	if m == nil {
		return nil
	}
	for _, f := range []struct {
		field string
		bytes *int64
	}{
		{"limit", m.Limit}, {"reservation", m.Reservation}, {"swap", m.Swap},
		{"kernel", m.Kernel}, {"kernelTCP", m.KernelTCP}, //nolint:staticcheck // deprecated, and still written
	} {
		if f.bytes != nil && *f.bytes < -1 {
			return bad(base+at(f.field), "%s %d is not allowed, it is a number of bytes, or -1 for unlimited", f.field, *f.bytes)
		}
	}
	if m.Swap != nil && *m.Swap > 0 {
		switch {
		case m.Limit == nil || *m.Limit <= 0:
			return bad(base+"/swap", "swap %d limits memory and swap together, which needs a memory limit", *m.Swap)
		case *m.Swap < *m.Limit:
			return bad(base+"/swap", "swap %d limits memory and swap together, so it cannot be less than the memory limit %d",
				*m.Swap, *m.Limit)
		}
	}
	if m.Swappiness != nil && *m.Swappiness > 100 {
		return bad(base+"/swappiness", "swappiness %d is out of range, allowed are 0 to 100", *m.Swappiness)
	}
	return nil
}

// validateCPU checks times in microseconds against the limits of the kernel (kernel/sched/core.c,
// tg_set_cfs_bandwidth). 0 is, by the custom of engines, unset; a negative quota is no limit.
func validateCPU(c *specs.LinuxCPU, base string) error {
	if c == nil {
		return nil
	}
	if c.Period != nil && *c.Period != 0 && (*c.Period < 1000 || *c.Period > 1000000) {
		return bad(base+"/period", "period %d is out of range, allowed are 1000 to 1000000 microseconds", *c.Period)
	}
	if c.Quota != nil && *c.Quota > 0 && *c.Quota < 1000 {
		return bad(base+"/quota", "quota %d is too small, at least 1000 microseconds are needed", *c.Quota)
	}
	if c.Burst != nil && c.Quota != nil && *c.Quota > 0 && *c.Burst > uint64(*c.Quota) {
		return bad(base+"/burst", "burst %d is above the quota %d", *c.Burst, *c.Quota)
	}
	if c.RealtimeRuntime != nil && c.RealtimePeriod != nil && *c.RealtimePeriod != 0 &&
		*c.RealtimeRuntime > 0 && uint64(*c.RealtimeRuntime) > *c.RealtimePeriod {
		return bad(base+"/realtimeRuntime", "realtimeRuntime %d is above realtimePeriod %d", *c.RealtimeRuntime, *c.RealtimePeriod)
	}
	if c.Idle != nil && *c.Idle != 0 && *c.Idle != 1 {
		return bad(base+"/idle", "idle %d is not allowed, it is 0 or 1", *c.Idle)
	}
	if why := badList(c.Cpus); why != "" {
		return bad(base+"/cpus", "CPU list %q: %s", c.Cpus, why)
	}
	if why := badList(c.Mems); why != "" {
		return bad(base+"/mems", "memory node list %q: %s", c.Mems, why)
	}
	return nil
}

// validateBlockIO checks weights and device numbers.
func validateBlockIO(b *specs.LinuxBlockIO, base string) error {
	if b == nil {
		return nil
	}
	weight := func(w *uint16, origin func() string) error {
		if w != nil && *w != 0 && (*w < 10 || *w > 1000) {
			return bad(origin(), "weight %d is out of range, allowed are 10 to 1000", *w)
		}
		return nil
	}
	device := func(d specs.LinuxBlockIODevice, list string, i int) error {
		if d.Major < 0 || d.Major > maxMajor || d.Minor < 0 || d.Minor > maxMinor {
			return bad(base+at("blockIO", list, i), "device %d:%d is out of range, allowed are 0:0 to %d:%d",
				d.Major, d.Minor, maxMajor, maxMinor)
		}
		return nil
	}
	if err := weight(b.Weight, fixed(base+"/blockIO/weight")); err != nil {
		return err
	}
	if err := weight(b.LeafWeight, fixed(base+"/blockIO/leafWeight")); err != nil {
		return err
	}
	for i, d := range b.WeightDevice {
		here := func(field string) func() string {
			return func() string { return base + at("blockIO", "weightDevice", i, field) }
		}
		if err := device(d.LinuxBlockIODevice, "weightDevice", i); err != nil {
			return err
		}
		if d.Weight == nil && d.LeafWeight == nil {
			return bad(base+at("blockIO", "weightDevice", i), "device %d:%d has neither weight nor leafWeight", d.Major, d.Minor)
		}
		if err := weight(d.Weight, here("weight")); err != nil {
			return err
		}
		if err := weight(d.LeafWeight, here("leafWeight")); err != nil {
			return err
		}
	}
	for _, throttle := range []struct {
		list    string
		devices []specs.LinuxThrottleDevice
	}{
		{"throttleReadBpsDevice", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice},
	} {
		for i, d := range throttle.devices {
			if err := device(d.LinuxBlockIODevice, throttle.list, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// isPageSize reports whether s is of the form of the hugetlb files: a number, one of K, M, G, and B.
func isPageSize(s string) bool {
	number, ok := strings.CutSuffix(s, "B")
	if !ok || number == "" || !strings.ContainsRune("KMG", rune(number[len(number)-1])) {
		return false
	}
	number = number[:len(number)-1]
	return number != "" && number[0] != '0' && strings.Trim(number, "0123456789") == ""
}

package cgroup

import (
	"math"
	"strconv"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/opencontainers/runtime-spec/specs-go"
)

const resOrigin = "/linux/resources"

// setting is one write to one control file. All of linux.resources is first turned into a list of
// settings, without touching the machine, and then applied in order.
type setting struct {
	controller string
	file       string
	value      string
	// origin is the field of config.json behind it, as a JSON pointer.
	origin string
	// alt and altValue are used where file does not exist (BFQ's weights beside the generic ones).
	alt, altValue string
	// optional: a missing file is no error.
	optional bool
	// keepQuota: value is a period alone; the quota in force must be written in front of it,
	// because cpu.max of v2 takes both in one line.
	keepQuota bool
}

// settings translates linux.resources, without its devices, for a cgroup version. Fields that the
// version has no counterpart for are errors; warnings are for those that runtime-spec lets a runtime
// ignore. The fields' meaning is that of runtime-spec 1.3.0, config-linux.md "Control groups".
func settings(r *specs.LinuxResources, v2 bool) (list []setting, warnings []string, err error) {
	if r == nil {
		return nil, nil, nil
	}
	b := &builder{v2: v2}
	if r.Memory != nil {
		b.memory(r.Memory)
	}
	if r.CPU != nil {
		b.cpu(r.CPU)
	}
	if r.Pids != nil && r.Pids.Limit != nil {
		b.pids(*r.Pids.Limit)
	}
	if r.BlockIO != nil {
		b.blockIO(r.BlockIO)
	}
	b.hugepages(r.HugepageLimits)
	if r.Network != nil {
		b.network(r.Network)
	}
	b.rdma(r.Rdma)
	b.unified(r.Unified)
	return b.list, b.warnings, b.err
}

// builder collects settings; the first error wins.
type builder struct {
	v2       bool
	list     []setting
	warnings []string
	err      error
}

func (b *builder) add(s setting) {
	s.origin = resOrigin + s.origin
	b.list = append(b.list, s)
}

func (b *builder) warn(origin, why string) {
	b.warnings = append(b.warnings, resOrigin+origin+" is ignored: "+why)
}

// fail records that the value of a field is wrong.
func (b *builder) fail(origin, object, cause string) {
	if b.err == nil {
		b.err = &fault.Error{Step: "translate a limit", Origin: resOrigin + origin, Object: object, Cause: cause}
	}
}

// noV2 reports, and records as an error, that a field has no counterpart on cgroup v2.
func (b *builder) noV2(origin, what string) bool {
	if b.v2 {
		b.fail(origin, "cgroup v2 has no "+what, "the field exists for cgroup v1 only")
	}
	return b.v2
}

func num[T int64 | uint64 | uint32 | uint16](v T) string {
	if v < 0 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatUint(uint64(v), 10)
}

// limit formats a v2 limit in which -1 stands for "no limit".
func limit(v int64) string {
	if v == -1 {
		return "max"
	}
	return num(v)
}

func (b *builder) cpu(c *specs.LinuxCPU) {
	const at = "/cpu"
	set := func(field, v1, v2, value string) {
		file := v1
		if b.v2 {
			file = v2
		}
		b.add(setting{controller: "cpu", file: file, value: value, origin: at + field})
	}
	if c.Shares != nil && *c.Shares != 0 { // 0: not set, as runc and the engines have it
		const lowest, highest = 2, 262144
		switch s := *c.Shares; {
		case b.v2:
			set("/shares", "", "cpu.weight", num(weightOfShares(s)))
		case s < lowest || s > highest:
			// The kernel would clamp it without a word.
			b.fail(at+"/shares", num(s), "cgroup v1 takes 2 to 262144")
		default:
			set("/shares", "cpu.shares", "", num(s))
		}
	}
	period, quota := c.Period != nil && *c.Period != 0, c.Quota != nil && *c.Quota != 0
	if quota && *c.Quota < -1 {
		b.fail(at+"/quota", num(*c.Quota), "a quota is a number of microseconds, or -1 for none")
	}
	switch {
	case !b.v2:
		if period {
			set("/period", "cpu.cfs_period_us", "", num(*c.Period))
		}
		if quota {
			set("/quota", "cpu.cfs_quota_us", "", num(*c.Quota))
		}
	case quota && period:
		set("/quota", "", "cpu.max", limit(*c.Quota)+" "+num(*c.Period))
	case quota:
		set("/quota", "", "cpu.max", limit(*c.Quota)) // a quota alone leaves the period as it is
	case period:
		b.add(setting{controller: "cpu", file: "cpu.max", value: num(*c.Period), origin: at + "/period", keepQuota: true})
	}
	if c.Burst != nil {
		set("/burst", "cpu.cfs_burst_us", "cpu.max.burst", num(*c.Burst))
	}
	if c.RealtimePeriod != nil && *c.RealtimePeriod != 0 && !b.noV2(at+"/realtimePeriod", "real-time limits") {
		set("/realtimePeriod", "cpu.rt_period_us", "", num(*c.RealtimePeriod))
	}
	if c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0 && !b.noV2(at+"/realtimeRuntime", "real-time limits") {
		set("/realtimeRuntime", "cpu.rt_runtime_us", "", num(*c.RealtimeRuntime))
	}
	if c.Idle != nil {
		if *c.Idle != 0 && *c.Idle != 1 {
			b.fail(at+"/idle", num(*c.Idle), "idle is 0 or 1")
		}
		set("/idle", "cpu.idle", "cpu.idle", num(*c.Idle))
	}
	if c.Cpus != "" {
		b.add(setting{controller: "cpuset", file: "cpuset.cpus", value: c.Cpus, origin: at + "/cpus"})
	}
	if c.Mems != "" {
		b.add(setting{controller: "cpuset", file: "cpuset.mems", value: c.Mems, origin: at + "/mems"})
	}
}

// weightOfShares converts v1 shares (2 to 262144, default 1024) to a v2 weight (1 to 10000, default
// 100) with the curve that runc, crun and Kubernetes agreed on: 10 to the power of
// (l*l + 125*l)/612 - 7/34, l being log2(shares). It meets both defaults, which the older linear
// conversion did not.
func weightOfShares(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

func (b *builder) pids(n int64) {
	value := limit(n)
	switch {
	case n == 0:
		// The container's first process must be able to exist; runc and systemd use 1 as well.
		value = "1"
	case n < 0: // Docker and Podman write other negative numbers for "no limit", too
		value = "max"
	}
	b.add(setting{controller: "pids", file: "pids.max", value: value, origin: "/pids/limit"})
}

// isPageSize reports whether s names a page size as the kernel's file names do: "64KB", "2MB", "1GB".
func isPageSize(s string) bool {
	n, unit := len(s)-2, ""
	if n > 0 {
		s, unit = s[:n], s[n:]
	}
	_, err := strconv.ParseUint(s, 10, 32)
	return err == nil && s[0] != '0' && (unit == "KB" || unit == "MB" || unit == "GB")
}

func (b *builder) hugepages(limits []specs.LinuxHugepageLimit) {
	max := ".limit_in_bytes"
	if b.v2 {
		max = ".max"
	}
	for i, l := range limits {
		at := "/hugepageLimits/" + strconv.Itoa(i)
		if !isPageSize(l.Pagesize) {
			b.fail(at+"/pageSize", l.Pagesize, "a page size is a number and KB, MB or GB, as in 2MB")
			return
		}
		file := "hugetlb." + l.Pagesize
		b.add(setting{controller: "hugetlb", file: file + max, value: num(l.Limit), origin: at + "/limit"})
		// The reservation limit guards mmap instead of the page fault, so that the container gets
		// ENOMEM and not a SIGBUS. Kernels can lack it.
		b.add(setting{controller: "hugetlb", file: file + ".rsvd" + max, value: num(l.Limit), origin: at + "/limit", optional: true})
	}
}

func (b *builder) network(n *specs.LinuxNetwork) {
	if n.ClassID != nil && *n.ClassID != 0 && !b.noV2("/network/classID", "net_cls controller") {
		b.add(setting{controller: "net_cls", file: "net_cls.classid", value: num(*n.ClassID), origin: "/network/classID"})
	}
	for i, p := range n.Priorities {
		at := "/network/priorities/" + strconv.Itoa(i)
		if b.noV2(at, "net_prio controller") {
			return
		}
		b.add(setting{controller: "net_prio", file: "net_prio.ifpriomap", value: p.Name + " " + num(p.Priority), origin: at})
	}
}

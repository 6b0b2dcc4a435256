package cgroup

import (
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/cpulist"
	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
	"github.com/bailey-oci/bailey/libruntime/systemd"
)

// propertyPrefix begins the annotations that set a property of the scope.
const propertyPrefix = "org.systemd.property."

// scope is the unit of systemd's that the container's cgroup belongs to: a scope, or, where the wanted name says so, a
// slice.
type scope struct {
	unit, slice string
	// user: it is of the user's service manager, whose slices lie below base.
	user bool
	base string
	// description is for people.
	description string
	// properties are those that annotations ask for.
	properties []systemd.Property
}

// newScope returns the unit for a container. cgroupsPath is "SLICE:PREFIX:NAME", as with runc: the unit is
// "PREFIX-NAME.scope" in SLICE, or NAME itself if that is the name of a slice.
func newScope(id, cgroupsPath string, annotations map[string]string, user bool) (*scope, error) {
	const step = "choose the container's unit"
	s := &scope{slice: "system.slice", user: user, description: "bailey container " + id}
	if user {
		s.slice = "user.slice"
	}
	prefix, name := "bailey", id
	if cgroupsPath != "" {
		parts := strings.Split(cgroupsPath, ":")
		if len(parts) != 3 || parts[2] == "" {
			return nil, &fault.Error{Step: step, Origin: pathOrigin, Object: cgroupsPath,
				Cause:  `with the systemd cgroup driver a cgroupsPath has the format "slice:prefix:name"`,
				Remedy: "write it so, or use the cgroupfs driver (without --systemd-cgroup)"}
		}
		if parts[0] != "" {
			s.slice = parts[0]
		}
		prefix, name = parts[1], parts[2]
	}
	if _, ok := systemd.SlicePath(s.slice); !ok {
		return nil, &fault.Error{Step: step, Origin: pathOrigin, Object: s.slice, Cause: "it is not the name of a slice (systemd.slice(5))"}
	}
	switch {
	case strings.HasSuffix(name, ".slice"):
		s.unit = name
		if _, ok := systemd.SlicePath(name); !ok || name == "-.slice" {
			return nil, &fault.Error{Step: step, Origin: pathOrigin, Object: name, Cause: "it is not the name of a slice of the container's own"}
		}
	case prefix != "":
		s.unit = systemd.Escape(prefix+"-"+name) + ".scope"
	default:
		s.unit = systemd.Escape(name) + ".scope"
	}
	const longest = 255 // UNIT_NAME_MAX - 1
	if len(s.unit) > longest {
		return nil, &fault.Error{Step: step, Origin: pathOrigin, Object: s.unit, Cause: "a unit's name has at most 255 bytes"}
	}
	var err error
	if s.properties, err = annotated(annotations); err == nil && user {
		err = s.with("find the user's cgroups", func(c *systemd.Conn) (err error) {
			s.base, err = c.ControlGroup()
			return err
		})
	}
	return s, err
}

// path returns the unit's cgroup below the root of the hierarchy.
func (s *scope) path() string {
	if strings.HasSuffix(s.unit, ".slice") {
		p, _ := systemd.SlicePath(s.unit)
		return s.base + p
	}
	p, _ := systemd.SlicePath(s.slice)
	return s.base + p + "/" + s.unit
}

// annotated returns the properties that annotations ask for. One that ends in "Sec" takes seconds, of which
// the unit's property, ending in "USec", has a million.
func annotated(annotations map[string]string) ([]systemd.Property, error) {
	var list []systemd.Property
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ok := strings.CutPrefix(key, propertyPrefix)
		if !ok {
			continue
		}
		bad := func(cause string) error {
			return &fault.Error{Step: "set a property of the container's unit", Origin: "/annotations/" + key, Object: annotations[key], Cause: cause}
		}
		if len(name) < 3 || strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) {
			return nil, bad(strconv.Quote(name) + " is not the name of a property: at least three letters")
		}
		value, err := systemd.ParseValue(annotations[key])
		if err != nil {
			return nil, bad(err.Error())
		}
		if stem, isTime := strings.CutSuffix(name, "Sec"); isTime && !strings.HasSuffix(name, "USec") {
			if value, ok = microseconds(value); !ok {
				return nil, bad("a time is a number of seconds")
			}
			name = stem + "USec"
		}
		list = append(list, systemd.Property{Name: name, Value: value})
	}
	return list, nil
}

func microseconds(v any) (any, bool) {
	var seconds float64
	switch v := v.(type) {
	case int32:
		seconds = float64(v)
	case uint32:
		seconds = float64(v)
	case int64:
		seconds = float64(v)
	case uint64:
		if v == math.MaxUint64 {
			return v, true // for ever
		}
		seconds = float64(v)
	case float64:
		seconds = v
	default:
		return nil, false
	}
	if !(seconds >= 0 && seconds < 1e12) {
		return nil, false
	}
	return uint64(seconds * 1e6), true
}

// start makes the unit with the process in it, without limits.
func (s *scope) start(pid int) error {
	p := []systemd.Property{
		{Name: "Description", Value: s.description},
		{Name: "DefaultDependencies", Value: false},
		{Name: "MemoryAccounting", Value: true}, {Name: "CPUAccounting", Value: true},
		{Name: "IOAccounting", Value: true}, {Name: "TasksAccounting", Value: true},
		// A unit that ended badly is not kept for somebody to look at; its name can be used again.
		{Name: "CollectMode", Value: "inactive-or-failed"},
	}
	if strings.HasSuffix(s.unit, ".slice") {
		p = append(p, systemd.Property{Name: "Wants", Value: []string{s.slice}})
	} else {
		p = append(p, systemd.Property{Name: "Slice", Value: s.slice}, systemd.Property{Name: "Delegate", Value: true},
			systemd.Property{Name: "PIDs", Value: []uint32{uint32(pid)}})
	}
	return s.with("start the container's unit", func(c *systemd.Conn) error {
		return c.StartTransientUnit(s.unit, append(p, s.properties...))
	})
}

// set has systemd know the limits, too: it writes what it knows again whenever its configuration is reloaded.
func (s *scope) set(p []systemd.Property) error {
	if len(p) == 0 {
		return nil
	}
	return s.with("set the limits of the container's unit", func(c *systemd.Conn) error { return c.SetUnitProperties(s.unit, p) })
}

// stop stops the unit.
func (s *scope) stop() error {
	return s.with("stop the container's unit", func(c *systemd.Conn) error { return c.StopUnit(s.unit) })
}

// attach moves a process of the caller's into the unit.
func (s *scope) attach(pid int) error {
	return s.with("move the process into the container's unit", func(c *systemd.Conn) error { return c.AttachProcess(s.unit, pid) })
}

func (s *scope) with(step string, do func(*systemd.Conn) error) error {
	faultpoint.Here()
	c, err := systemd.Connect(s.user)
	if err == nil {
		defer c.Close()
		err = do(c)
	}
	if err != nil {
		return &fault.Error{Step: step, Origin: pathOrigin, Object: s.unit, Err: err}
	}
	return nil
}

// unitProperties returns linux.resources in the words of systemd.resource-control(5), as far as it has any.
func unitProperties(r *specs.LinuxResources) ([]systemd.Property, error) {
	if r == nil {
		return nil, nil
	}
	var list []systemd.Property
	add := func(name string, v any) { list = append(list, systemd.Property{Name: name, Value: v}) }
	bytes := func(name string, v *int64) {
		switch {
		case v == nil || *v == 0:
		case *v < 0:
			add(name, uint64(math.MaxUint64))
		default:
			add(name, uint64(*v))
		}
	}
	if m := r.Memory; m != nil {
		bytes("MemoryMax", m.Limit)
		bytes("MemoryLow", m.Reservation)
		if m.Swap != nil && m.Limit != nil && *m.Swap > 0 && *m.Limit > 0 {
			add("MemorySwapMax", uint64(*m.Swap-*m.Limit))
		} else if m.Swap != nil && *m.Swap < 0 {
			add("MemorySwapMax", uint64(math.MaxUint64))
		}
	}
	if c := r.CPU; c != nil {
		if c.Shares != nil && *c.Shares != 0 {
			add("CPUWeight", weightOfShares(*c.Shares))
		}
		if c.Quota != nil && *c.Quota != 0 {
			add("CPUQuotaPerSecUSec", cpuPerSecond(*c.Quota, c.Period))
		}
		if c.Period != nil && *c.Period != 0 {
			add("CPUQuotaPeriodUSec", *c.Period)
		}
		if c.Idle != nil && *c.Idle == 1 {
			add("CPUWeight", uint64(0)) // CPUWeight=idle
		}
		for _, set := range []struct{ name, list string }{{"AllowedCPUs", c.Cpus}, {"AllowedMemoryNodes", c.Mems}} {
			if set.list == "" {
				continue
			}
			mask, err := bitMask(set.list)
			if err != nil {
				return nil, &fault.Error{Step: "set a limit", Origin: resOrigin + "/cpu", Object: set.list, Err: err}
			}
			add(set.name, mask)
		}
	}
	if r.Pids != nil && r.Pids.Limit != nil {
		n := *r.Pids.Limit
		switch {
		case n < 0:
			add("TasksMax", uint64(math.MaxUint64))
		case n == 0:
			add("TasksMax", uint64(1))
		default:
			add("TasksMax", uint64(n))
		}
	}
	for _, file := range slices.Sorted(maps.Keys(r.Unified)) {
		more, err := unifiedProperties(file, strings.TrimSpace(r.Unified[file]))
		if err != nil {
			return nil, &fault.Error{Step: "set a limit", Origin: resOrigin + "/unified/" + file, Object: r.Unified[file], Err: err}
		}
		list = append(list, more...)
	}
	return list, nil
}

// unifiedLimits are the control files of cgroup v2 with one number, or "max", that systemd has properties for.
var unifiedLimits = map[string]string{
	"memory.min": "MemoryMin", "memory.low": "MemoryLow", "memory.high": "MemoryHigh", "memory.max": "MemoryMax",
	"memory.swap.max": "MemorySwapMax", "pids.max": "TasksMax", "cpu.weight": "CPUWeight", "io.weight": "IOWeight",
}

// unifiedProperties returns the properties for a control file, none for one that systemd leaves alone. A value that
// is not understood is the kernel's to refuse.
func unifiedProperties(file, value string) ([]systemd.Property, error) {
	one := func(name string, v any) []systemd.Property { return []systemd.Property{{Name: name, Value: v}} }
	number := func(s string) (uint64, bool) {
		if s == "max" {
			return math.MaxUint64, true
		}
		n, err := strconv.ParseUint(s, 10, 64)
		return n, err == nil
	}
	switch file {
	case "cpuset.cpus", "cpuset.mems":
		mask, err := bitMask(value)
		return one(map[string]string{"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}[file], mask), err
	case "cpu.idle":
		if value == "1" {
			return one("CPUWeight", uint64(0)), nil
		}
	case "cpu.max":
		q, p, both := strings.Cut(value, " ")
		period, ok := number(p)
		if quota, isNumber := number(q); isNumber && both && ok && period > 0 {
			if quota != math.MaxUint64 {
				quota = cpuPerSecond(int64(quota), &period)
			}
			return append(one("CPUQuotaPerSecUSec", quota), systemd.Property{Name: "CPUQuotaPeriodUSec", Value: period}), nil
		}
	case "io.weight":
		value = strings.TrimPrefix(value, "default ")
		fallthrough
	default:
		if n, ok := number(value); ok && unifiedLimits[file] != "" {
			return one(unifiedLimits[file], n), nil
		}
	}
	return nil, nil
}

// cpuPerSecond returns the microseconds of CPU time in a second, rounded up to a hundredth of a CPU, which is what
// systemd can tell the kernel.
func cpuPerSecond(quota int64, period *uint64) uint64 {
	if quota < 0 {
		return math.MaxUint64
	}
	p := uint64(100000) // the kernel's default
	if period != nil && *period != 0 {
		p = *period
	}
	perSecond := uint64(quota) * 1000000 / p
	return (perSecond + 9999) / 10000 * 10000
}

// bitMask turns a list such as "0-2,7" into bytes of eight numbers each.
func bitMask(list string) ([]byte, error) {
	var mask []byte
	err := cpulist.Each(list, 8192, func(n uint64) {
		if need := int(n/8) + 1; need > len(mask) {
			mask = append(mask, make([]byte, need-len(mask))...)
		}
		mask[n/8] |= 1 << (n % 8)
	})
	return mask, err
}

// scopeOf returns the unit of a container that was made before; unit is on record.
func scopeOf(unit, cgroupPath string, user bool) (*scope, error) {
	if unit != path.Base(cgroupPath) {
		return nil, &fault.Error{Step: "load the container's cgroups", Origin: "state.json /unit", Object: unit,
			Cause: "it is not the unit of the container's cgroup"}
	}
	return &scope{unit: unit, user: user}, nil
}

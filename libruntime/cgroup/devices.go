package cgroup

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/userns"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// access is a set of the accesses r, w and m; the bits are those of BPF_DEVCG_ACC_*.
type access uint8

const (
	mknod access = 1 << iota
	read
	write
	all = mknod | read | write
)

func (a access) String() string {
	s := ""
	for _, x := range []struct {
		bit  access
		name string
	}{{read, "r"}, {write, "w"}, {mknod, "m"}} {
		if a&x.bit != 0 {
			s += x.name
		}
	}
	return s
}

// anyNum stands for every major or minor number.
const anyNum = -1

// device is what a device rule is about: a type ('b' or 'c') and numbers, either of which can be anyNum.
type device struct {
	kind         byte
	major, minor int64
}

func (d device) String() string {
	n := func(v int64) string {
		if v == anyNum {
			return "*"
		}
		return strconv.FormatInt(v, 10)
	}
	return string(d.kind) + " " + n(d.major) + ":" + n(d.minor)
}

// ruleset is a device policy in the form that both kernels' mechanisms can hold: a default, and exact
// exceptions from it. It follows the semantics of the v1 device controller on v2 as well, so that a
// configuration means the same everywhere.
type ruleset struct {
	allowAll   bool
	exceptions map[device]access
	// order has the devices of the exceptions as config.json lists them; v1's devices.list shows it.
	order []device
}

// defaultDevices are allowed in every container, as runtime-spec's "Default Devices" and runc have
// them: null, zero, full, random, urandom, tty, ptmx, the pts slaves, and tun. mknod of any device is
// allowed too, as using it is not.
var defaultDevices = []struct {
	device
	access
}{
	{device{'c', 1, 3}, all}, {device{'c', 1, 5}, all}, {device{'c', 1, 7}, all},
	{device{'c', 1, 8}, all}, {device{'c', 1, 9}, all}, {device{'c', 5, 0}, all},
	{device{'c', 5, 2}, all}, {device{'c', 136, anyNum}, all}, {device{'c', 10, 200}, all},
	{device{'c', anyNum, anyNum}, mknod}, {device{'b', anyNum, anyNum}, mknod},
}

// deviceRules evaluates linux.resources.devices in order. Without any, nothing but the default
// devices is allowed. The default devices are added last, so that no rule takes them away, as
// runtime-spec demands of them.
func deviceRules(r *specs.LinuxResources) (*ruleset, error) {
	rs := &ruleset{exceptions: make(map[device]access, 16)}
	if r != nil {
		for i, rule := range r.Devices {
			if cause := rs.add(rule); cause != "" {
				return nil, &fault.Error{Step: "translate a device rule", Origin: resOrigin + "/devices/" + strconv.Itoa(i), Cause: cause}
			}
		}
	}
	for _, d := range defaultDevices {
		if rs.allowAll {
			rs.drop(d.device, d.access)
		} else {
			rs.except(d.device, d.access)
		}
	}
	return rs, nil
}

// add applies one rule of config.json; the result is "" or what is wrong with it.
func (rs *ruleset) add(r specs.LinuxDeviceCgroup) string {
	var a access
	for _, c := range r.Access {
		switch c {
		case 'r':
			a |= read
		case 'w':
			a |= write
		case 'm':
			a |= mknod
		default:
			return "access is made of r, w and m, not " + strconv.Quote(r.Access)
		}
	}
	d := device{major: anyNum, minor: anyNum}
	for _, n := range []struct {
		from *int64
		to   *int64
	}{{r.Major, &d.major}, {r.Minor, &d.minor}} {
		if n.from != nil {
			if *n.from < -1 || *n.from > 1<<32-1 {
				return "a device number is 0 to 4294967295, or -1 for any"
			}
			*n.to = *n.from
		}
	}
	switch r.Type {
	case "", "a":
		// As on v1: a rule for all types is for all devices and every access, and starts anew.
		// One that says less than that would be widened in silence.
		if d.major != anyNum || d.minor != anyNum || r.Access != "" && a != all {
			return "a rule for all device types must not be limited to numbers or to some access: give a type"
		}
		rs.allowAll = r.Allow
		clear(rs.exceptions)
		rs.order = rs.order[:0]
		return ""
	case "b", "c", "u":
		d.kind = r.Type[0]
		if d.kind == 'u' {
			d.kind = 'c' // an unbuffered character device is a character device
		}
	default:
		return "unknown device type " + strconv.Quote(r.Type)
	}
	if a == 0 {
		return "the rule has no access"
	}
	if r.Allow != rs.allowAll {
		rs.except(d, a)
		return ""
	}
	if w, hit := rs.wider(d, a); hit {
		return "it would take a part out of the earlier rule for " + w.String() + ", which the kernel's device controller cannot do"
	}
	rs.drop(d, a)
	return ""
}

// wider returns an exception with a wildcard that overlaps with d without being equal to it.
func (rs *ruleset) wider(d device, a access) (device, bool) {
	for _, w := range []device{{d.kind, anyNum, d.minor}, {d.kind, d.major, anyNum}, {d.kind, anyNum, anyNum}} {
		if w != d && rs.exceptions[w]&a != 0 {
			return w, true
		}
	}
	return device{}, false
}

// except adds accesses to an exception.
func (rs *ruleset) except(d device, a access) {
	if rs.exceptions[d] == 0 {
		rs.order = append(rs.order, d)
	}
	rs.exceptions[d] |= a
}

// drop takes accesses out of an exception.
func (rs *ruleset) drop(d device, a access) {
	had := rs.exceptions[d]
	switch left := had &^ a; {
	case had == 0:
	case left == 0:
		delete(rs.exceptions, d)
		rs.order = slices.DeleteFunc(rs.order, func(o device) bool { return o == d })
	default:
		rs.exceptions[d] = left
	}
}

// sorted returns the devices of the exceptions in a stable order.
func (rs *ruleset) sorted() []device {
	ds := slices.Clone(rs.order)
	slices.SortFunc(ds, func(a, b device) int { return strings.Compare(a.String(), b.String()) })
	return ds
}

// deniesAll reports whether rules say nothing but that all devices are denied.
func deniesAll(rules []specs.LinuxDeviceCgroup) bool {
	return !slices.ContainsFunc(rules, func(r specs.LinuxDeviceCgroup) bool {
		return r.Allow || r.Type != "" && r.Type != "a" || r.Major != nil || r.Minor != nil
	})
}

// setDevices puts the device rules in force.
func (m *Manager) setDevices(rs *ruleset) error {
	if m.opts.Rootless {
		// Neither devices.deny nor BPF_PROG_LOAD is for ordinary users, who cannot make device
		// nodes either.
		if m.res == nil || len(m.res.Devices) == 0 {
			return nil // nobody has asked
		}
		if os.Geteuid() == 0 && userns.Other() && deniesAll(m.res.Devices) {
			// Root of a user namespace: the engine that has made it knows, and asks with every container (rootless Buildah).
			return nil
		}
		m.warn("device rules are not applied: they need privileges over the machine's cgroups")
		return nil
	}
	h := m.hierarchy("devices")
	if h == nil {
		return m.noController(setting{controller: "devices", origin: resOrigin + "/devices"})
	}
	d, err := openDir(h.path)
	if err != nil {
		return &fault.Error{Step: "set the device rules", Origin: resOrigin + "/devices", Object: h.path, Syscall: "openat2", Err: err}
	}
	defer d.close()
	if h.v2() {
		return setDevicesV2(d, rs)
	}
	return setDevicesV1(d, rs)
}

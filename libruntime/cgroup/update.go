package cgroup

import (
	"strconv"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Update changes the limits of an existing container to those given; fields that are not set keep
// their value. Device rules are changed only where r.Devices is not empty.
func (m *Manager) Update(r *specs.LinuxResources) error {
	if r == nil {
		return nil
	}
	if m.opts.Disabled {
		m.warn(disabledWarning)
		return nil
	}
	if m.scope != nil {
		r = m.withPeriod(r)
	}
	list, warnings, err := settings(r, m.mode == V2)
	if err != nil {
		return err
	}
	m.warnings = append(m.warnings, warnings...)
	if err := m.checkUsage(r.Memory); err != nil {
		return err
	}
	if len(r.Devices) > 0 {
		rs, err := deviceRules(r)
		if err != nil {
			return err
		}
		if err := m.setDevices(rs); err != nil {
			return err
		}
	}
	if m.scope != nil {
		p, err := unitProperties(r)
		if err == nil {
			err = m.scope.set(p)
		}
		if err != nil {
			return err
		}
	}
	return m.apply(list)
}

// withPeriod returns r with the period in force beside a quota that comes without one: systemd, which knows a share of
// the time, would take it for one of its own default's.
func (m *Manager) withPeriod(r *specs.LinuxResources) *specs.LinuxResources {
	if r.CPU == nil || r.CPU.Quota == nil || *r.CPU.Quota == 0 || r.CPU.Period != nil {
		return r
	}
	text, err := readFile(m.Path("") + "/cpu.max")
	if err != nil {
		return r // without the controller the quota itself fails, and says so
	}
	_, text, _ = strings.Cut(strings.TrimSpace(text), " ")
	period, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return r
	}
	changed, cpu := *r, *r.CPU
	cpu.Period = &period
	changed.CPU = &cpu
	return &changed
}

// checkUsage refuses, where memory.checkBeforeUpdate asks for it, a limit below what is in use. On v1
// the kernel refuses such a limit itself; on v2 it would kill processes until the limit is met.
func (m *Manager) checkUsage(mem *specs.LinuxMemory) error {
	if mem == nil || mem.CheckBeforeUpdate == nil || !*mem.CheckBeforeUpdate || m.mode != V2 || len(m.hs) == 0 {
		return nil
	}
	d, err := openDir(m.hs[0].path)
	if err != nil {
		return &fault.Error{Step: "open the container's cgroup", Object: m.hs[0].path, Syscall: "openat2", Err: err}
	}
	defer d.close()
	text, err := d.value("memory.current")
	if err == unix.ENOENT {
		return nil // without a memory controller the limit itself fails, and says so
	}
	var usage uint64
	if err == nil {
		usage, err = strconv.ParseUint(text, 10, 64)
	}
	if err != nil {
		return &fault.Error{Step: "read the memory in use", Origin: resOrigin + "/memory/checkBeforeUpdate", Object: "memory.current", Err: err}
	}
	for _, l := range []struct {
		field string
		value *int64
	}{{"limit", mem.Limit}, {"swap", mem.Swap}} {
		if l.value != nil && *l.value > 0 && uint64(*l.value) <= usage {
			return &fault.Error{Step: "set a limit", Origin: resOrigin + "/memory/" + l.field, Object: num(*l.value),
				Cause: "more memory is in use (" + num(usage) + " bytes), and checkBeforeUpdate asks to refuse the limit then"}
		}
	}
	return nil
}

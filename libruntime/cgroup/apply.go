package cgroup

import (
	"slices"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// apply writes the settings in order. The kernel checks some pairs against each other (limit and
// limit with swap, period and quota), and which of the two must come first depends on the values in
// force; so one that is refused for its value is tried again after the rest of its controller's.
func (m *Manager) apply(list []setting) error {
	dirs := make(map[*hierarchy]dir, len(m.hs))
	defer func() {
		for _, d := range dirs {
			d.close()
		}
	}()
	for len(list) > 0 {
		controller := list[0].controller
		n := 1
		for n < len(list) && list[n].controller == controller {
			n++
		}
		group := list[:n]
		list = list[n:]

		h := m.hierarchy(controller)
		if h == nil {
			return m.noController(group[0])
		}
		d, ok := dirs[h]
		if !ok {
			var err error
			if d, err = openDir(h.path); err != nil {
				return &fault.Error{Step: "open the container's cgroup", Origin: pathOrigin, Object: h.path, Syscall: "openat2", Err: err}
			}
			dirs[h] = d
		}
		var again []setting
		for _, s := range group {
			call, err := put(d, s)
			if err == unix.EINVAL || err == unix.EBUSY {
				again = append(again, s)
			} else if err != nil {
				return m.explain(d, s, call, err)
			}
		}
		for _, s := range again {
			if call, err := put(d, s); err != nil {
				return m.explain(d, s, call, err)
			}
		}
	}
	return nil
}

// put writes one setting.
func put(d dir, s setting) (call string, err error) {
	value := s.value
	if s.keepQuota {
		now, err := d.value(s.file)
		if err != nil {
			return "read", err
		}
		quota, _, _ := strings.Cut(now, " ")
		value = quota + " " + value
	}
	call, err = d.write(s.file, value)
	if err == unix.ENOENT && s.alt != "" {
		call, err = d.write(s.alt, s.altValue)
	}
	if err == unix.ENOENT && s.optional {
		return "", nil
	}
	return call, err
}

// explain makes the error for a setting that could not be written.
func (m *Manager) explain(d dir, s setting, call string, err error) error {
	f := &fault.Error{Step: "set a limit", Origin: s.origin, Object: s.file + " = " + strings.TrimSpace(s.value), Syscall: call, Err: err}
	switch {
	case err == unix.ENOENT:
		if m.mode == V2 {
			if have := controllersOf(d); !slices.Contains(have, s.controller) && s.controller != "cgroup" {
				return m.noController(s)
			}
		}
		f.Cause = "this kernel has no " + s.file + " (a configuration option or a newer kernel is needed)"
	case err == unix.EBUSY && s.controller == "memory":
		f.Cause = "more memory is in use than the new limit allows, and it cannot be reclaimed"
	case err == unix.EINVAL || err == unix.ERANGE || err == unix.EBUSY:
		f.Cause = "the kernel refuses the value here, by itself or against the limits of the parent cgroup"
	case denied(err) && m.opts.Rootless:
		f.Cause = notOwned(d.path+"/"+s.file, d.path)
		f.Remedy = delegate(s.controller)
	}
	return f
}

// noController makes the error for a limit whose controller is not there, and says which ones are.
func (m *Manager) noController(s setting) error {
	f := &fault.Error{Step: "set a limit", Origin: s.origin}
	var have []string
	for _, h := range m.hs {
		have = append(have, h.controllers...)
	}
	if m.mode == V2 {
		for _, h := range m.hs {
			if d, err := openDir(h.path); err == nil {
				have = controllersOf(d)
				d.close()
			}
		}
	}
	slices.Sort(have)
	f.Object = "the " + s.controller + " controller is not available in this " + m.layout() +
		" (controllers: " + strings.Join(have, ", ") + ")"
	f.Cause, f.Remedy = m.whereMissing(s.controller)
	return f
}

// layout names the layout for error messages.
func (m *Manager) layout() string {
	if m.mode == V2 {
		return "cgroup v2 hierarchy"
	}
	return "cgroup v1 layout"
}

// controllersOf returns the controllers that are available in a v2 cgroup.
func controllersOf(d dir) []string {
	text, err := d.value("cgroup.controllers")
	if err != nil {
		return nil
	}
	return strings.Fields(text)
}

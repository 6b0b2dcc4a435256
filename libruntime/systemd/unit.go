package systemd

import (
	"errors"
	"strings"
)

// StartTransientUnit starts a unit that is made of its properties alone, and waits until it is active. One of that name
// that has failed is forgotten first.
func (c *Conn) StartTransientUnit(name string, properties []Property) error {
	start := func() error {
		m, err := c.manager("StartTransientUnit", "ssa(sv)a(sa(sv))", func(w *writer) {
			w.string(name)
			w.string("fail") // rather than to replace a job of somebody else's
			w.properties(properties)
			w.array(8, func() {})
		})
		if err != nil {
			return err
		}
		return c.job(m)
	}
	err := start()
	if e := (*Error)(nil); errors.As(err, &e) && e.Name == "org.freedesktop.systemd1.UnitExists" && c.ResetFailedUnit(name) == nil {
		err = start()
	}
	return err
}

// StopUnit stops a unit and waits for that. One that is not loaded is no error.
func (c *Conn) StopUnit(name string) error {
	m, err := c.manager("StopUnit", "ss", func(w *writer) {
		w.string(name)
		w.string("replace")
	})
	if e := (*Error)(nil); errors.As(err, &e) && e.Name == "org.freedesktop.systemd1.NoSuchUnit" {
		return nil
	}
	if err != nil {
		return err
	}
	return c.job(m)
}

// ResetFailedUnit makes systemd forget that a unit has failed.
func (c *Conn) ResetFailedUnit(name string) error {
	_, err := c.manager("ResetFailedUnit", "s", func(w *writer) { w.string(name) })
	return err
}

// SetUnitProperties changes properties of a unit until the machine is shut down.
func (c *Conn) SetUnitProperties(name string, properties []Property) error {
	_, err := c.manager("SetUnitProperties", "sba(sv)", func(w *writer) {
		w.string(name)
		w.value(true) // at run time only
		w.properties(properties)
	})
	return err
}

// AttachProcess moves a process into the cgroup of a unit, which takes rights over the cgroup that it comes from: systemd
// has them where an ordinary user has not.
func (c *Conn) AttachProcess(unit string, pid int) error {
	_, err := c.manager("AttachProcessesToUnit", "ssau", func(w *writer) {
		w.string(unit)
		w.string("")
		w.value([]uint32{uint32(pid)})
	})
	return err
}

// ControlGroup returns the path of the service manager's own cgroup, which its slices lie below: "" for the machine's.
func (c *Conn) ControlGroup() (string, error) {
	m, err := c.call(service, root, "org.freedesktop.DBus.Properties", "Get", "ss", func(w *writer) {
		w.string(manager)
		w.string("ControlGroup")
	})
	if err != nil {
		return "", err
	}
	if m.types != "v" || m.body.signature() != "s" {
		return "", errMalformed
	}
	path := m.body.string()
	return path, m.body.err
}

// Escape returns s with what a unit's name cannot have replaced as systemd-escape(1) does: "+" by `\x2b`.
func Escape(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		ch := s[i]
		switch {
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9', strings.IndexByte(`:-_.\@`, ch) >= 0:
			b.WriteByte(ch)
		default:
			b.WriteString(`\x` + string(hex[ch>>4]) + string(hex[ch&15]))
		}
	}
	return b.String()
}

// SlicePath returns the path of a slice in the tree of cgroups, without the root's: "/a.slice/a-b.slice" for
// "a-b.slice", "" for "-.slice" (systemd.slice(5)). ok is false for what is not the name of a slice.
func SlicePath(name string) (path string, ok bool) {
	stem, isSlice := strings.CutSuffix(name, ".slice")
	if !isSlice || stem == "" || strings.ContainsAny(stem, "/\x00\n") {
		return "", false
	}
	if stem == "-" {
		return "", true
	}
	if strings.HasPrefix(stem, "-") || strings.HasSuffix(stem, "-") || strings.Contains(stem, "--") {
		return "", false
	}
	for i := 0; i <= len(stem); i++ {
		if i == len(stem) || stem[i] == '-' {
			path += "/" + stem[:i] + ".slice"
		}
	}
	return path, true
}

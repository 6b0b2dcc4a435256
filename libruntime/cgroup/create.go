package cgroup

import (
	"errors"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
	"github.com/bailey-oci/bailey/libruntime/systemd"
)

// Create makes the container's cgroups, their missing parents included, and sets every limit of
// linux.resources and the device rules, so that no process is ever in them without limits.
//
// An existing cgroup is used only when it is empty and not frozen ([ErrNotEmpty], [ErrFrozen]). When
// Create fails it removes what it made and nothing else, and the manager lets go of the cgroups: what is in
// them is somebody else's, not to be killed by a cleanup.
func (m *Manager) Create() (err error) {
	if m.opts.Disabled {
		return nil
	}
	list, warnings, err := settings(m.res, m.mode == V2)
	if err != nil {
		return err
	}
	m.warnings = append(m.warnings, warnings...)
	rules, err := deviceRules(m.res)
	if err != nil {
		return err
	}

	var made []string
	if m.scope != nil {
		if list, err = m.startScope(list); err != nil {
			m.hs = nil
			return err
		}
	}
	defer func() {
		if err == nil {
			return
		}
		if m.scope != nil {
			_ = m.scope.stop() // what has failed is what the caller has to know
		}
		for i := len(made) - 1; i >= 0; i-- {
			// A parent that someone else uses by now is not empty and stays.
			_ = unix.Rmdir(made[i])
		}
		m.hs = nil
	}()
	keep := m.hs[:0:0]
	for i := range m.hs {
		h := &m.hs[i]
		dirs, err := m.makeOne(h)
		made = append(made, dirs...)
		if denied(err) && m.opts.Rootless && !m.explicit {
			continue // done without; a limit that needs it will say so
		}
		if err != nil {
			if f := (*fault.Error)(nil); errors.As(err, &f) {
				return err
			}
			f := &fault.Error{Step: "make the container's cgroup", Origin: pathOrigin, Object: h.path, Syscall: "mkdir", Err: err}
			if denied(err) {
				f.Cause, f.Remedy = m.whyDenied(h.path)
			}
			return f
		}
		keep = append(keep, *h)
	}
	m.hs = keep
	if err := m.apply(list); err != nil {
		return err
	}
	if err := m.setDevices(rules); err != nil {
		return err
	}
	return m.delegate()
}

// startScope starts the scope with its properties and returns the settings that are left to be made in its cgroups.
//
// The limit on processes, in either form, is put off until the container's init is there: until then the process that
// the scope was made with counts as well.
func (m *Manager) startScope(list []setting) (now []setting, err error) {
	all, err := unitProperties(m.res)
	if err != nil {
		return nil, err
	}
	// Beforehand: in the scope there is a process of ours from the beginning.
	if err := m.CheckUnused(); err != nil {
		return nil, err
	}
	if err := m.scope.start(m.opts.Process); err != nil {
		return nil, err
	}
	var properties []systemd.Property
	for _, p := range all {
		if p.Name == "TasksMax" {
			m.late.properties = append(m.late.properties, p)
		} else {
			properties = append(properties, p)
		}
	}
	for _, s := range list {
		if s.controller == "pids" {
			m.late.settings = append(m.late.settings, s)
		} else {
			now = append(now, s)
		}
	}
	if err := m.scope.set(properties); err != nil {
		_ = m.scope.stop() // what has failed is what the caller has to know
		return nil, err
	}
	return now, nil
}

// Cloned sets what had to wait for the container's first process.
func (m *Manager) Cloned() error {
	late := m.late
	m.late.settings, m.late.properties = nil, nil
	if m.scope != nil && len(late.properties) > 0 {
		if err := m.scope.set(late.properties); err != nil {
			return err
		}
	}
	return m.apply(late.settings)
}

// makeOne makes the cgroup in one hierarchy and prepares it so that a process can join. The returned
// directories are those that did not exist before, parents first.
func (m *Manager) makeOne(h *hierarchy) (made []string, err error) {
	made, err = makeDirs(h.mount, h.path)
	if err != nil {
		return made, err
	}
	controlled := h.v2() && m.mode == V2
	isNew, cpuset := len(made) > 0, h.has("cpuset")
	if isNew && !controlled && !cpuset {
		return made, nil
	}
	d, err := openDir(h.path)
	if err != nil {
		return made, err
	}
	defer d.close()
	if !isNew && m.scope == nil {
		if err := checkUnused(d, h); err != nil {
			return nil, err
		}
	}
	if controlled {
		err = m.prepareV2(h, d)
	} else if cpuset {
		err = fillCpuset(h.mount, d, isNew)
	}
	return made, err
}

// makeDirs makes the directory p below mount together with missing parents.
func makeDirs(mount, p string) (made []string, err error) {
	// Another container that failed or ended can remove a parent in between: begin anew then.
	for range 10 {
		faultpoint.Here()
		if err = unix.Mkdir(p, 0o755); err != unix.ENOENT {
			break
		}
		var missing []string
		for up := path.Dir(p); len(up) > len(mount); up = path.Dir(up) {
			missing = append(missing, up)
			faultpoint.Here()
			if err = unix.Mkdir(up, 0o755); err != unix.ENOENT {
				break
			}
		}
		if err == nil {
			made = append(made, missing[len(missing)-1])
		}
		for i := len(missing) - 2; i >= 0; i-- {
			if unix.Mkdir(missing[i], 0o755) == nil {
				made = append(made, missing[i])
			}
		}
	}
	switch err {
	case nil:
		return append(made, p), nil
	case unix.EEXIST:
		return made, nil
	}
	return made, err
}

// CheckUnused fails if Create would refuse an existing cgroup. It is to be asked before the cgroups are put on
// record as the container's: whoever finds the record of a create that was killed kills what is in them.
func (m *Manager) CheckUnused() error {
	for i := range m.hs {
		h := &m.hs[i]
		d, err := openDir(h.path)
		if err != nil {
			continue // not there, or Create will say why it cannot be used
		}
		err = checkUnused(d, h)
		d.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// checkUnused refuses an existing cgroup that has processes in it or is frozen: a new container would
// share its limits with, be killed with, or hang for, something else.
func checkUnused(d dir, h *hierarchy) error {
	refuse := func(why error, remedy string) error {
		return &fault.Error{Step: "use the existing cgroup", Origin: pathOrigin, Object: h.path, Err: why, Remedy: remedy}
	}
	pids, err := pidsBelow(d)
	if err != nil && !gone(err) {
		return &fault.Error{Step: "use the existing cgroup", Origin: pathOrigin, Object: h.path, Syscall: "read", Err: err}
	}
	if len(pids) > 0 {
		return refuse(ErrNotEmpty, "give every container a cgroupsPath of its own")
	}
	frozen := false
	if h.v2() {
		state, _ := d.value("cgroup.freeze")
		frozen = state == "1"
	} else if h.has("freezer") {
		state, _ := d.value("freezer.state")
		frozen = state != "" && state != "THAWED"
	}
	if frozen {
		return refuse(ErrFrozen, "thaw the cgroup (or the one above it), or remove it")
	}
	return nil
}

// fillCpuset gives a v1 cpuset without CPUs and memory nodes, as every new one is, those of its parent:
// no process can join it before. Parents in the same state are filled first.
func fillCpuset(mount string, d dir, isNew bool) error {
	if len(d.path) <= len(mount) {
		return nil // the root has all
	}
	names := []string{"cpuset.cpus", "cpuset.mems"}
	if !isNew {
		names = slices.DeleteFunc(names, func(name string) bool {
			value, err := d.value(name)
			return err != nil || value != ""
		})
	}
	if len(names) == 0 {
		return nil
	}
	up, err := openDir(path.Dir(d.path))
	if err != nil {
		return err
	}
	defer up.close()
	for _, name := range names {
		value, err := up.value(name)
		if err == nil && value == "" {
			if err = fillCpuset(mount, up, false); err == nil {
				value, err = up.value(name)
			}
		}
		if err == nil {
			_, err = d.write(name, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

package cgroup

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/systemd"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ErrNotEmpty and ErrFrozen are what [Manager.Create] wraps when the wanted cgroup exists and is in use.
var (
	ErrNotEmpty = errors.New("the cgroup is not empty")
	ErrFrozen   = errors.New("the cgroup is frozen")
)

const disabledWarning = resOrigin + " is not applied: cgroups are disabled"

// Options are the caller's choices about cgroups.
type Options struct {
	// Rootless: the caller has no privileges over the machine's cgroups. Where no cgroupsPath is
	// given, a cgroup that cannot be made is done without (a limit that needs it is still an
	// error, and Kill and Pids know no processes then), and device rules, which need privileges,
	// are left out.
	Rootless bool
	// Disabled: no cgroup is made or joined and every method of the manager does nothing. Limits
	// in config.json become warnings.
	Disabled bool
	// Systemd has systemd make the cgroup, as that of a scope. It works on cgroup v2 only.
	Systemd bool
	// Process is a process of the caller's that the scope is made with, because systemd makes none without. It has to
	// live until Create has returned.
	Process int
	// Unit is, for Load, what Manager.Unit gave.
	Unit string
	// Owner is the host's user ID that the cgroup is handed to (delegation), or nil. It has an
	// effect on cgroup v2 only, as runtime-spec asks.
	Owner *uint32
}

// Manager manages one container's cgroups. It is not safe for concurrent use.
type Manager struct {
	mode     Mode
	hs       []hierarchy
	opts     Options
	explicit bool // cgroupsPath was given
	// inner is what place was given.
	inner string
	res   *specs.LinuxResources
	// scope is systemd's unit, nil with the cgroupfs driver.
	scope *scope
	// late is what waits for Cloned.
	late struct {
		settings   []setting
		properties []systemd.Property
	}
	warnings []string
}

// New computes where the container's cgroups will be; it makes nothing. An absolute linux.cgroupsPath
// counts from the mount point of each hierarchy. A relative one, or the container's ID where there is
// none, counts from the caller's own cgroup on v1 and from its parent on v2, as with runc. With systemd it names slice
// and scope: "slice:prefix:name".
func New(id string, s *specs.Spec, opts Options) (*Manager, error) {
	m := &Manager{mode: Detect(), opts: opts}
	var cgroupsPath string
	if s != nil && s.Linux != nil {
		cgroupsPath, m.res = s.Linux.CgroupsPath, s.Linux.Resources
	}
	switch {
	case opts.Disabled:
		if m.res != nil {
			m.warn(disabledWarning)
		}
		return m, nil
	case opts.Systemd && m.mode != V2:
		return nil, &fault.Error{Step: "choose the cgroup driver", Origin: "--systemd-cgroup", Object: "the machine has the layout " + m.mode.String(),
			Cause:  "the systemd driver works on cgroup v2 alone, the only one that systemd itself still knows",
			Remedy: "use the cgroupfs driver, or boot with systemd.unified_cgroup_hierarchy=1"}
	case opts.Systemd:
		var annotations map[string]string
		if s != nil {
			annotations = s.Annotations
		}
		var err error
		if m.scope, err = newScope(id, cgroupsPath, annotations, opts.Rootless); err != nil {
			return nil, err
		}
		m.explicit = true
		m.hs = []hierarchy{{mount: mountRoot, path: mountRoot + m.scope.path()}}
		return m, nil
	}
	inner, err := innerPath(id, cgroupsPath)
	if err != nil {
		return nil, err
	}
	m.explicit, m.inner = cgroupsPath != "", inner
	m.hs, err = place(m.mode, inner)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Load returns the manager of an existing container from the paths that [Manager.Paths] gave; opts
// must be those of New. The paths are checked: each must be an absolute, clean path below a cgroup
// mount, though the cgroup itself may be gone.
func Load(paths map[string]string, opts Options) (*Manager, error) {
	m := &Manager{mode: Detect(), opts: opts, explicit: true}
	byPath := make(map[string]*hierarchy, len(paths))
	for c, p := range paths {
		if !path.IsAbs(p) || path.Clean(p) != p || p == "/" {
			return nil, &fault.Error{Step: "load the container's cgroups", Origin: "state.json /cgroupPaths", Object: p,
				Cause: "the path is not an absolute, clean path"}
		}
		h := byPath[p]
		if h == nil {
			h = &hierarchy{path: p}
			byPath[p] = h
		}
		if c != "" {
			h.controllers = append(h.controllers, c)
		}
	}
	for _, h := range byPath {
		slices.Sort(h.controllers)
		if h.mount = mountOf(h.path); h.mount == "" {
			return nil, &fault.Error{Step: "load the container's cgroups", Origin: "state.json /cgroupPaths", Object: h.path,
				Cause: "the path is not below a cgroup mount"}
		}
		m.hs = append(m.hs, *h)
	}
	if opts.Unit != "" {
		var err error
		if m.scope, err = scopeOf(opts.Unit, m.Path(""), opts.Rootless); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(m.hs, func(a, b hierarchy) int { return strings.Compare(a.path, b.path) })
	return m, nil
}

// Mode returns the layout that the manager works with.
func (m *Manager) Mode() Mode { return m.mode }

// Paths returns the absolute path of the container's cgroup for every v1 controller, and under the
// key "" for cgroup v2. The map is the caller's. It is complete after New, before anything is made,
// so that it can be on record first; Create can shorten it for a rootless manager.
func (m *Manager) Paths() map[string]string {
	paths := make(map[string]string)
	for _, h := range m.hs {
		if h.v2() {
			paths[""] = h.path
		}
		for _, c := range h.controllers {
			paths[c] = h.path
		}
	}
	return paths
}

// Unit returns the name of systemd's unit, "" with the cgroupfs driver. It is to be on record like Paths.
func (m *Manager) Unit() string {
	if m.scope == nil {
		return ""
	}
	return m.scope.unit
}

// Path returns the cgroup's path for a v1 controller, or on v2 (any controller) the one path; "" if
// the manager has none.
func (m *Manager) Path(controller string) string {
	if h := m.hierarchy(controller); h != nil {
		return h.path
	}
	return ""
}

// hierarchy returns the hierarchy with the controller, or nil. In mode V2 there is only one.
func (m *Manager) hierarchy(controller string) *hierarchy {
	for i := range m.hs {
		h := &m.hs[i]
		if m.mode == V2 || h.has(controller) || controller == "" && h.v2() {
			return h
		}
	}
	return nil
}

// Exists reports whether any of the container's cgroups exists.
func (m *Manager) Exists() bool {
	return slices.ContainsFunc(m.hs, func(h hierarchy) bool {
		return unix.Access(h.path, unix.F_OK) == nil
	})
}

// Warnings returns what was asked for and not done without being an error, in words.
func (m *Manager) Warnings() []string { return m.warnings }

func (m *Manager) warn(s string) { m.warnings = append(m.warnings, s) }

package cgroup

import (
	"path"
	"slices"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// prepareV2 enables, in every cgroup above, the controllers that the hierarchy has. What cannot be
// enabled is no error here: the limit that needs it will name it.
func (m *Manager) prepareV2(h *hierarchy, d dir) error {
	root, err := openDir(h.mount)
	if err != nil {
		return err
	}
	all := controllersOf(root)
	root.close()
	if len(controllersOf(d)) < len(all) {
		var ups []string
		for up := path.Dir(h.path); len(up) >= len(h.mount); up = path.Dir(up) {
			ups = append(ups, up)
		}
		slices.Reverse(ups)
		for _, up := range ups {
			enable(up, all)
		}
	}
	// Below a threaded cgroup, or one that has both processes and controllers, a new cgroup is
	// "domain invalid": nothing can join it. Threaded controllers can be used there all the same.
	if kind, err := d.value("cgroup.type"); err != nil || kind != "domain invalid" {
		return nil //nolint:nilerr // the root cgroup and old kernels have no such file, and no such state
	}
	if f := needsDomain(m); f != "" {
		return &fault.Error{Step: "set a limit", Origin: f, Object: h.path,
			Cause:  "the parent cgroup is threaded, or has processes of its own, so only the cpu, cpuset, perf_event and pids controllers can be used below it",
			Remedy: "use a cgroupsPath below a cgroup without processes"}
	}
	if _, err := d.write("cgroup.type", "threaded"); err != nil {
		return &fault.Error{Step: "make the cgroup threaded", Origin: pathOrigin, Object: h.path, Syscall: "write", Err: err}
	}
	return nil
}

// enable writes the controllers to a cgroup's subtree_control, together if possible, else one by one.
func enable(p string, controllers []string) {
	d, err := openDir(p)
	if err != nil {
		return
	}
	defer d.close()
	const file = "cgroup.subtree_control"
	now, err := d.value(file)
	if err != nil {
		return
	}
	have := strings.Fields(now)
	var missing []string
	for _, c := range controllers {
		if !slices.Contains(have, c) {
			missing = append(missing, "+"+c)
		}
	}
	if len(missing) == 0 {
		return
	}
	if _, err := d.write(file, strings.Join(missing, " ")); err == nil {
		return
	}
	for _, c := range missing {
		_, _ = d.write(file, c)
	}
}

// needsDomain returns the field of the first limit whose controller cannot be used in a threaded
// cgroup, or "".
func needsDomain(m *Manager) string {
	list, _, _ := settings(m.res, true)
	for _, s := range list {
		switch s.controller {
		case "cpu", "cpuset", "pids", "perf_event", "cgroup":
		default:
			return s.origin
		}
	}
	return ""
}

// delegate hands the v2 cgroup to Options.Owner: the directory and the files that the kernel lists as
// harmless for a delegate to write. The group stays, as runtime-spec wants it.
func (m *Manager) delegate() error {
	if m.opts.Owner == nil || m.mode != V2 || len(m.hs) == 0 {
		return nil
	}
	p, uid := m.hs[0].path, int(*m.opts.Owner)
	fail := func(object string, err error) error {
		return &fault.Error{Step: "hand the cgroup to the container's user", Origin: "/linux/uidMappings", Object: object, Syscall: "fchownat", Err: err}
	}
	d, err := openDir(p)
	if err != nil {
		return fail(p, err)
	}
	defer d.close()
	if err := unix.Fchownat(d.fd, "", uid, -1, unix.AT_EMPTY_PATH); err != nil {
		return fail(p, err)
	}
	text, err := readFile("/sys/kernel/cgroup/delegate")
	if err != nil {
		// runtime-spec's list for kernels without the file.
		text = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n"
	}
	for _, name := range strings.Fields(text) {
		err := unix.Fchownat(d.fd, name, uid, -1, unix.AT_SYMLINK_NOFOLLOW)
		// The list also has files of controllers that are not enabled here.
		if err != nil && err != unix.ENOENT {
			return fail(p+"/"+name, err)
		}
	}
	return nil
}

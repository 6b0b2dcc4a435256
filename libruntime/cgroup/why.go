package cgroup

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What is looked for after a failure: where a controller gets lost, and to whom a cgroup belongs.

// whereMissing says why the container's cgroup has not a controller.
func (m *Manager) whereMissing(controller string) (cause, remedy string) {
	leaveOut := "leave the limit out"
	if m.mode != V2 {
		if here := m.lost(controller); here != "" {
			return "the cgroup " + here + " could not be made: " + notOwned(here, here), leaveOut + ", or as root make a cgroup that belongs to the user, and name it in linux.cgroupsPath"
		}
		return "no cgroup v1 hierarchy with the controller is mounted below " + mountRoot, leaveOut + ", or mount the hierarchy (mount -t cgroup -o " + controller + ")"
	}
	hs := m.hs
	if len(hs) == 0 && m.inner != "" { // it could not be made
		hs, _ = place(V2, m.inner)
	}
	if len(hs) == 0 {
		return "", ""
	}
	steps := stepsTo(hs[0].path)
	if len(steps) == 0 {
		return "", ""
	}
	cause, remedy = explainChain(steps, controller, inV1(controller), m.opts.Rootless)
	if cause == "" && steps[len(steps)-1].path != hs[0].path {
		return m.whyDenied(hs[0].path)
	}
	return cause, remedy
}

// lost returns where the container's cgroup in the v1 hierarchy of a controller would be, if Create has done without it.
func (m *Manager) lost(controller string) string {
	if !m.opts.Rootless || m.inner == "" {
		return ""
	}
	all, err := place(m.mode, m.inner)
	if err != nil {
		return ""
	}
	for i := range all {
		if all[i].has(controller) {
			return all[i].path
		}
	}
	return ""
}

// step is a cgroup on the way from the root to the container's.
type step struct {
	path               string
	available, enabled []string // cgroup.controllers, cgroup.subtree_control
	owner              uint32
	processes          bool
}

// stepsTo returns those that exist, from the root on.
func stepsTo(p string) []step {
	var steps []step
	for up := p; len(up) >= len(mountRoot); up = path.Dir(up) {
		d, err := openDir(up)
		if err != nil {
			continue // not made yet
		}
		s := step{path: up}
		available, _ := d.value("cgroup.controllers")
		enabled, _ := d.value("cgroup.subtree_control")
		processes, _ := d.value("cgroup.procs")
		s.available, s.enabled, s.processes = strings.Fields(available), strings.Fields(enabled), processes != ""
		var st unix.Stat_t
		if unix.Fstatat(d.fd, "cgroup.subtree_control", &st, 0) == nil {
			s.owner = st.Uid
		}
		d.close()
		steps = append(steps, s)
	}
	slices.Reverse(steps)
	return steps
}

// explainChain says where on the way a controller gets lost.
func explainChain(steps []step, controller string, v1, rootless bool) (cause, remedy string) {
	root := &steps[0]
	if !slices.Contains(root.available, controller) {
		cause = fmt.Sprintf("the root cgroup %s has not the %s controller (its cgroup.controllers: %s)", root.path, controller, words(root.available))
		if v1 {
			return cause + "; a cgroup v1 hierarchy has it, and a controller is in one hierarchy only (/proc/cgroups)",
				"unmount the v1 hierarchy, or boot with systemd.unified_cgroup_hierarchy=1; or leave the limit out"
		}
		return cause + "; the kernel is built or booted without it, or bailey is in a container that was not given it", "leave the limit out, or look at the kernel's command line (cgroup_disable, cgroup_enable)"
	}
	for i := range steps {
		s := &steps[i]
		if slices.Contains(s.enabled, controller) {
			continue
		}
		cause = fmt.Sprintf("the %s controller is not enabled below %s (its cgroup.subtree_control: %s)", controller, s.path, words(s.enabled))
		enable := "echo +" + controller + " > " + s.path + "/cgroup.subtree_control"
		switch {
		case rootless:
			return cause + ", a file that belongs to user " + strconv.FormatUint(uint64(s.owner), 10), delegate(controller)
		case s.processes && i > 0:
			return cause + ", and cannot be, because there are processes in that cgroup itself", "use a cgroupsPath below a cgroup without processes, or move them into one below it"
		}
		return cause, "as root: " + enable
	}
	return "", ""
}

func words(list []string) string {
	if len(list) == 0 {
		return "empty"
	}
	return strings.Join(list, " ")
}

// delegate is how an ordinary user gets a controller.
func delegate(controller string) string {
	usual := "cpu cpuset io memory pids"
	if !slices.Contains(strings.Fields(usual), controller) {
		usual += " " + controller
	}
	return "have it delegated: as root, in a file /etc/systemd/system/user@.service.d/delegate.conf the lines \"[Service]\" and \"Delegate=" + usual +
		"\", then systemctl daemon-reload, and log in again; then run bailey with --systemd-cgroup; or leave the limit out"
}

// whyDenied says to whom the cgroup belongs in which the container's cannot be made.
func (m *Manager) whyDenied(p string) (cause, remedy string) {
	up := path.Dir(p)
	for len(up) > len(mountRoot) && unix.Access(up, unix.F_OK) != nil {
		up = path.Dir(up)
	}
	if cause = notOwned(up, up); cause == "" {
		return "", ""
	}
	return cause, "use --systemd-cgroup as the user of a systemd session, name a cgroup that was delegated to the user in linux.cgroupsPath, or leave that out"
}

// notOwned says to whom a cgroup's file, or the cgroup, belongs; "" where that cannot be found out.
func notOwned(file, cgroup string) string {
	var st unix.Stat_t
	for at := file; unix.Stat(at, &st) != nil; at = path.Dir(at) {
		if len(at) <= len(mountRoot) {
			return ""
		}
		cgroup = path.Dir(at)
	}
	var fs unix.Statfs_t
	if unix.Statfs(cgroup, &fs) == nil && fs.Flags&unix.ST_RDONLY != 0 {
		return cgroup + " is mounted read-only, as in a container that was not given its cgroup to write to"
	}
	return fmt.Sprintf("%s belongs to user %d (mode %04o) and was not delegated to user %d, who runs bailey", cgroup, st.Uid, st.Mode&0o7777, os.Geteuid())
}

// inV1 reports whether a v1 hierarchy has the controller: /proc/cgroups gives it another hierarchy than 0.
func inV1(controller string) bool {
	text, err := readFile("/proc/cgroups")
	if err != nil {
		return false
	}
	return v1Hierarchy(text, controller)
}

func v1Hierarchy(text, controller string) bool {
	if controller == "io" {
		controller = "blkio"
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == controller {
			return f[1] != "0"
		}
	}
	return false
}

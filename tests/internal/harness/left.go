package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// CheckNothingLeft fails the test if anything of the Env's containers is left after a while.
func (e *Env) CheckNothingLeft() {
	e.T.Helper()
	var left []string
	if !poll(func() bool { left = e.Left(); return len(left) == 0 }) {
		e.T.Errorf("left behind:\n  %s", strings.Join(left, "\n  "))
	}
}

// Left returns what there is of the Env's containers at the moment: state directories, cgroups, mounts,
// processes and namespaces.
func (e *Env) Left() []string {
	var left []string
	entries, err := os.ReadDir(e.Root)
	if err != nil && !os.IsNotExist(err) {
		left = append(left, err.Error())
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "@") {
			continue // no container's: a cache
		}
		left = append(left, "state: "+filepath.Join(e.Root, entry.Name()))
	}
	for _, dir := range e.cgroups() {
		left = append(left, "cgroup: "+dir)
	}
	mounts, err := e.ns.mounts()
	if err != nil {
		left = append(left, err.Error())
	}
	for mount, n := range mounts {
		if n > e.mounts[mount] {
			left = append(left, "mount: "+mount)
		}
	}
	for mount, n := range e.mounts {
		if n > mounts[mount] {
			left = append(left, "the host's mount is gone: "+mount)
		}
	}
	for _, p := range e.ownProcesses() {
		left = append(left, "process: "+p.String())
	}
	return append(left, e.leftNamespaces()...)
}

// cgroups returns the directories of the Env's cgroups in all hierarchies, deepest first.
func (e *Env) cgroups() []string {
	var dirs []string
	for _, pattern := range []string{cgroupRoot, cgroupRoot + "/*", cgroupRoot + "/" + slice} {
		tops, _ := filepath.Glob(pattern + "/" + e.ID + "*")
		for _, top := range tops {
			filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
		}
	}
	slices.SortFunc(dirs, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(dirs)
}

type processInfo struct {
	pid     int
	why     string
	command string
	state   string
	wchan   string
}

func (p processInfo) String() string {
	return fmt.Sprintf("%d %s (%s; by its %s; in %s)", p.pid, p.command, p.state, p.why, p.wchan)
}

// ownProcesses returns the live processes that belong to the Env: those in its cgroups, with its mark in their
// environment or in a session of one of its commands.
func (e *Env) ownProcesses() []processInfo {
	var own []processInfo
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, pid := range pids() {
		stat := Stat(pid)
		if stat == nil || stat.State == "Z" || stat.State == "X" {
			continue
		}
		var why string
		dir := "/proc/" + strconv.Itoa(pid)
		if e.sessions[stat.Session] {
			why = "session"
		} else if b, _ := os.ReadFile(dir + "/environ"); strings.Contains(string(b), idVariable+"="+e.ID+"\x00") {
			why = "environment"
		} else if b, _ := os.ReadFile(dir + "/cgroup"); strings.Contains(string(b), "/"+e.ID+"-") {
			why = "cgroup"
		} else {
			continue
		}
		command, _ := os.ReadFile(dir + "/cmdline")
		wchan, _ := os.ReadFile(dir + "/wchan")
		own = append(own, processInfo{pid, why, strings.ReplaceAll(string(command), "\x00", " "), stat.State,
			string(wchan)})
	}
	return own
}

// processes describes the Env's processes for a failure's report.
func (e *Env) processes() string {
	var b strings.Builder
	for _, p := range e.ownProcesses() {
		fmt.Fprintln(&b, p)
		stack, _ := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/stack")
		b.Write(stack)
	}
	return b.String()
}

// namespaceKinds are the names in /proc/PID/ns.
var namespaceKinds = []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}

// sawNamespaces remembers the namespaces that a container's process has and we do not. They are kept open, or
// else the next container would get their numbers.
func (e *Env) sawNamespaces(pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, kind := range namespaceKinds {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		if err != nil {
			continue // it has ended already
		}
		link := readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
		// Its mount namespace at the very beginning is the Env's.
		if e.namespaces[link] != nil || link == Namespace(os.Getpid(), kind) ||
			link == readlink(fmt.Sprintf("/proc/self/task/%d/ns/%s", e.ns.tid, kind)) {
			f.Close()
			continue
		}
		e.namespaces[link] = f
	}
}

func (e *Env) leftNamespaces() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var left []string
	for _, pid := range pids() {
		if !Alive(pid) {
			continue // still has a pid namespace until init gets round to it
		}
		for _, kind := range namespaceKinds {
			if link := Namespace(pid, kind); e.namespaces[link] != nil {
				left = append(left, fmt.Sprintf("namespace: %s (of process %d)", link, pid))
			}
		}
	}
	return left
}

// sweep removes what a failed test has left, so that it does not disturb the next one.
func (e *Env) sweep() {
	for _, p := range e.ownProcesses() {
		unix.Kill(p.pid, unix.SIGKILL)
	}
	for _, dir := range e.cgroups() {
		os.WriteFile(dir+"/freezer.state", []byte("THAWED"), 0)
		os.WriteFile(dir+"/cgroup.freeze", []byte("0"), 0)
		poll(func() bool { err := unix.Rmdir(dir); return err == nil || err == unix.ENOENT })
	}
}

// Processes returns the IDs of the live processes that belong to the Env.
func (e *Env) Processes() []int {
	var list []int
	for _, p := range e.ownProcesses() {
		list = append(list, p.pid)
	}
	return list
}

package cgroup

import (
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// JoinFiles returns what a process needs to enter the container's cgroups by itself: the v2 directory
// (O_PATH) for clone3(CLONE_INTO_CGROUP), nil without a v2 hierarchy, and the `tasks` files of every
// v1 hierarchy, opened for writing. The caller closes them.
//
// A single-threaded process should write "0" to each `tasks` file. Only for a task that moves itself
// this way does the kernel do without taking cgroup_threadgroup_rwsem for writing, which costs an RCU
// grace period (milliseconds) whenever no one has done so in the last moments; a process ID, or
// cgroup.procs, pay it.
func (m *Manager) JoinFiles() (v2dir *os.File, v1tasks []*os.File, err error) {
	return m.joinFiles(nil)
}

// JoinFilesSub is JoinFiles for a sub-cgroup that exists, for exec; see [Manager.SubPaths] for sub.
func (m *Manager) JoinFilesSub(sub []string) (v2dir *os.File, v1tasks []*os.File, err error) {
	paths, err := m.SubPaths(sub)
	if err != nil {
		return nil, nil, err
	}
	return m.joinFiles(paths)
}

// Bring moves a process of the caller's into the container's cgroup where that takes systemd: an ordinary user may not move
// a process there from the cgroup of the login. What it forks is there, too.
func (m *Manager) Bring(pid int) error {
	if m.scope == nil || !m.scope.user {
		return nil
	}
	return m.scope.attach(pid)
}

// ProcsFiles opens, for writing, the cgroup.procs of the v2 hierarchy and the tasks of the v1 ones, or of the
// sub-cgroups in them (see [Manager.SubPaths]). A process that writes "0" there enters; it is the opener that must be
// allowed to.
func (m *Manager) ProcsFiles(sub []string) ([]*os.File, error) {
	paths, err := m.SubPaths(sub)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for i, p := range paths {
		name := "/cgroup.procs"
		if !m.hs[i].v2() {
			name = "/tasks"
		}
		f, err := openToJoin(p+name, unix.O_WRONLY)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// joinFiles takes the path of each hierarchy from paths, in the order of m.hs, if it is not nil.
func (m *Manager) joinFiles(paths []string) (v2dir *os.File, v1tasks []*os.File, err error) {
	for i := range m.hs {
		h, p := &m.hs[i], m.hs[i].path
		if paths != nil {
			p = paths[i]
		}
		flags := unix.O_PATH | unix.O_DIRECTORY
		if !h.v2() {
			p, flags = p+"/tasks", unix.O_WRONLY
		}
		f, err := openToJoin(p, flags)
		switch {
		case err != nil:
			if v2dir != nil {
				v2dir.Close()
			}
			for _, f := range v1tasks {
				f.Close()
			}
			return nil, nil, err
		case h.v2():
			v2dir = f
		default:
			v1tasks = append(v1tasks, f)
		}
	}
	return v2dir, v1tasks, nil
}

func openToJoin(p string, flags int) (*os.File, error) {
	fd, err := openOn(p, flags)
	if err != nil {
		return nil, &fault.Error{Step: "open the container's cgroup", Object: p, Syscall: "openat2", Err: err}
	}
	return os.NewFile(uintptr(fd), p), nil
}

// SubPaths returns, for every hierarchy of the manager, the absolute path of the sub-cgroups that an
// exec names with --cgroup: "PATH" for all hierarchies, or "CONTROLLER:PATH" (several controllers
// separated by commas) for one v1 hierarchy; hierarchies that are not named keep the container's own
// cgroup. A path counts from the container's cgroup and cannot leave it.
func (m *Manager) SubPaths(sub []string) ([]string, error) {
	paths := make([]string, len(m.hs))
	for i := range m.hs {
		paths[i] = m.hs[i].path
	}
	for _, arg := range sub {
		bad := func(cause string) error {
			return &fault.Error{Step: "find the sub-cgroup", Origin: "--cgroup", Object: arg, Cause: cause}
		}
		controllers, p, named := strings.Cut(arg, ":")
		if !named {
			controllers, p = "", arg
		}
		rel := path.Clean(strings.TrimPrefix(p, "/"))
		if rel == ".." || strings.HasPrefix(rel, "../") || strings.ContainsAny(p, "\x00\n") {
			return nil, bad("the path leaves the container's cgroup")
		}
		if named && m.mode == V2 && controllers != "" {
			return nil, bad("cgroup v2 has one hierarchy for all controllers: give the path alone")
		}
		if !named || m.mode == V2 {
			for i := range m.hs {
				// In hybrid mode a path without controllers is about those, not about the v2 tree
				// beside them.
				if m.mode != Hybrid || !m.hs[i].v2() {
					paths[i] = path.Join(m.hs[i].path, rel)
				}
			}
			continue
		}
		for _, c := range strings.Split(controllers, ",") {
			found := false
			for i := range m.hs {
				h := &m.hs[i]
				if h.has(c) || h.has("name="+c) || c == "" && h.v2() {
					paths[i], found = path.Join(h.path, rel), true
				}
			}
			if !found {
				return nil, bad("the container is in no hierarchy with the controller " + strconv.Quote(c))
			}
		}
	}
	return paths, nil
}

// Add moves a whole process into the container's cgroups, from outside. It is slower than a process
// that moves itself; see [Manager.JoinFiles].
func (m *Manager) Add(pid int) error { return m.AddSub(pid, nil) }

// AddSub moves a process into sub-cgroups; see [Manager.SubPaths] for sub.
func (m *Manager) AddSub(pid int, sub []string) error {
	paths, err := m.SubPaths(sub)
	if err != nil {
		return err
	}
	if pid <= 0 {
		return &fault.Error{Step: "move the process into its cgroup", Object: strconv.Itoa(pid), Err: unix.EINVAL}
	}
	for _, p := range paths {
		d, err := openDir(p)
		call := "openat2"
		if err == nil {
			// EINVAL: the task is so new that the scheduler does not know it yet.
			for range 5 {
				if call, err = d.write("cgroup.procs", strconv.Itoa(pid)); err != unix.EINVAL {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			d.close()
		}
		if err != nil {
			return &fault.Error{Step: "move the process into its cgroup", Object: p, Syscall: call, Err: err}
		}
	}
	return nil
}

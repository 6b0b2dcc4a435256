package cgroup

import (
	"slices"
	"strconv"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// main returns the hierarchy that stands for the container where one is enough: the one of the device
// controller on v1 (every container is in it), else the first.
func (m *Manager) main() *hierarchy {
	for _, c := range []string{"devices", "freezer", "pids", "memory"} {
		if h := m.hierarchy(c); h != nil {
			return h
		}
	}
	if len(m.hs) > 0 {
		return &m.hs[0]
	}
	return nil
}

// Pids returns the processes in the container's cgroup itself, as seen from the caller's PID
// namespace. A cgroup that does not exist has none.
func (m *Manager) Pids() ([]int, error) { return m.pids(pidsOf) }

// AllPids returns the processes in the container's cgroup and in all its sub-cgroups.
func (m *Manager) AllPids() ([]int, error) { return m.pids(pidsBelow) }

func (m *Manager) pids(list func(dir) ([]int, error)) ([]int, error) {
	h := m.main()
	if h == nil {
		return nil, nil
	}
	var pids []int
	d, err := openDir(h.path)
	if err == nil {
		pids, err = list(d)
		d.close()
	}
	if err != nil && !gone(err) {
		return nil, &fault.Error{Step: "list the container's processes", Object: h.path, Syscall: "read", Err: err}
	}
	return pids, nil
}

// pidsOf reads the processes of one cgroup. Those of other PID namespaces show as 0 and are left out.
func pidsOf(d dir) ([]int, error) {
	text, err := d.read("cgroup.procs")
	if err == unix.EOPNOTSUPP { // a threaded cgroup lists its threads only
		text, err = d.read("cgroup.threads")
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for line := range strings.Lines(text) {
		pid, err := strconv.ParseUint(strings.TrimSuffix(line, "\n"), 10, 31)
		if err != nil {
			return nil, err
		}
		if pid > 0 {
			pids = append(pids, int(pid))
		}
	}
	return pids, nil
}

// pidsBelow reads the processes of a cgroup and all below it. A sub-cgroup that vanishes meanwhile
// has no processes.
func pidsBelow(d dir) ([]int, error) {
	var all []int
	err := walk(d, func(d dir) error {
		pids, err := pidsOf(d)
		all = append(all, pids...)
		return err
	})
	slices.Sort(all) // a v1 hierarchy can list a process twice while it moves
	return slices.Compact(all), err
}

// walk calls visit for d and every cgroup below it, parents first. Vanished sub-cgroups are skipped.
func walk(d dir, visit func(dir) error) error {
	if err := visit(d); err != nil {
		return err
	}
	names, err := subdirs(d)
	if err != nil {
		return err
	}
	for _, name := range names {
		sub, err := openSub(d, name)
		if err == nil {
			err = walk(sub, visit)
			sub.close()
		}
		if err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

func openSub(d dir, name string) (dir, error) {
	fd, err := d.open(name, unix.O_PATH|unix.O_DIRECTORY)
	return dir{fd, d.path + "/" + name}, err
}

// subdirs returns the names of the sub-cgroups. The link count says without a listing that there are
// none: a cgroup directory has about fifty files.
func subdirs(d dir) ([]string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return nil, err
	}
	if st.Nlink <= 2 {
		return nil, nil
	}
	fd, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	// Control files have a dot in their name, but so can directories: ask.
	return slices.DeleteFunc(names, func(name string) bool {
		var st unix.Stat_t
		return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR
	}), nil
}

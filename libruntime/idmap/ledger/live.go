package ledger

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Live is the ID maps of a process that is not in the caller's user namespace.
type Live struct {
	// PID is one of the processes with these maps.
	PID int
	// Command is the first 15 bytes of its program's name.
	Command string

	users, groups []span
}

// live reads the ID maps of all processes; those of processes with the same maps come once. IDs that are mapped to
// themselves are left out: nobody gets through them what was not there before.
func (l *Ledger) live() ([]Live, error) {
	f := func(err error) error {
		return fault.Wrap(err, "read the ID maps of all processes in "+l.o.Paths.Proc, "")
	}
	proc, err := unix.Open(l.o.Paths.Proc, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, f(err)
	}
	defer unix.Close(proc)
	entries, err := os.ReadDir(l.o.Paths.Proc)
	if err != nil {
		return nil, f(err)
	}
	buf := make([]byte, 16<<10) // 340 lines of 33 bytes, the most that the kernel has
	own := readAt(proc, "self/uid_map", buf)
	own = append(own[:len(own):len(own)], readAt(proc, "self/gid_map", buf)...)
	own = bytes.Clone(own)
	ownNamespace := linkAt(proc, "self")
	seen := make(map[string]bool)
	var list []Live
	for _, e := range entries {
		pid, err := strconv.ParseUint(e.Name(), 10, 31)
		if err != nil {
			continue
		}
		// Nearly all of them are in the caller's, which this says for an eighth of the price.
		if ownNamespace != "" && linkAt(proc, e.Name()) == ownNamespace {
			continue
		}
		// A process that ends meanwhile has nothing to read.
		users := string(readAt(proc, e.Name()+"/uid_map", buf))
		groups := string(readAt(proc, e.Name()+"/gid_map", buf))
		text := users + groups
		if seen[text] || text == string(own) {
			continue
		}
		// One that nobody has waited for has its maps still, and no use for them.
		if _, ended, err := stat(l.o.Paths.Proc, int(pid)); err == nil && ended {
			continue
		}
		seen[text] = true
		p := Live{PID: int(pid), users: outside(users), groups: outside(groups)}
		if len(p.users)+len(p.groups) == 0 {
			continue
		}
		p.Command = strings.TrimSpace(string(readAt(proc, e.Name()+"/comm", buf)))
		list = append(list, p)
	}
	return list, nil
}

// linkAt returns the name of a process's user namespace, "" if it cannot be known.
func linkAt(proc int, process string) string {
	var buf [64]byte
	n, err := unix.Readlinkat(proc, process+"/ns/user", buf[:])
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// readAt returns the content of a file, as much of it as buf holds; nothing if it cannot be read.
func readAt(dir int, name string, buf []byte) []byte {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	n := 0
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || m == 0 {
			break
		}
		n += m
	}
	return bytes.Clone(buf[:n])
}

// outside returns the IDs that a map gives to others: what stands in the second column, seen from this namespace.
func outside(text string) []span {
	var out []span
	for line := range strings.Lines(text) {
		inside, first, size, ok := mapping(line)
		if ok && inside != first && first+size <= 1<<32-1 { // the last ID stands for those that do not exist here
			out = append(out, span{first, first + size})
		}
	}
	return merged(out)
}

// likely are the users that containers run their processes as: root, what distributions call www-data, apache,
// postgres, redis, nginx, mysql, the first ordinary user and those of common images, nobody.
var likely = [...]uint64{0, 1, 33, 48, 65, 70, 82, 99, 100, 101, 472, 999, 1000, 1001, 10001, 65532, 65533, 65534}

// inhabited returns a likely user of the range that processes run as.
func (l *Ledger) inhabited(users span) (user uint64, found bool) {
	for _, id := range likely {
		if id += users.first; id < users.end && l.hasProcess(id) {
			return id, true
		}
	}
	return 0, false
}

// hasProcess reports whether a process has the user as its real one. getpriority looks the user up in a table before it
// looks at any process, so that this costs nothing where there is none. Processes of other PID namespaces
// than the caller's and those below do not count.
func hasProcess(user uint64) bool {
	_, err := unix.Getpriority(unix.PRIO_USER, int(user))
	return err == nil
}

// Process is a process for as long as the machine runs: its ID may be that of another one later.
type Process struct {
	PID int
	// Start is when it was started, in clock ticks after boot (/proc/PID/stat, field 22).
	Start uint64
}

// Self returns the calling process.
func Self() (Process, error) {
	pid := os.Getpid()
	start, _, err := stat("/proc", pid)
	if err != nil {
		return Process{}, fault.Wrap(err, "read when bailey was started", "")
	}
	return Process{PID: pid, Start: start}, nil
}

// alive reports whether the process has not ended. A zombie has; where it cannot be said, it lives.
func (p Process) alive(proc string) bool {
	if p.PID == 0 {
		return false
	}
	start, ended, err := stat(proc, p.PID)
	if err == unix.ENOENT || err == unix.ESRCH {
		return false
	}
	return err != nil || start == p.Start && !ended
}

// stat returns the start time of a process, and whether it has ended and waits for its parent. One whose first thread has
// ended before others looks alike but for their number.
func stat(proc string, pid int) (start uint64, ended bool, err error) {
	fd, err := unix.Open(proc+"/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false, err
	}
	defer unix.Close(fd)
	var buf [1024]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return 0, false, err
	}
	// The name before the last parenthesis may be anything.
	f := bytes.Fields(buf[bytes.LastIndexByte(buf[:n], ')')+1 : n])
	if len(f) < 20 || len(f[0]) != 1 {
		return 0, false, unix.EINVAL
	}
	start, err = strconv.ParseUint(string(f[19]), 10, 64)
	state, threads := f[0][0], string(f[17])
	return start, state == 'X' || state == 'Z' && (threads == "0" || threads == "1"), err
}

// pidNamespace returns the inode number of the caller's PID namespace, 0 if it cannot be known.
func pidNamespace(proc string) uint32 {
	var st unix.Stat_t
	if unix.Stat(proc+"/self/ns/pid", &st) != nil {
		return 0
	}
	return uint32(st.Ino)
}

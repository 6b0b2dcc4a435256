package explain

import (
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/userns"
	"github.com/bailey-oci/bailey/libruntime/plan"
)

// Why is an explanation. The zero value is none.
type Why struct{ Cause, Remedy string }

// Machine is where facts come from.
type Machine struct {
	// Files is the tree of files that the process sees.
	Files fs.FS
	// Nested says that the process is not in the initial user namespace.
	Nested bool
	// Try makes namespaces of these kinds, and unmakes them at once. nil: it cannot be tried.
	Try func(plan.Namespace) error
}

// Here returns the machine that this process runs on. try may be nil.
func Here(try func(plan.Namespace) error) *Machine {
	return &Machine{Files: os.DirFS("/"), Nested: userns.Other(), Try: try}
}

// read returns the text of a file without white space around it, "" if there is none.
func (m *Machine) read(path string) string {
	b, err := fs.ReadFile(m.Files, strings.TrimPrefix(path, "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.Trim(string(b), "\x00"))
}

func (m *Machine) exists(path string) bool {
	_, err := fs.Stat(m.Files, strings.TrimPrefix(path, "/"))
	return err == nil
}

// sysctl returns a kernel parameter that is a number.
func (m *Machine) sysctl(name string) (value uint64, known bool) {
	value, err := strconv.ParseUint(m.read("/proc/sys/"+strings.ReplaceAll(name, ".", "/")), 10, 64)
	return value, err == nil
}

// status returns a line of /proc/self/status.
func (m *Machine) status(name string) string {
	for line := range strings.Lines(m.read("/proc/self/status")) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// lacks reports whether the process certainly does not have a capability in force.
func (m *Machine) lacks(capability int) bool {
	set, err := strconv.ParseUint(m.status("CapEff"), 16, 64)
	return err == nil && set>>capability&1 == 0
}

// filtered reports whether a system-call filter is in force.
func (m *Machine) filtered() bool { return m.status("Seccomp") == "2" }

// Lacks says that a capability is missing, if it is. doing says what it is needed for. A capability of a user namespace does
// not count for what concerns the whole machine (global).
func (m *Machine) Lacks(capability int, name string, global bool, doing string) Why {
	switch {
	case m.lacks(capability):
		return Why{doing + " takes " + name + ", which bailey does not have (CapEff in /proc/self/status)",
			"run bailey as root with " + name + "; where an outer container or a service manager has dropped it, grant it there"}
	case global && m.Nested:
		return Why{doing + " takes " + name + " in the initial user namespace, and bailey runs in another one, where its " +
			"capabilities do not count for that", "run bailey outside of that user namespace"}
	}
	return Why{}
}

// isErrno reports whether err is one of these.
func isErrno(err syscall.Errno, list ...syscall.Errno) bool {
	for _, e := range list {
		if err == e {
			return true
		}
	}
	return false
}

func refused(err syscall.Errno) bool { return isErrno(err, unix.EPERM, unix.EACCES) }

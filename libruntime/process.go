package libruntime

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// process names a process for as long as the machine runs: IDs are used again, but not with the same
// start time.
type process struct {
	pid int
	// start is the start time in clock ticks after boot.
	start uint64
}

// observe returns the process that has this ID now.
func observe(pid int) (process, error) {
	start, _, err := stat(pid)
	if err != nil {
		return process{}, &fault.Error{Step: "read the start time of process " + strconv.Itoa(pid), Err: err}
	}
	return process{pid, start}, nil
}

// alive reports whether the process has not ended. One that has, but was not reaped by its parent, does not
// count as alive; one whose first thread alone has ended does.
func (p process) alive() (bool, error) {
	if p.pid == 0 {
		return false, nil
	}
	start, state, err := stat(p.pid)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return false, nil
	case err != nil:
		return false, &fault.Error{Step: "read the status of process " + strconv.Itoa(p.pid), Err: err}
	}
	if start != p.start || state == 'X' {
		return false, nil
	}
	if state != 'Z' {
		return true, nil
	}
	// The state is that of the first thread; the pidfd tells of all.
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return false, nil
	}
	defer unix.Close(fd)
	return !ended(fd, 0), nil
}

// ended waits, at most for the given number of milliseconds (-1: without end), until the process of a pidfd
// has ended, and reports whether it has.
func ended(pidfd, milliseconds int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, milliseconds)
		if err != unix.EINTR {
			return n == 1
		}
	}
}

// open returns a pidfd of the process, or an error that wraps ESRCH if it has ended.
func (p process) open() (int, error) {
	if p.pid <= 0 {
		return -1, unix.ESRCH
	}
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return -1, err
	}
	// With the descriptor held the ID is compared with the process that the descriptor is about: had it
	// been used again before, the start time would be another.
	alive, err := p.alive()
	if err == nil && !alive {
		err = unix.ESRCH
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// signal sends a signal to the process and to no other. An ended process is ESRCH.
func (p process) signal(sig syscall.Signal) error {
	fd, err := p.open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// wait waits until the process has ended, at most for the given time (a number of milliseconds), and
// reports whether it has. It need not be a child.
func (p process) wait(milliseconds int) (bool, error) {
	fd, err := p.open()
	if errors.Is(err, unix.ESRCH) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	return ended(fd, milliseconds), nil
}

// stat reads the start time and the state letter of a process from /proc/PID/stat.
func stat(pid int) (start uint64, state byte, err error) {
	var buf [1024]byte
	data, err := readStart("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	if err != nil {
		return 0, 0, err
	}
	return parseStat(data)
}

// parseStat takes the content of /proc/PID/stat apart. The second field is the name in parentheses, which
// may itself hold blanks and parentheses; none of the numbers after it does.
func parseStat(b []byte) (start uint64, state byte, err error) {
	i := bytes.LastIndexByte(b, ')')
	if i >= 0 {
		// Field 3, the state, is the first here; the start time is field 22.
		f := bytes.Fields(b[i+1:])
		if len(f) > 19 && len(f[0]) == 1 {
			start, err = strconv.ParseUint(string(f[19]), 10, 64)
			if err == nil {
				return start, f[0][0], nil
			}
		}
	}
	return 0, 0, fmt.Errorf("/proc/PID/stat is not understood: %q", b)
}

// parentOf takes the parent's process ID from the content of /proc/PID/stat, of which it is the second field after the name; 0
// if there is none.
func parentOf(stat []byte) int {
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 2 {
		return 0
	}
	pid, err := strconv.ParseUint(string(f[1]), 10, 31)
	if err != nil {
		return 0
	}
	return int(pid)
}

// rootPath returns a path to the root directory of the process. It is only good for opening with O_PATH,
// and not to be walked through: what lies below is the container's.
func (p process) rootPath() string { return "/proc/" + strconv.Itoa(p.pid) + "/root" }

// cgroupNamespacePath returns the path of the process's cgroup namespace.
func (p process) cgroupNamespacePath() string { return "/proc/" + strconv.Itoa(p.pid) + "/ns/cgroup" }

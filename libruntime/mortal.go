package libruntime

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The kernel keeps from the first process of a pid namespace every signal that it has not provided for
// (pid_namespaces(7)), so that a program that is not made for that place, and that is most of them, cannot be interrupted.
// RunOptions.Mortal has it end as it would anywhere else.

// fatal are the signals that people and supervisors end programs with.
func fatal(s unix.Signal) bool {
	return s == unix.SIGINT || s == unix.SIGTERM || s == unix.SIGHUP || s == unix.SIGQUIT
}

// provided reports whether a process handles, ignores or blocks a signal. If in doubt, it does.
func provided(pid int, s unix.Signal) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if name != "SigBlk" && name != "SigIgn" && name != "SigCgt" {
			continue
		}
		set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil || set&(1<<(s-1)) != 0 {
			return true
		}
	}
	return false
}

// end ends the process by a signal that it has not provided for, and remembers which. It reports whether it has.
func (r *relay) end(pid int, s unix.Signal) bool {
	if !r.mortal || !fatal(s) || provided(pid, s) {
		return false
	}
	r.endedBy.Store(int32(s))
	_ = unix.Kill(pid, unix.SIGKILL)
	return true
}

// status returns the exit status that a process would have had.
func (r *relay) status(status int) int {
	if s := r.endedBy.Load(); s != 0 && status == 128+int(unix.SIGKILL) {
		return 128 + int(s)
	}
	return status
}

// typed looks for the keys that a terminal makes signals of. The terminal sends these to its foreground processes by itself;
// what is left to do is the case of the namespace's first process being the one.
func (c *creation) typed(t *terminal, keys []byte) {
	conn, err := t.master.SyscallConn()
	if err != nil || !c.relay.mortal {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		mode, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		if err != nil || mode.Lflag&unix.ISIG == 0 {
			return
		}
		group, err := unix.IoctlGetInt(int(fd), unix.TIOCGPGRP)
		if err != nil || group != c.pid {
			return
		}
		for key, s := range map[uint8]unix.Signal{mode.Cc[unix.VINTR]: unix.SIGINT, mode.Cc[unix.VQUIT]: unix.SIGQUIT} {
			if key != 0 && bytes.IndexByte(keys, key) >= 0 && c.relay.end(c.pid, s) {
				return
			}
		}
	})
}

package harness

import (
	"os/exec"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// children are the processes that we have started ourselves and wait for. Others that become our children are
// orphans of containers.
var children = struct {
	sync.Mutex
	pids map[int]bool
}{pids: make(map[int]bool)}

// startChild starts a command that endChild has to be called for when it was waited for.
func startChild(cmd *exec.Cmd) error {
	children.Lock()
	defer children.Unlock()
	err := cmd.Start()
	if err == nil {
		children.pids[cmd.Process.Pid] = true
	}
	return err
}

func endChild(cmd *exec.Cmd) {
	children.Lock()
	defer children.Unlock()
	delete(children.pids, cmd.Process.Pid)
}

// reapOrphans makes us the parent of what a detached container leaves, as an engine's shim is, and reaps it at
// once: a pid namespace does not end before.
func reapOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	go func() {
		for {
			var info unix.Siginfo
			if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
				time.Sleep(10 * time.Millisecond) // ECHILD: none yet
				continue
			}
			if !reapOrphan(endedPID(&info)) {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	return nil
}

// endedPID returns the si_pid of a siginfo_t, which package unix does not name.
func endedPID(info *unix.Siginfo) int {
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), 16)))
}

// reapOrphan reaps a child that has ended, unless it was started by us.
func reapOrphan(pid int) bool {
	children.Lock()
	defer children.Unlock()
	if children.pids[pid] {
		return false
	}
	_, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
	return err == nil
}

package nsexec

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// WithTimerSlack calls start, which forks and executes a program, in a thread that has the timer slack that the process
// began with, since the program inherits it (PR_SET_TIMERSLACK(2const)). Programs that end as soon as bailey does need
// none of this.
func WithTimerSlack(start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if early.timerSlack != 0 {
		// Cannot fail with these arguments.
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(early.timerSlack), 0, 0, 0)
	}
	return start()
}

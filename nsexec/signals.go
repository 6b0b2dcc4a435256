package nsexec

import (
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// HeldSignals returns the signals that are blocked in every thread because the command line is one that
// passes signals on to a payload (run, exec); the caller reads them with signalfd(2). Empty elsewhere.
func HeldSignals() unix.Sigset_t {
	var set unix.Sigset_t
	set.Val[0] = early.heldSignals
	return set
}

// forkable are the signals that programs expect to find unblocked.
var forkable = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE, unix.SIGALRM, unix.SIGTERM,
	unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGWINCH,
}

// WithSignals calls start, which forks and executes a program, in a thread in which the held signals are not
// blocked, and which has the timer slack that the process began with, since the program would inherit that. What
// arrives meanwhile is held again.
func WithSignals(start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if early.timerSlack != 0 {
		// Cannot fail with these arguments.
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(early.timerSlack), 0, 0, 0)
	}
	if early.heldSignals == 0 {
		return start()
	}
	caught := make(chan os.Signal, 64)
	signal.Notify(caught, forkable...)
	var set, before unix.Sigset_t
	for _, s := range forkable {
		set.Val[0] |= 1 << (s.(syscall.Signal) - 1)
	}
	err := unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, &before)
	if err == nil {
		err = start()
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	}
	signal.Stop(caught)
	for {
		select {
		case s := <-caught:
			_ = unix.Kill(os.Getpid(), s.(syscall.Signal))
		default:
			return err
		}
	}
}

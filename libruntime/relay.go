package libruntime

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/signals"
)

// relay does with the signals that are sent to bailey what they are sent for: until the payload has started
// those that ask a program to end have it unmade, afterwards all are passed on to it.
type relay struct {
	caught *signals.Caught // nil: they have their default actions
	// early are signals that came before the payload had started and were not for bailey.
	early []unix.Signal
	// cause says which signal has asked bailey to end.
	cause error
	// mortal: see RunOptions.Mortal. endedBy is the signal that the payload was ended by for it.
	mortal  bool
	endedBy atomic.Int32
}

// receive takes what has been sent before the payload has started.
func (r *relay) receive() {
	for s := r.caught.Next(); s != 0 && r.cause == nil; s = r.caught.Next() {
		switch s {
		case unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT:
			r.cause = fmt.Errorf("interrupted by signal: %v", s)
		default:
			r.early = append(r.early, s)
		}
	}
}

// await waits until a descriptor can be read, or returns an error if a signal asks bailey to end before. What has
// come already goes first: a payload that has started is not unmade.
func (r *relay) await(fd int) error {
	if r.caught == nil {
		return nil // reading waits by itself
	}
	for r.cause == nil {
		ready, err := r.caught.Wait(fd)
		if ready || err != nil {
			return err
		}
		r.receive()
	}
	return r.cause
}

// during calls do, which waits for something else than a descriptor, with a context that is cancelled by a signal that
// asks bailey to end.
func (r *relay) during(do func(context.Context) error) error {
	if r.caught == nil {
		return do(context.Background())
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var over [2]int // the closing of its other end says that do has returned
	if err := unix.Pipe2(over[:], unix.O_CLOEXEC); err != nil {
		return &fault.Error{Step: "wait for signals", Syscall: "pipe2", Err: err}
	}
	defer unix.Close(over[0])
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.await(over[0]); err != nil {
			cancel(err)
		}
	}()
	err := do(ctx)
	unix.Close(over[1])
	<-ended
	return err
}

// wait passes signals on to the process pid, a child, until it ends, and returns its exit status. Every
// other child that ends meanwhile is reaped. term, which may be nil, is the payload's terminal.
func (r *relay) wait(pid int, term *terminal) (int, error) {
	if r.caught == nil {
		status, _, err := reap(pid, 0)
		return status, err
	}
	for _, s := range r.early {
		r.pass(pid, term, s)
	}
	for {
		status, ended, err := reap(pid, unix.WNOHANG)
		if ended || err != nil {
			return r.status(status), err
		}
		if _, err := r.caught.Wait(-1); err != nil {
			return 0, fault.Wrap(err, "wait for the payload", "")
		}
		for s := r.caught.Next(); s != 0; s = r.caught.Next() {
			r.pass(pid, term, s)
		}
	}
}

// pass hands a signal on to a child that has not been reaped.
func (r *relay) pass(pid int, term *terminal, s unix.Signal) {
	switch s {
	case unix.SIGCHLD, unix.SIGPIPE:
		// About bailey's own children and output.
	case unix.SIGWINCH:
		term.resize()
	default:
		// A failure means that it has ended, which is noticed in a moment.
		if !r.end(pid, s) {
			_ = unix.Kill(pid, s)
		}
	}
}

// reap reaps children until pid has ended, and then returns its exit status; with WNOHANG among the options, only
// those that have ended already.
func reap(pid, options int) (status int, ended bool, err error) {
	for {
		var ws unix.WaitStatus
		child, err := unix.Wait4(-1, &ws, options, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, false, &fault.Error{Step: "wait for the payload", Syscall: "wait4", Err: err}
		case child == pid:
			return exitStatus(ws), true, nil
		case child == 0:
			return 0, false, nil
		}
	}
}

// exitStatus returns what a shell reports: the exit status, or 128 and the number of the signal.
func exitStatus(ws unix.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// endChild kills a child and reaps it.
func endChild(pid int) {
	_ = unix.Kill(pid, unix.SIGKILL)
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

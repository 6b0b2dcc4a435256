package libruntime

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Signals are the signals that reach bailey while it has to do with a payload.
type Signals struct {
	// C delivers them.
	C <-chan os.Signal
	// Ready is closed when all of them are caught; no payload is started before. nil: they are.
	Ready <-chan struct{}
}

// relay does with the signals that are sent to bailey what they are sent for: until the payload has started
// those that ask a program to end have it unmade, afterwards all are passed on to it.
type relay struct {
	signals <-chan os.Signal
	ready   <-chan struct{}
	// early are signals that came before the payload had started and were not for bailey.
	early []os.Signal
	done  chan struct{}
	ended chan struct{}
}

// newRelay begins to receive signals, which may be nil. The context is cancelled by one that asks to end
// before settle is called.
func newRelay(ctx context.Context, signals *Signals) (*relay, context.Context) {
	if signals == nil {
		return new(relay), ctx
	}
	r := &relay{signals: signals.C, ready: signals.Ready}
	ctx, cancel := context.WithCancelCause(ctx)
	r.done, r.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(r.ended)
		for {
			select {
			case s := <-r.signals:
				switch s {
				case unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT:
					cancel(fmt.Errorf("interrupted by signal: %v", s))
				default:
					r.early = append(r.early, s)
				}
			case <-r.done:
				return
			}
		}
	}()
	return r, ctx
}

// catching waits until all signals are caught.
func (r *relay) catching() {
	if r.ready != nil {
		<-r.ready
	}
}

// settle ends the time in which signals are for bailey itself. It can be called again.
func (r *relay) settle() {
	if r.done != nil {
		close(r.done)
		<-r.ended
		r.done = nil
	}
}

// wait passes signals on to the process pid, a child, until it ends, and returns its exit status. Every
// other child that ends meanwhile is reaped. term, which may be nil, is the payload's terminal.
func (r *relay) wait(pid int, term *terminal) (int, error) {
	r.settle()
	for _, s := range r.early {
		pass(pid, term, s)
	}
	if r.signals == nil {
		return reap(pid)
	}
	type result struct {
		status int
		err    error
	}
	exited := make(chan result, 1)
	go func() {
		status, err := reap(pid)
		exited <- result{status, err}
	}()
	for {
		select {
		case res := <-exited:
			return res.status, res.err
		case s := <-r.signals:
			pass(pid, term, s)
		}
	}
}

// pass hands a signal on to a child that has not been reaped.
func pass(pid int, term *terminal, s os.Signal) {
	switch s {
	case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE:
		// About bailey's own children, threads and output.
	case unix.SIGWINCH:
		term.resize()
	default:
		// A failure means that it has ended, which is noticed in a moment.
		_ = unix.Kill(pid, s.(syscall.Signal))
	}
}

// reap waits for children until pid has ended and returns its exit status.
func reap(pid int) (int, error) {
	for {
		var ws unix.WaitStatus
		ended, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, &fault.Error{Step: "wait for the payload", Syscall: "wait4", Err: err}
		case ended == pid:
			return exitStatus(ws), nil
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

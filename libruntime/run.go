package libruntime

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/nsexec"
)

// RunOptions are those of Create and what run adds.
type RunOptions struct {
	CreateOptions
	// Detach returns when the payload has been started, and leaves it running.
	Detach bool
	// Keep leaves the record of the container when it has stopped, to be deleted later.
	Keep bool
	// NoSubreaper does not adopt the orphans of a container that shares the caller's pid namespace.
	NoSubreaper bool
}

// Run makes a container, starts it, and waits for the payload, whose exit status it returns: 128 and the
// signal's number if a signal ended it. Signals that reach bailey meanwhile are passed on. Afterwards the
// container is deleted. On an error nothing is left of it.
func (rt *Runtime) Run(opts *RunOptions) (status int, err error) {
	c := &creation{rt: rt, opts: &opts.CreateOptions, attached: true, detach: opts.Detach}
	if !opts.NoSubreaper && !opts.Detach {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return 0, &fault.Error{Step: "become the subreaper of the container", Syscall: "prctl", Err: err}
		}
	}
	relay := newRelay()
	defer relay.stop()
	ctx, settle := relay.untilStarted()
	defer settle()
	init, err := c.make(ctx)
	if err != nil {
		return 0, err
	}
	term, err := c.start(ctx, init)
	if err != nil {
		term.close()
		c.undo(init)
		return 0, err
	}
	defer c.dir.Close()
	if opts.Detach {
		return 0, nil
	}
	settle()
	// Others may work on the container while it runs.
	c.dir.Unlock()
	status, err = relay.wait(init.PID)
	term.close()
	if opts.Keep {
		return status, err
	}
	if lockErr := c.dir.Lock(); lockErr != nil {
		if err == nil && !errors.Is(lockErr, ErrNotExist) { // which somebody else has deleted
			err = lockErr
		}
		return status, err
	}
	var poststop []specs.Hook
	if c.spec.Hooks != nil {
		poststop = c.spec.Hooks.Poststop
	}
	if deleteErr := rt.destroy(&container{c.dir, c.rec}, c.cgroup, poststop); err == nil {
		err = deleteErr
	}
	return status, err
}

// start lets the payload go. The result, which serves its terminal, may be nil.
func (c *creation) start(ctx context.Context, init *nsexec.Init) (term *terminal, err error) {
	if c.console != nil {
		term, err = serveTerminal(c.console)
		c.console = nil
		if err != nil {
			return nil, err
		}
	}
	c.rec.Status = store.Running
	if err := c.dir.Write(c.rec); err != nil {
		return term, err
	}
	if err := c.announce(init.PID); err != nil {
		return term, err
	}
	state, err := startState(c.rec)
	if err == nil {
		err = init.Start(state)
	}
	if err == nil {
		var poststart []specs.Hook
		if c.spec.Hooks != nil {
			poststart = c.spec.Hooks.Poststart
		}
		err = runPoststart(ctx, c.rec, poststart)
	}
	if err != nil && c.opts.PIDFile != "" {
		os.Remove(c.opts.PIDFile)
	}
	return term, err
}

// relay receives the signals that are sent to bailey while a payload runs in the foreground.
type relay struct{ signals chan os.Signal }

// newRelay catches every signal from here on.
func newRelay() *relay {
	r := &relay{make(chan os.Signal, 64)}
	held := nsexec.HeldSignals()
	if fd, err := unix.Signalfd(-1, &held, unix.SFD_CLOEXEC); err == nil && held != (unix.Sigset_t{}) {
		go r.read(fd)
	} else {
		signal.Notify(r.signals)
	}
	return r
}

// read receives signals that are blocked in all threads. It ends with the program: what run and exec hold
// back, nothing else in it waits for.
func (r *relay) read(fd int) {
	var info unix.SignalfdSiginfo
	buf := (*[unsafe.Sizeof(info)]byte)(unsafe.Pointer(&info))
	for {
		n, err := unix.Read(fd, buf[:])
		if err != nil && err != unix.EINTR || err == nil && n != len(buf) {
			return
		}
		if err == nil {
			r.signals <- syscall.Signal(info.Signo)
		}
	}
}

func (r *relay) stop() { signal.Stop(r.signals) }

// untilStarted returns a context that the signals which ask a program to end cancel; others wait for the
// payload. settle ends that, without cancelling the context; it may be called twice.
func (r *relay) untilStarted() (ctx context.Context, settle func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var later []os.Signal
		for {
			select {
			case s := <-r.signals:
				switch s {
				case unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT:
					cancel(interrupted(s))
				case unix.SIGCHLD, unix.SIGURG:
				default:
					later = append(later, s)
				}
			case <-done:
				for _, s := range later {
					select {
					case r.signals <- s:
					default: // more than anybody has reason to send
					}
				}
				return
			}
		}
	}()
	settled := false
	return ctx, func() {
		if !settled {
			settled = true
			close(done)
			<-ended
		}
	}
}

// wait passes signals on to the process pid, a child, until it ends, and returns its exit status. Every
// other child that ends meanwhile is reaped.
func (r *relay) wait(pid int) (int, error) {
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
			switch s {
			case unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH, unix.SIGPIPE:
				// About bailey's own children, threads, terminal and output.
			default:
				// A failure means that it has ended, which is noticed in a moment.
				unix.Kill(pid, s.(syscall.Signal))
			}
		}
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
	unix.Kill(pid, unix.SIGKILL)
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

package hooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/nsexec"
)

// maxOutput is how much of what a failed hook wrote, in bytes from its end, its error carries.
const maxOutput = 4096

// Run executes the hooks of one point in order, each with state (JSON) on its standard input and dir
// as its working directory, and stops at the first that fails. The error names the hook by its place in
// config.json and carries what it wrote to standard error. A hook that runs longer than its timeout,
// or than ctx lasts, is killed with its process group.
func Run(ctx context.Context, point string, hooks []specs.Hook, dir string, state []byte) error {
	for i := range hooks {
		if err := RunOne(ctx, point, i, &hooks[i], dir, state); err != nil {
			return err
		}
	}
	return nil
}

// RunOne executes hook number i of a point; see Run.
func RunOne(ctx context.Context, point string, i int, hook *specs.Hook, dir string, state []byte) error {
	f := &fault.Error{
		Step:   fmt.Sprintf("run %s hook #%d (%s)", point, i, hook.Path),
		Origin: "/hooks/" + point + "/" + strconv.Itoa(i),
	}
	// What the caller left open must not reach the hook. Its own descriptors are marked already.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		f.Syscall, f.Err = "close_range", err
		return f
	}
	input, err := memfd("state", state)
	if err != nil {
		f.Syscall, f.Err = "memfd_create", err
		return f
	}
	defer input.Close()
	// Files and not pipes: a daemon that a hook leaves behind would keep a pipe open and bailey waiting.
	output, err := memfd("hook-output", nil)
	if err != nil {
		f.Syscall, f.Err = "memfd_create", err
		return f
	}
	defer output.Close()

	args := hook.Args
	if len(args) == 0 {
		args = []string{hook.Path}
	}
	env := hook.Env
	if env == nil {
		env = []string{} // nil would mean the caller's
	}
	// A thread that joins namespaces ends with its goroutine (package libruntime), which would end a hook that it has
	// started: no other goroutine gets the one that starts this hook before it has ended.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var proc *os.Process
	err = nsexec.WithTimerSlack(func() (err error) {
		proc, err = os.StartProcess(hook.Path, args, &os.ProcAttr{
			Dir: dir, Env: env, Files: []*os.File{input, output, output},
			// With bailey killed nobody is left to end it. It is the thread's end that the kernel goes by.
			Sys: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
		})
		return err
	})
	if err != nil {
		f.Err = startReason(err)
		f.Syscall = "execve"
		return f
	}
	stop, late := guard(ctx, hook, proc.Pid)
	status, err := proc.Wait()
	stop()
	switch {
	case err != nil:
		f.Err = err
		return f
	case late() != nil:
		f.Err = late()
	case status.Success():
		return nil
	default:
		f.Err = errors.New(status.String())
	}
	if text := tail(output); text != "" {
		f.Err = fmt.Errorf("%w: %s", f.Err, text)
	}
	return f
}

// guard kills the process group pid when the hook's timeout is over or ctx is done. stop ends the
// guard; after it, late returns the reason if it has killed.
func guard(ctx context.Context, hook *specs.Hook, pid int) (stop func(), late func() error) {
	var timeout <-chan time.Time
	if hook.Timeout != nil {
		timeout = time.After(time.Duration(*hook.Timeout) * time.Second)
	}
	if timeout == nil && ctx.Done() == nil {
		return func() {}, func() error { return nil }
	}
	done, ended := make(chan struct{}), make(chan struct{})
	var reason error
	go func() {
		defer close(ended)
		select {
		case <-done:
			return
		case <-timeout:
			reason = fmt.Errorf("it did not end within its timeout of %d s", *hook.Timeout)
		case <-ctx.Done():
			reason = context.Cause(ctx)
		}
		_ = unix.Kill(-pid, unix.SIGKILL)
	}()
	return func() { close(done); <-ended }, func() error { return reason }
}

// startReason returns the errno in err without the path, which the error's step names.
func startReason(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// memfd returns an anonymous file with this content, to be read from its start.
func memfd(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if len(content) > 0 {
		if _, err := f.WriteAt(content, 0); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// tail returns the end of what a hook wrote, as text for one line of an error.
func tail(output *os.File) string {
	size, err := output.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return ""
	}
	buf := make([]byte, min(size, maxOutput))
	n, _ := output.ReadAt(buf, size-int64(len(buf)))
	text := strings.ToValidUTF8(string(buf[:n]), "?")
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

package harness

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Timeout is after how long a command counts as hanging. It is generous: the machine may be busy.
const Timeout = 60 * time.Second

// Options are what a command is started with besides its arguments.
type Options struct {
	// Stdin is its standard input; nil: /dev/null.
	Stdin *os.File
	// TTY, if not nil, is its standard input, output and error, and its controlling terminal.
	TTY *os.File
	// ExtraFiles are its descriptors from 3 on.
	ExtraFiles []*os.File
	// Env is added to its environment.
	Env []string
	// Dir is its working directory; "": the Env's.
	Dir string
	// Credential, if not nil, is whose command it is.
	Credential *syscall.Credential
	// Prefix is a command that starts the runtime, such as strace.
	Prefix []string
	// NoGlobals leaves out --root and --log.
	NoGlobals bool
	// Runtime is another runtime than the Env's.
	Runtime string
}

// Command is a command that was started.
type Command struct {
	e              *Env
	cmd            *exec.Cmd
	stdout, stderr *os.File
	done           chan struct{}
	err            error
}

// Result is a command that has ended.
type Result struct {
	Args           []string
	Code           int
	Stdout, Stderr string
	TimedOut       bool
}

// Bailey runs the runtime with the Env's --root and --log.
func (e *Env) Bailey(args ...string) *Result {
	e.T.Helper()
	return e.Run(Options{}, args...)
}

// Run runs the runtime.
func (e *Env) Run(o Options, args ...string) *Result {
	e.T.Helper()
	return e.Start(o, args...).Wait()
}

// Start starts the runtime and does not wait for it.
func (e *Env) Start(o Options, args ...string) *Command {
	e.T.Helper()
	argv := append([]string{}, o.Prefix...)
	if o.Runtime == "" {
		o.Runtime = e.Runtime
	}
	argv = append(argv, o.Runtime)
	if !o.NoGlobals {
		argv = append(argv, "--root", e.Root, "--log", e.Log, "--log-format", "json")
		if e.Systemd {
			argv = append(argv, "--systemd-cgroup")
		}
	}
	argv = append(argv, args...)
	c := &Command{e: e, done: make(chan struct{})}
	c.cmd = exec.Command(argv[0], argv[1:]...)
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/root", idVariable + "=" + e.ID}, o.Env...)
	c.cmd.Dir = e.Dir
	if o.Dir != "" {
		c.cmd.Dir = o.Dir
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: o.Credential}
	c.cmd.ExtraFiles = o.ExtraFiles
	if o.Stdin != nil {
		c.cmd.Stdin = o.Stdin
	}
	// Files and not pipes: a detached container holds them open.
	c.stdout, c.stderr = e.tempFile(), e.tempFile()
	c.cmd.Stdout, c.cmd.Stderr = c.stdout, c.stderr
	if o.TTY != nil {
		c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = o.TTY, o.TTY, o.TTY
		c.cmd.SysProcAttr.Setctty = true
	}
	var err error
	e.Do(func() { err = startChild(c.cmd) })
	if err != nil {
		e.T.Fatalf("start %v: %v", argv, err)
	}
	e.mu.Lock()
	e.sessions[c.cmd.Process.Pid] = true
	e.commands = append(e.commands, c)
	e.mu.Unlock()
	go func() {
		c.err = c.cmd.Wait()
		endChild(c.cmd)
		close(c.done)
	}()
	return c
}

func (e *Env) tempFile() *os.File {
	f, err := os.CreateTemp(e.Dir, "out-")
	if err != nil {
		e.T.Fatal(err)
	}
	os.Remove(f.Name())
	return f
}

// PID returns the process ID of the command.
func (c *Command) PID() int { return c.cmd.Process.Pid }

// Signal sends it a signal.
func (c *Command) Signal(sig syscall.Signal) { c.cmd.Process.Signal(sig) }

// Running reports whether it has not ended.
func (c *Command) Running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end of the command. One that hangs is ended, which fails the test.
func (c *Command) Wait() *Result {
	c.e.T.Helper()
	r := &Result{Args: c.cmd.Args}
	select {
	case <-c.done:
	case <-time.After(Timeout):
		r.TimedOut = true
		c.e.T.Errorf("%s\nhangs:\n%s", r, c.e.processes())
		unix.Kill(c.cmd.Process.Pid, unix.SIGKILL)
		<-c.done
	}
	r.Stdout, r.Stderr = content(c.stdout), content(c.stderr)
	var exit *exec.ExitError
	switch {
	case c.err == nil:
	case errors.As(c.err, &exit):
		r.Code = exit.ExitCode()
		if ws := exit.Sys().(syscall.WaitStatus); ws.Signaled() {
			r.Code = -int(ws.Signal())
		}
	default:
		c.e.T.Errorf("%s: %v", r, c.err)
	}
	return r
}

// Stdout returns what the command has written so far.
func (c *Command) Stdout() string { return content(c.stdout) }

func content(f *os.File) string {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<24))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// String returns the command and everything that is known of how it ended.
func (r *Result) String() string {
	args := append([]string{filepath.Base(r.Args[0])}, r.Args[1:]...)
	return fmt.Sprintf("%s\nexit status %d, stdout %q, stderr:\n%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
}

// OK fails the test at once unless the command has succeeded; it returns what it wrote to standard output.
func (r *Result) OK(e *Env) string {
	e.T.Helper()
	if r.Code != 0 {
		e.T.Fatal(r)
	}
	return r.Stdout
}

// Fails fails the test unless the command has failed with exit status 1 and all the texts on stderr.
func (r *Result) Fails(e *Env, texts ...string) {
	e.T.Helper()
	if r.Code != 1 {
		e.T.Errorf("%s\nwant exit status 1", r)
		return
	}
	for _, text := range texts {
		if !strings.Contains(r.Stderr, text) {
			e.T.Errorf("%s\nwant %q on stderr", r, text)
		}
	}
}

// Eventually polls until f is true.
func (e *Env) Eventually(what string, f func() bool) {
	e.T.Helper()
	if !poll(f) {
		e.T.Fatalf("never: %s\n%s", what, e.processes())
	}
}

// patience bounds polling.
const patience = 30 * time.Second

func poll(f func() bool) bool {
	wait := time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(wait) {
		if f() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		if wait < 50*time.Millisecond {
			wait *= 2
		}
	}
}

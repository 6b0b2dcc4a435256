package lifecycle

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// Every way to start a container, with and without a user namespace and a terminal, in every view of the
// cgroups: all of config.json has to be true each time.
func TestMatrix(t *testing.T) {
	harness.NeedRoot(t)
	starts := map[string]func(*testing.T, *harness.Container, bool){
		"run": runAttached, "run -d": runDetached, "create, start": createAndStart,
	}
	for _, view := range harness.Views() {
		for _, userns := range []bool{false, true} {
			for _, terminal := range []bool{false, true} {
				for how, start := range starts {
					name := fmt.Sprintf("%s/userns=%v/terminal=%v/%s", view, userns, terminal, how)
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						e := harness.New(t, view)
						start(t, e.Container(rich(e), func(s *specs.Spec) {
							if userns {
								harness.UserNamespace(s)
							}
							if terminal {
								s.Process.Terminal = true
								s.Process.ConsoleSize = &specs.Box{Height: 41, Width: 103}
							}
						}), terminal)
						e.CheckNothingLeft()
					})
				}
			}
		}
	}
}

func runAttached(t *testing.T, c *harness.Container, terminal bool) {
	e := c.Env
	var o harness.Options
	var pty *harness.PTY
	if terminal {
		pty = e.NewPTY()
		o.TTY = pty.Slave
	}
	run := c.RunAttached(o)
	pid := c.PID()
	checkEffects(t, c, pid)
	checkTerminal(t, c, pid, nil, terminal)
	c.Kill("KILL").OK(e)
	if r := run.Wait(); r.Code != 128+int(syscall.SIGKILL) {
		t.Errorf("%s\nwant exit status 137", r)
	}
	if s := c.TryState(); s != nil {
		t.Errorf("run has left the container: %+v", s)
	}
}

func runDetached(t *testing.T, c *harness.Container, terminal bool) {
	e := c.Env
	flags := []string{"--pid-file", e.Path("pid")}
	var socket *harness.ConsoleSocket
	if terminal {
		socket = e.ConsoleSocket()
		flags = append(flags, "--console-socket", socket.Path)
	}
	c.RunDetached(flags...).OK(e)
	c.ExpectStatus("running")
	finish(t, c, socket)
}

func createAndStart(t *testing.T, c *harness.Container, terminal bool) {
	e := c.Env
	flags := []string{"--pid-file", e.Path("pid")}
	var socket *harness.ConsoleSocket
	if terminal {
		socket = e.ConsoleSocket()
		flags = append(flags, "--console-socket", socket.Path)
	}
	c.Create(flags...).OK(e)
	c.ExpectStatus("created")
	created := c.PID()
	c.Start().OK(e)
	c.ExpectStatus("running")
	if pid := c.PID(); pid != created {
		t.Errorf("the process ID was %d, and is %d after start", created, pid)
	}
	finish(t, c, socket)
}

// finish checks a detached container and removes it.
func finish(t *testing.T, c *harness.Container, socket *harness.ConsoleSocket) {
	t.Helper()
	e := c.Env
	pid := c.PID()
	if p := e.PIDFile(e.Path("pid")); p != pid {
		t.Errorf("the pid file has %d, state %d", p, pid)
	}
	checkEffects(t, c, pid)
	checkTerminal(t, c, pid, socket, socket != nil)
	c.Delete().Fails(e, "not stopped")
	c.Kill("9").OK(e)
	c.WaitStatus("stopped")
	c.Delete().OK(e)
}

// checkTerminal wants the process to have a terminal on all three standard streams, or none.
func checkTerminal(t *testing.T, c *harness.Container, pid int, socket *harness.ConsoleSocket, terminal bool) {
	t.Helper()
	e := c.Env
	stat := harness.Stat(pid)
	if stat == nil {
		t.Fatal("the payload has ended")
	}
	if has := stat.TTY != 0; has != terminal {
		t.Errorf("a controlling terminal: %v, want %v", has, terminal)
	}
	if !terminal {
		return
	}
	for fd := range 3 {
		if link := c.Sh(fmt.Sprintf("readlink /proc/1/fd/%d", fd)); link != "/dev/pts/0" {
			t.Errorf("descriptor %d is %s", fd, link)
		}
	}
	if m := e.MountAt(pid, "/dev/console"); m == nil || m.Type != "devpts" {
		t.Errorf("/dev/console: %+v", m)
	}
	if owner := c.Sh("stat -c %u /dev/pts/0"); owner != "1000" {
		t.Errorf("the terminal belongs to %s", owner)
	}
	if socket == nil {
		return
	}
	size, err := unix.IoctlGetWinsize(int(socket.Terminal().Master.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Row != 41 || size.Col != 103 {
		t.Errorf("the size of the terminal: %+v, %v", size, err)
	}
}

// A shell at a terminal of the caller's: what is typed gets there, what is printed comes back, and control
// characters are signals for the payload and not for the runtime.
func TestTerminalByHand(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Terminal, harness.Sh(`trap 'echo interrupted; exit 5' INT; echo ready; read x; echo "got $x"; sleep 1000 & wait`))
	pty := e.NewPTY()
	run := c.RunAttached(harness.Options{TTY: pty.Slave})
	e.Eventually("the shell is ready", func() bool { return strings.Contains(pty.Text(), "ready") })
	enter := func(s string) {
		if _, err := pty.Master.WriteString(s); err != nil {
			t.Fatal(err)
		}
	}
	enter("words\n")
	e.Eventually("the shell answers", func() bool { return strings.Contains(pty.Text(), "got words") })
	enter("\x03")
	r := run.Wait()
	if r.Code != 5 {
		t.Error(r)
	}
	e.Eventually("its last words arrive", func() bool { return strings.Contains(pty.Text(), "interrupted") })
	// The caller's terminal is as before: it echoes and has signals.
	termios, err := unix.IoctlGetTermios(int(pty.Slave.Fd()), unix.TCGETS)
	if err != nil || termios.Lflag&unix.ECHO == 0 || termios.Lflag&unix.ISIG == 0 {
		t.Errorf("the terminal was left raw: %+v, %v", termios, err)
	}
}

// All that the payload has printed has arrived when run ends, and exec too, however much it was.
func TestTerminalOutputIsWhole(t *testing.T) {
	e := newEnv(t)
	const script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo end"
	c := e.Container(harness.Terminal, harness.Sh(script))
	d := e.Container()
	d.RunDetached().OK(e)
	for _, args := range [][]string{{"run", "--bundle", c.Bundle, c.ID}, d.ExecArgs([]string{"-t"}, "sh", "-c", script)} {
		for range 5 {
			pty := e.NewPTY()
			e.Run(harness.Options{TTY: pty.Slave}, args...).OK(e)
			e.Eventually("the end arrives", func() bool { return strings.HasSuffix(pty.Text(), "end\r\n") })
			if n := strings.Count(pty.Text(), "line "); n != 2000 {
				t.Errorf("%s: %d of 2000 lines have arrived", args[0], n)
			}
		}
	}
}

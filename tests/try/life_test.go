package try

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// id waits for the sandbox and returns its ID.
func (u *caller) id() (id string) {
	u.e.T.Helper()
	o := u.o
	u.e.Eventually("there is a sandbox", func() bool {
		id = strings.TrimSpace(u.e.Run(o, "list", "--quiet").Stdout)
		return strings.HasPrefix(id, "try-")
	})
	return id
}

// payload waits for the process of the sandbox that executes a program, and returns its ID.
func (u *caller) payload(program string) (pid int) {
	u.e.T.Helper()
	u.e.Eventually("the command runs", func() bool {
		for _, p := range u.e.Processes() {
			comm, _ := os.ReadFile("/proc/" + strconv.Itoa(p) + "/comm")
			if strings.TrimSpace(string(comm)) == program {
				pid = p
				return true
			}
		}
		return false
	})
	return pid
}

// The exit status is the command's, or says which signal has ended it.
func TestExitStatus(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "sh -c 'kill -KILL $$'": 137, "exec no-such-program": 127} {
			if r := u.try("sh", "-c", script); r.Code != want {
				t.Errorf("%s\nwant %d", r, want)
			}
		}
		// One that has provided for no signal ends by it all the same, though it is the namespace's first process.
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
			cmd := u.e.Start(u.o, args("sleep", "1000")...)
			u.payload("sleep")
			time.Sleep(200 * time.Millisecond) // until bailey, too, knows that it has started
			cmd.Signal(sig)
			if r := cmd.Wait(); r.Code != 128+int(sig) {
				t.Errorf("%s\nwant %d", r, 128+int(sig))
			}
		}
		// What stands behind the command is the command's.
		u.says("--user --plan\n", "echo", "--user", "--plan")
	})
}

// Signals reach the command, and what it reads and writes is what bailey was given.
func TestSignalsAndStreams(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		cmd := u.e.Start(u.o, args("sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done")...)
		u.e.Eventually("it is ready", func() bool { return strings.Contains(cmd.Stdout(), "ready") })
		cmd.Signal(syscall.SIGTERM)
		if r := cmd.Wait(); r.Code != 3 || r.Stdout != "ready\nbye\n" {
			t.Error(r)
		}
		in, err := os.Open(u.home + "/project/code")
		u.e.Must(err)
		defer in.Close()
		u.o.Stdin = in
		r := u.try("sh", "-c", "cat; echo error >&2")
		if r.OK(u.e) != "code\n" || !strings.HasSuffix(r.Stderr, "error\n") {
			t.Error(r)
		}
	})
}

// On a terminal the command gets one of its own, with job control and its size.
func TestTerminal(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		pty := u.e.NewPTY()
		u.e.Must(unix.IoctlSetWinsize(int(pty.Slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 33, Col: 77}))
		o := u.o
		o.TTY = pty.Slave
		cmd := u.e.Start(o, args("sh", "-c", "trap 'echo interrupted; exit 5' INT; trap 'echo resized; stty size' WINCH; tty; stty size; echo ready; while :; do sleep 0.05; done")...)
		u.e.Eventually("it is ready", func() bool { return strings.Contains(pty.Text(), "ready") })
		if text := pty.Text(); !strings.Contains(text, "33 77") || !strings.Contains(text, "/dev/pts/0") && !strings.Contains(text, "/dev/console") {
			t.Errorf("%q", text)
		}
		u.e.Must(unix.IoctlSetWinsize(int(pty.Slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 44, Col: 88}))
		u.e.Eventually("the new size arrives", func() bool { return strings.Contains(pty.Text(), "44 88") })
		_, err := pty.Master.WriteString("\x03")
		u.e.Must(err)
		if r := cmd.Wait(); r.Code != 5 {
			t.Errorf("%s %q", r, pty.Text())
		}
		u.e.Eventually("its last words arrive", func() bool { return strings.Contains(pty.Text(), "interrupted") })
	})
}

// Keys end what is not prepared for them, and nothing else: a shell goes on when its command is interrupted.
func TestInterruptKey(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		for _, shell := range []bool{false, true} {
			pty := u.e.NewPTY()
			o := u.o
			o.TTY = pty.Slave
			a := args("sleep", "1000")
			if shell {
				a = args("sh", "-i", "-c", "trap : INT; sleep 1000; echo goes on; exit 4")
			}
			cmd := u.e.Start(o, a...)
			u.payload("sleep")
			_, err := pty.Master.WriteString("\x03")
			u.e.Must(err)
			r := cmd.Wait()
			if want := map[bool]int{false: 130, true: 4}[shell]; r.Code != want {
				t.Errorf("%s, want %d: %q", r, want, pty.Text())
			}
			u.e.Eventually("the shell's last words arrive", func() bool { return !shell || strings.Contains(pty.Text(), "goes on") })
		}
	})
}

// Nothing is left, neither at its end nor after a bailey that was killed.
func TestNothingIsLeft(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		for _, killed := range []bool{false, true} {
			cmd := u.e.Start(u.o, args("sleep", "1000")...)
			id := u.id()
			pid := u.payload("sleep")
			if !killed {
				cmd.Signal(unix.SIGTERM)
				cmd.Wait()
			} else {
				cmd.Signal(unix.SIGKILL)
				cmd.Wait()
				if !harness.Alive(pid) {
					t.Error("the sandbox has ended with bailey")
				}
				u.e.Run(u.o, "delete", "--force", id).OK(u.e)
			}
			if harness.Alive(pid) {
				t.Error("the command lives")
			}
			if _, err := os.Stat(u.e.Root + "/" + id); err == nil {
				t.Error("its state directory is there")
			}
			filepath.WalkDir("/sys/fs/cgroup", func(path string, _ os.DirEntry, err error) error {
				if err == nil && strings.Contains(path, id) {
					t.Errorf("its cgroup %s is there", path)
				}
				return nil
			})
			if out := u.e.Run(u.o, "ids", "list").Stdout; u.uid == 0 && (!strings.Contains(out, id) || !strings.Contains(out, "resting")) {
				t.Errorf("its IDs do not rest: %s", out)
			}
			if r := u.e.Run(u.o, "ids", "check"); u.uid == 0 && r.Code != 0 {
				t.Error(r)
			}
		}
	})
}

// A policy holds for sandboxes as for all containers, and an account's IDs are preferred.
func TestAccount(t *testing.T) {
	u := newCaller(t, "root")
	for _, name := range []string{"subuid", "subgid"} {
		file := u.e.WriteFile(name, "bailey:900000:131072\n", 0o644)
		u.e.Do(func() { u.e.Must(unix.Mount(file, "/etc/"+name, "", unix.MS_BIND, "")) })
	}
	u.e.Mounted()
	cmd := u.e.Start(u.o, args("sleep", "1000")...)
	if uid := strings.Fields(u.e.Status(u.payload("sleep"))["Uid"])[0]; uid != "900000" && uid != "965536" {
		t.Errorf("it runs as %s", uid)
	}
	cmd.Signal(unix.SIGTERM)
	cmd.Wait()
}

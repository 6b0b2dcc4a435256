package lifecycle

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// The payload's exit status is that of run and exec, all 256 of them; 128+n for a signal.
func TestExitStatus(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		for _, status := range []int{0, 1, 2, 42, 127, 128, 137, 255} {
			c := e.Container(harness.Sh(fmt.Sprintf("exit %d", status)))
			if r := c.Run(); r.Code != status || r.Stderr != "" {
				t.Errorf("%s\nwant exit status %d and nothing else", r, status)
			}
		}
		e.CheckNothingLeft()
	})
}

func TestExitStatusOfExec(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	c.RunDetached().OK(e)
	for status := range 256 {
		if r := c.Exec(nil, "sh", "-c", fmt.Sprintf("exit %d", status)); r.Code != status {
			t.Errorf("%s\nwant exit status %d", r, status)
		}
	}
	for _, sig := range []int{1, 2, 6, 9, 15, 34, 64} {
		if r := c.Exec(nil, "sh", "-c", fmt.Sprintf("kill -%d $$", sig)); r.Code != 128+sig {
			t.Errorf("%s\nwant exit status %d", r, 128+sig)
		}
	}
}

// A signal by name, with and without SIG, in any case, and by number.
func TestKill(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		for _, sig := range []struct {
			name string
			args []string
			want int
		}{
			{"TERM", nil, 15}, {"TERM", []string{"TERM"}, 15}, {"TERM", []string{"SIGTERM"}, 15},
			{"TERM", []string{"15"}, 15}, {"USR1", []string{"usr1"}, 10}, {"HUP", []string{"SIGHUP"}, 1},
			{"INT", []string{"2"}, 2}, {"34", []string{"RTMIN"}, 34}, {"35", []string{"SIGRTMIN+1"}, 35},
		} {
			c := e.Container(harness.Sh(fmt.Sprintf("trap 'exit %d' %s; : > /work/ready; while :; do sleep 0.01; done",
				100+sig.want, sig.name)))
			run := c.RunAttached(harness.Options{})
			e.Eventually("the trap is set", func() bool { return exists(c.Rootfs + "/work/ready") })
			c.Kill(sig.args...).OK(e)
			if r := run.Wait(); r.Code != 100+sig.want {
				t.Errorf("kill %q: %s\nwant exit status %d", sig.args, r, 100+sig.want)
			}
		}
		e.CheckNothingLeft()
	})
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestKillUnknownSignal(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	c.RunDetached().OK(e)
	for _, sig := range []string{"NOSUCH", "65", "-1", "SIG", "9x", "", "+9", "0x9"} {
		e.Bailey("kill", c.ID, "--", sig).Fails(e, "")
	}
	c.ExpectStatus("running")
	if !harness.Alive(c.PID()) {
		t.Error("an unknown signal has ended the container")
	}
}

// --all reaches processes besides the init; without a pid namespace KILL ends them all in any case.
func TestKillAll(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container(harness.Without("pid"), harness.Sh("sleep 100000 & sleep 100000 & wait"))
		c.RunDetached().OK(e)
		procs := func() []string { return strings.Fields(readCgroupProcs(t, c)) }
		e.Eventually("three processes", func() bool { return len(procs()) == 3 })
		e.Bailey("kill", "--all", c.ID, "CONT").OK(e)
		c.Kill("KILL").OK(e)
		e.Eventually("no process is left", func() bool { return !exists(c.CgroupDir(mainController(e))) || len(procs()) == 0 })
		c.WaitStatus("stopped")
		c.Delete().OK(e)
		e.CheckNothingLeft()
	})
}

// Processes that outlive the init of a container without a pid namespace end when it is deleted.
func TestDeleteEndsOrphans(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container(harness.Without("pid"), harness.Sh("setsid sleep 100000 & : > /work/ready; sleep 100000"))
		c.RunDetached().OK(e)
		e.Eventually("ready", func() bool { return exists(c.Rootfs + "/work/ready") })
		unix.Kill(c.PID(), unix.SIGKILL) // the init alone
		c.WaitStatus("stopped")
		if procs := strings.Fields(readCgroupProcs(t, c)); len(procs) == 0 {
			t.Fatal("nothing has outlived the init, so nothing is tested")
		}
		c.Delete().OK(e)
		e.CheckNothingLeft()
	})
}

// Signals to an attached run are passed on to the payload.
func TestSignalsArePassedOn(t *testing.T) {
	e := newEnv(t)
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGQUIT} {
		c := e.Container(harness.Sh(fmt.Sprintf("trap 'exit %d' %d; : > /work/ready; while :; do sleep 0.01; done",
			100+int(sig), sig)))
		run := c.RunAttached(harness.Options{})
		e.Eventually("the trap is set", func() bool { return exists(c.Rootfs + "/work/ready") })
		run.Signal(sig)
		if r := run.Wait(); r.Code != 100+int(sig) {
			t.Errorf("signal %v: %s\nwant exit status %d", sig, r, 100+int(sig))
		}
	}
	c := e.Container()
	c.RunDetached().OK(e)
	exec := e.Start(harness.Options{}, c.ExecArgs(nil, "sh", "-c", "trap 'exit 77' TERM; : > /work/ready; while :; do sleep 0.01; done")...)
	e.Eventually("the trap is set", func() bool { return exists(c.Rootfs + "/work/ready") })
	exec.Signal(unix.SIGTERM)
	if r := exec.Wait(); r.Code != 77 {
		t.Errorf("%s\nwant exit status 77", r)
	}
}

// A signal that asks bailey to end while a hook hangs unmakes the container: the payload has not started.
func TestInterruptedHooks(t *testing.T) {
	e := newEnv(t)
	dir := e.Path("hook")
	e.Must(os.Mkdir(dir, 0o777))
	for _, name := range []string{"prestart", "createRuntime", "createContainer", "startContainer"} {
		for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGINT} {
			c := e.Container(harness.Mounted(dir, "bind", dir, "rbind", "rw"), func(s *specs.Spec) {
				addHook(s, name, ": >"+dir+"/ready; exec sleep 1000", 0)
			})
			run := e.Start(harness.Options{}, c.RunArgs()...)
			e.Eventually("the hook runs", func() bool { return exists(dir + "/ready") })
			run.Signal(sig)
			if r := run.Wait(); r.Code != 1 || !strings.Contains(r.Stderr, "interrupted by signal") {
				t.Errorf("%v during %s: %s\nwant exit status 1 and the signal as the reason", sig, name, r)
			}
			e.Must(os.Remove(dir + "/ready"))
			e.CheckNothingLeft()
		}
	}
}

// The end of whoever reads the output of a container with a terminal is not the end of the container.
func TestTerminalWithoutReader(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Terminal, harness.Sh("i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done; exit 7"))
	run := e.Start(harness.Options{Prefix: []string{"sh", "-c", `{ "$@"; echo $? >status; } | :`, "sh"}}, c.RunArgs()...)
	run.Wait()
	if got := strings.TrimSpace(readFile(t, e.Dir, "status")); got != "7" {
		t.Errorf("exit status %q, want 7", got)
	}
	e.CheckNothingLeft()
}

// An executable that is not there or cannot be executed: the exit status of a failed runtime, and the words
// that engines turn into 127 and 126.
func TestMissingExecutable(t *testing.T) {
	e := newEnv(t)
	for _, test := range []struct {
		args  []string
		texts []string
	}{
		{[]string{"nosuchcommand"}, []string{"nosuchcommand", "executable file not found in $PATH"}},
		{[]string{"/no/such/file"}, []string{"/no/such/file", "no such file or directory"}},
		{[]string{"/etc/passwd"}, []string{"/etc/passwd", "permission denied"}},
		{[]string{"/etc"}, []string{"/etc", "is a directory"}},
	} {
		for _, command := range []string{"create", "run"} {
			c := e.Container(harness.Args(test.args...))
			r := e.Bailey(command, "--bundle", c.Bundle, c.ID)
			r.Fails(e, append(test.texts, "/process/args")...)
			if s := c.TryState(); s != nil {
				t.Errorf("%s has left a container: %+v", command, s)
			}
		}
		c := e.Container()
		c.RunDetached().OK(e)
		if r := c.Exec(nil, test.args...); r.Code == 0 {
			t.Errorf("exec of %q: %s", test.args, r)
		} else {
			r.Fails(e, test.texts...)
		}
	}
	// Found in PATH, but not to be executed.
	c := e.Container(harness.Args("broken"))
	e.Must(os.WriteFile(c.Rootfs+"/bin/broken", []byte("#!/bin/nosuchinterpreter\n"), 0o755))
	c.Run().Fails(e, "no such file or directory")
	e.Must(os.WriteFile(c.Rootfs+"/bin/broken", []byte("\x7fELFnot"), 0o755))
	c.Run().Fails(e, "exec format error")
	for _, args := range [][]string{{"true"}, {"/no/such/file"}} {
		d := e.Container(harness.Args(args...))
		e.Must(os.Remove(d.Rootfs + "/bin/true"))
		d.Create().Fails(e, "")
	}
}

// What is gone between create and start fails the start, and the container is stopped.
func TestExecutableGoneBeforeStart(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container(harness.Args("/bin/probe", "pause"))
		c.Create().OK(e)
		e.Must(os.Remove(c.Rootfs + "/bin/probe"))
		c.Start().Fails(e, "/bin/probe", "no such file or directory")
		c.ExpectStatus("stopped")
		c.Delete().OK(e)
		e.CheckNothingLeft()
	})
}

package checkpoint

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// kinds are containers that differ in what CRIU has to put back.
var kinds = map[string]harness.Change{
	"plain":                       harness.All(),
	"user namespace":              harness.UserNamespace,
	"the host's cgroup namespace": harness.Without(specs.CgroupNamespace),
	"user in a user namespace": func(s *specs.Spec) {
		harness.UserNamespace(s)
		s.Process.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{2000}}
		s.Process.Capabilities = &specs.LinuxCapabilities{}
	},
	"read-only root, seccomp": func(s *specs.Spec) {
		s.Root.Readonly = true
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"getcwd"}, Action: specs.ActErrno}}}
	},
}

// A container comes back as it was: its memory, its listening socket, and everything that the kernel knows of it.
func TestCheckpointRestore(t *testing.T) {
	for name, change := range kinds {
		t.Run(name, func(t *testing.T) {
			eachView(t, func(t *testing.T, e *harness.Env, o harness.Options) {
				c := e.Container(change, serving)
				run(o, c)
				own, count := answer(c)
				before := kernelsView(e, c.PID())
				checkpoint(o, c).OK(e)
				gone(c)
				restore(o, c, "--pid-file", e.Path("pid")).OK(e)
				c.ExpectStatus("running")
				same(c, own, count)
				compare(t, before, kernelsView(e, c.PID()))
				pid, err := os.ReadFile(e.Path("pid"))
				if err != nil || string(pid) != fmt.Sprint(c.PID()) {
					t.Errorf("the PID file says %q (%v), want %d", pid, err, c.PID())
				}
				// And once more.
				checkpoint(o, c, "--work-path", e.Path("work")).OK(e) // which is made
				restore(o, c).OK(e)
				same(c, own, count)
				c.Kill("KILL").OK(e)
				c.Delete("--force").OK(e)
				gone(c)
			})
		})
	}
}

// A container can come back under another name, in another cgroup, with other sources of its bind mounts, from a root
// filesystem that lacks what was mounted on.
func TestRestoreElsewhere(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env, o harness.Options) {
		for _, dir := range []string{"one", "two"} {
			e.Must(os.MkdirAll(e.Path(dir), 0o755))
			e.WriteFile(dir+"/name", dir, 0o644)
		}
		file := e.WriteFile("file", "a file", 0o644)
		from := e.Container(serving, harness.Mounted("/data", "bind", e.Path("one"), "rbind", "ro"), harness.Mounted("/var/run/file", "bind", file, "bind"))
		run(o, from)
		own, count := answer(from)
		checkpoint(o, from).OK(e)
		to := e.Container(serving, harness.Mounted("/data", "bind", e.Path("two"), "rbind", "ro"), harness.Mounted("/var/run/file", "bind", file, "bind"))
		restore(o, to).OK(e)
		same(to, own, count)
		if got := to.Sh("cat /data/name /var/run/file"); got != "twoa file" {
			t.Errorf("%q", got)
		}
		if m := e.MountAt(to.PID(), "/data"); m == nil || !m.Has("ro") {
			t.Errorf("/data: %+v", m)
		}
		for line := range strings.Lines(e.ProcFile(to.PID(), "cgroup")) {
			if _, path, _ := strings.Cut(strings.TrimSpace(line), ":"); !strings.Contains(path, to.ID) && e.View != harness.V2 && !strings.HasPrefix(line, "0:") {
				t.Errorf("cgroup %s", line)
			}
		}
		if from.TryState() != nil {
			t.Error("the first is still there")
		}
	})
}

// restore waits for the container as run does, passes signals on and returns its exit status; the standard streams are
// the new caller's.
func TestRestoreAttached(t *testing.T) {
	e, o := newEnv(t, harness.ShortViews()[0])
	script := `trap 'echo caught; exit 3' TERM; while :; do sleep 0.01; [ ! -e /work/say ] || { echo said; rm /work/say; }; done`
	c := e.Container(harness.Sh(script))
	attached := c.RunAttached(o)
	e.Must(os.WriteFile(c.Rootfs+"/work/say", nil, 0o644))
	e.Eventually("it says something", func() bool { return attached.Stdout() == "said\n" })
	checkpoint(o, c).OK(e)
	if r := attached.Wait(); r.Code != 128+9 {
		t.Errorf("%s", r)
	}
	cmd := e.Start(o, restoreArgs(c)...)
	e.Must(os.WriteFile(c.Rootfs+"/work/say", nil, 0o644))
	e.Eventually("it says something", func() bool { return cmd.Stdout() == "said\n" })
	cmd.Signal(15)
	if r := cmd.Wait(); r.Code != 3 || r.Stdout != "said\ncaught\n" {
		t.Errorf("%s", r)
	}
	gone(c)
}

// The same with pipes, as engines use them.
func TestRestorePipes(t *testing.T) {
	e, o := newEnv(t, harness.ShortViews()[0])
	c := e.Container(harness.Args("cat"))
	piped := func(how func(harness.Options) *harness.Command, write string) {
		t.Helper()
		in, input, err := os.Pipe()
		e.Must(err)
		output, out, err := os.Pipe()
		e.Must(err)
		with := o
		with.Stdin, with.ExtraFiles = in, []*os.File{out}
		with.Prefix = []string{"sh", "-c", `exec "$@" >&3 3>&-`, "sh"}
		cmd := how(with)
		in.Close()
		out.Close()
		_, err = input.WriteString(write)
		e.Must(err)
		buf := make([]byte, 100)
		n, err := output.Read(buf)
		if string(buf[:n]) != write {
			t.Errorf("%q (%v), want %q", buf[:n], err, write)
		}
		c.ExpectStatus("running")
		if cmd != nil {
			cmd.Wait()
		}
		checkpoint(o, c).OK(e)
		input.Close()
		output.Close()
	}
	piped(func(o harness.Options) *harness.Command { return e.Start(o, c.RunArgs("--detach")...) }, "first\n")
	piped(func(o harness.Options) *harness.Command { return e.Start(o, restoreArgs(c, "--detach")...) }, "second\n")
	gone(c)
}

// The terminal of a container comes back: on a console socket, or served by restore itself.
func TestRestoreTerminal(t *testing.T) {
	for _, userns := range []bool{false, true} {
		t.Run(fmt.Sprintf("userns=%v", userns), func(t *testing.T) {
			e, o := newEnv(t, harness.ShortViews()[0])
			change := harness.All()
			if userns {
				change = harness.UserNamespace
			}
			c := e.Container(change, harness.Terminal, harness.Sh(`stty -echo; while read line; do echo "got $line"; done`))
			socket := e.ConsoleSocket()
			c.RunDetached("--console-socket", socket.Path).OK(e)
			says(e, socket.Terminal(), "one")
			checkpoint(o, c).OK(e)
			socket = e.ConsoleSocket()
			restore(o, c, "--console-socket", socket.Path).OK(e)
			says(e, socket.Terminal(), "two")
			checkpoint(o, c).OK(e)
			pty := e.NewPTY()
			o.TTY = pty.Slave
			cmd := e.Start(o, restoreArgs(c)...)
			says(e, pty, "three")
			c.Kill("KILL").OK(e)
			if r := cmd.Wait(); r.Code != 128+9 {
				t.Errorf("%s", r)
			}
		})
	}
}

func says(e *harness.Env, p *harness.PTY, word string) {
	e.T.Helper()
	_, err := p.Master.WriteString(word + "\n")
	e.Must(err)
	e.Eventually("the terminal says "+word, func() bool { return strings.Contains(p.Text(), "got "+word) })
}

// A container can be left running; memory can be dumped before, so that the dump itself has only what has changed since.
func TestPreDump(t *testing.T) {
	e, o := newEnv(t, harness.ShortViews()[0])
	c := e.Container(serving)
	run(o, c)
	own, count := answer(c)
	pid := c.PID()
	if r := e.Run(o, "checkpoint", "--image-path", e.Path("before"), "--pre-dump", c.ID); r.Code != 0 {
		r.Fails(e, "--pre-dump", "CONFIG_MEM_SOFT_DIRTY")
		c.ExpectStatus("running")
		same(c, own, count)
		t.Skip("this kernel does not tell which memory has changed")
	}
	c.ExpectStatus("running")
	same(c, own, count)
	checkpoint(o, c, "--parent-path", "../before", "--leave-running", "--work-path", e.Dir).OK(e)
	c.ExpectStatus("running")
	same(c, own, count)
	if c.PID() != pid {
		t.Errorf("process %d, was %d", c.PID(), pid)
	}
	if _, err := os.Stat(e.Path("dump.log")); err != nil {
		t.Errorf("--work-path: %v", err)
	}
	whole, changed := sizeOf(e, "before"), sizeOf(e, "images")
	if changed == 0 || changed >= whole {
		t.Errorf("the dump has %d bytes of memory, the pre-dump %d", changed, whole)
	}
	c.Delete("--force").OK(e)
	restore(o, c).OK(e)
	same(c, own, count)
	e.Run(o, "checkpoint", "--image-path", e.Path("images"), "--parent-path", e.Path("before"), c.ID).Fails(e, "--parent-path", "relative")
	e.Run(o, "checkpoint", "--image-path", e.Path("images"), "--parent-path", "../nothing", c.ID).Fails(e, "--parent-path", "ENOENT")
	c.ExpectStatus("running")
}

// sizeOf returns the number of bytes of memory in images.
func sizeOf(e *harness.Env, dir string) (sum int64) {
	e.T.Helper()
	entries, err := os.ReadDir(e.Path(dir))
	e.Must(err)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "pages-") {
			info, err := entry.Info()
			e.Must(err)
			sum += info.Size()
		}
	}
	return sum
}

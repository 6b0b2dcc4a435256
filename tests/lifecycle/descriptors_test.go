package lifecycle

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }

// leaks returns n open files and lets every process that we start inherit them.
func leaks(t *testing.T, e *harness.Env, n int) []*os.File {
	t.Helper()
	var files []*os.File
	for i := range n {
		f, err := os.Open(e.WriteFile(fmt.Sprint("leak", i), "leaked", 0o600))
		e.Must(err)
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	return files
}

// Descriptors of the caller do not reach the payload, unless --preserve-fds says how many.
func TestPreserveFDs(t *testing.T) {
	e := newEnv(t)
	files := leaks(t, e, 5)
	for n := range 4 {
		c := e.Container(harness.Args("probe", "fds"))
		r := e.Run(harness.Options{ExtraFiles: files}, "run", "--bundle", c.Bundle, "--preserve-fds", fmt.Sprint(n), c.ID)
		checkDescriptors(t, e, r, n)

		c = e.Container()
		c.RunDetached().OK(e)
		r = e.Run(harness.Options{ExtraFiles: files}, "exec", "--preserve-fds", fmt.Sprint(n), c.ID, "probe", "fds")
		checkDescriptors(t, e, r, n)
	}
}

// Descriptors that the caller has not got cannot be passed on; their numbers may be the runtime's own.
func TestPreserveWhatIsNotThere(t *testing.T) {
	e := newEnv(t)
	files := leaks(t, e, 2)
	c := e.Container()
	o := harness.Options{ExtraFiles: files}
	e.Run(o, "run", "--bundle", c.Bundle, "--preserve-fds", "3", c.ID).Fails(e, "descriptor 5", "--preserve-fds")
	e.Run(o, "create", "--bundle", c.Bundle, "--preserve-fds", "20", c.ID).Fails(e, "descriptor 5", "--preserve-fds")
	e.CheckNothingLeft()
	c.RunDetached().OK(e)
	e.Run(o, "exec", "--preserve-fds", "3", c.ID, "true").Fails(e, "descriptor 5", "--preserve-fds")
	e.Run(o, "exec", "--preserve-fds", "2", c.ID, "true").OK(e)
	c.Delete("--force").OK(e)
}

func checkDescriptors(t *testing.T, e *harness.Env, r *harness.Result, extra int) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.OK(e)), "\n")
	if len(lines) != 3+extra {
		t.Errorf("%s\nwant %d descriptors", r, 3+extra)
		return
	}
	for i := range extra {
		if !strings.HasPrefix(lines[3+i], fmt.Sprintf("%d ", 3+i)) || !strings.HasSuffix(lines[3+i], fmt.Sprint("/leak", i)) {
			t.Errorf("descriptor %d: %s", 3+i, lines[3+i])
		}
	}
}

// Sockets of a service manager are passed on with the variables that name them.
func TestListenFDs(t *testing.T) {
	e := newEnv(t)
	files := leaks(t, e, 4)
	for _, preserve := range []int{0, 1} {
		c := e.Container(harness.Sh("echo $LISTEN_FDS $LISTEN_PID; exec probe fds"))
		r := e.Run(harness.Options{ExtraFiles: files, Env: []string{"LISTEN_FDS=2"},
			Prefix: []string{"sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh"}},
			"run", "--bundle", c.Bundle, "--preserve-fds", fmt.Sprint(preserve), c.ID)
		lines := strings.Split(strings.TrimSpace(r.OK(e)), "\n")
		if lines[0] != "2 1" || len(lines) != 1+3+2+preserve {
			t.Error(r)
		}
	}
}

// The pid file is written in one piece, and not left when a run fails.
func TestPIDFile(t *testing.T) {
	e := newEnv(t)
	path := e.Path("pid")
	e.Must(os.WriteFile(path, []byte("something longer than a number"), 0o644))
	c := e.Container()
	c.RunDetached("--pid-file", path).OK(e)
	if pid := e.PIDFile(path); pid != c.PID() {
		t.Errorf("pid file %d, state %d", pid, c.PID())
	}
	d := e.Container()
	d.RunDetached("--pid-file", e.Path("no/such/dir")).Fails(e, "no/such/dir")
	if s := d.TryState(); s != nil {
		t.Errorf("left: %+v", s)
	}
}

// Without a terminal served by somebody, a terminal cannot be had, and the other way round.
func TestConsoleSocketMisuse(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Terminal)
	c.Create().Fails(e, "console-socket")
	c.RunDetached().Fails(e, "console-socket")
	c.Create("--console-socket", e.Path("nosuch")).Fails(e, "nosuch")
	d := e.Container()
	d.Create("--console-socket", e.ConsoleSocket().Path).Fails(e, "terminal")
	e.CheckNothingLeft()
}

func TestPidfdSocket(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	socket := e.ConsoleSocket() // one descriptor over a socket, too
	c.Create("--pidfd-socket", socket.Path).OK(e)
	fd := socket.Descriptor()
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	c.WaitStatus("stopped")
}

package libruntime

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/signals"
	"github.com/bailey-oci/bailey/libruntime/store"
)

func TestOpenNamespace(t *testing.T) {
	fd, err := openNamespace(plan.OpenNamespace{Type: plan.NetworkNS, Path: "/proc/self/ns/net"})
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/proc/self/ns/uts": "another kind", "/etc/passwd": "not a namespace", "/dev/null": "not a namespace",
		fifo: "not a namespace", "/does/not/exist": "no such file", "/proc": "not a namespace",
	} {
		_, err := openNamespace(plan.OpenNamespace{Type: plan.NetworkNS, Path: path})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestOpenTreeChecksItsSource(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "null")
	if err := os.Symlink("/dev/null", link); err != nil {
		t.Fatal(err)
	}
	null := &plan.Device{Type: 'c', Major: 1, Minor: 3}
	for name, tc := range map[string]struct {
		tree plan.OpenTree
		want error
	}{
		"a link":             {plan.OpenTree{Path: link, NoFollow: true, Device: null}, unix.ENODEV},
		"another device":     {plan.OpenTree{Path: "/dev/zero", NoFollow: true, Device: null}, unix.ENODEV},
		"no device":          {plan.OpenTree{Path: "/etc/passwd", Device: null}, unix.ENODEV},
		"another filesystem": {plan.OpenTree{Path: dir, Filesystem: "proc"}, unix.EXDEV},
		"unknown filesystem": {plan.OpenTree{Path: dir, Filesystem: "nope"}, unix.ENOTSUP},
		"missing":            {plan.OpenTree{Path: dir + "/x"}, unix.ENOENT},
	} {
		if _, err := openTree(tc.tree, nil); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tree := range map[string]plan.OpenTree{
		"device": {Path: "/dev/null", NoFollow: true, Device: null}, "proc": {Path: "/proc", Filesystem: "proc"},
		"tree": {Path: dir, Recursive: true},
	} {
		fd, err := openTree(tree, nil)
		if errors.Is(err, unix.EPERM) {
			t.Skip("needs the right to mount")
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		unix.Close(fd)
	}
}

func TestWritePIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	for _, pid := range []int{4711, 12} { // the second replaces the first
		if err := writePIDFile(path, pid); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "12" {
		t.Errorf("%q, %v", b, err)
	}
	if err := writePIDFile("/does/not/exist", 1); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "--pid-file") {
		t.Errorf("got %v", err)
	}
}

func TestSendFile(t *testing.T) {
	// Longer than a socket's address has room for.
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 60), strings.Repeat("e", 60))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: "s", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	left, err := takeConsole(w, filepath.Join(dir, "s"), nil)
	if err != nil || left != nil {
		t.Fatalf("%v, %v", left, err)
	}
	c, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	data, control := make([]byte, 100), make([]byte, 100)
	n, cn, _, _, err := c.ReadMsgUnix(data, control)
	if err != nil || string(data[:n]) != "/dev/ptmx" {
		t.Fatalf("%q, %v", data[:n], err)
	}
	messages, err := syscall.ParseSocketControlMessage(control[:cn])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%v, %v", messages, err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("%v, %v", fds, err)
	}
	received := os.NewFile(uintptr(fds[0]), "pipe")
	if _, err := received.WriteString("hello"); err != nil {
		t.Error(err)
	}
	received.Close()
	if n, err := r.Read(data); err != nil || string(data[:n]) != "hello" {
		t.Errorf("%q, %v", data[:n], err)
	}
	if err := sendFile(dir+"/nobody", "--console-socket", "x", 0); err == nil || !strings.Contains(err.Error(), "--console-socket") {
		t.Errorf("got %v", err)
	}
}

func TestCheckTerminal(t *testing.T) {
	for _, tc := range []struct {
		terminal, served bool
		socket           string
		ok               bool
	}{
		{false, false, "", true}, {false, true, "", true}, {true, true, "", true}, {true, false, "s", true},
		{true, false, "", false}, {false, false, "s", false}, {false, true, "s", false}, {true, true, "s", false},
	} {
		if err := checkTerminal(tc.terminal, tc.served, tc.socket, nil); (err == nil) != tc.ok {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

func TestReadConfig(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	if _, err := readConfig(path); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("missing: %v", err)
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a FIFO: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := readConfig(path); err != nil || string(b) != "{}" {
		t.Errorf("%q, %v", b, err)
	}
	if err := os.Truncate(path, 17<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(path); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("too large: %v", err)
	}
}

// relayOf returns a relay that finds signals which have been sent already.
func relayOf(t *testing.T, sent ...unix.Signal) *relay {
	t.Helper()
	pipe := newPipe(t)
	for _, s := range sent {
		if _, err := unix.Write(pipe[1], []byte{byte(s)}); err != nil {
			t.Fatal(err)
		}
	}
	return &relay{caught: signals.From(pipe[0])}
}

func newPipe(t *testing.T) (ends [2]int) {
	t.Helper()
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(ends[0])
		unix.Close(ends[1])
	})
	return ends
}

func TestRelayUnmakesUntilThePayloadRuns(t *testing.T) {
	r := relayOf(t, unix.SIGUSR1, unix.SIGTERM)
	quiet := newPipe(t)
	if err := r.await(quiet[0]); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(r.early, []unix.Signal{unix.SIGUSR1}) {
		t.Errorf("kept %v", r.early)
	}
	// Each wait that follows has to end, too.
	if err := r.await(quiet[0]); err == nil {
		t.Error("it went on")
	}
}

func TestRelayPrefersWhatHasCome(t *testing.T) {
	r := relayOf(t, unix.SIGTERM)
	news := newPipe(t)
	if _, err := unix.Write(news[1], []byte{1}); err != nil {
		t.Fatal(err)
	}
	if err := r.await(news[0]); err != nil {
		t.Error(err)
	}
	if s := r.caught.Next(); s != unix.SIGTERM {
		t.Errorf("the signal is lost: %v", s)
	}
}

func TestRelayEndsWhatTakesLong(t *testing.T) {
	r := relayOf(t, unix.SIGHUP)
	err := r.during(func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	})
	if err == nil || !strings.Contains(err.Error(), "hangup") {
		t.Errorf("got %v", err)
	}
	if err := relayOf(t).during(func(ctx context.Context) error { return ctx.Err() }); err != nil {
		t.Error(err)
	}
}

// A create that was killed leaves a record without a process. Who holds the lock must keep it when it looks.
func TestStatusOfHalfCreated(t *testing.T) {
	rt := &Runtime{Root: store.Root(t.TempDir())}
	dir, err := rt.Root.Create("web")
	if err != nil {
		t.Fatal(err)
	}
	rec := &store.Record{Version: "1.3.0", ID: "web", Status: store.Creating, Bundle: "/b", Rootfs: "/b/r", Created: time.Now()}
	if err := dir.Write(rec); err != nil {
		t.Fatal(err)
	}
	status := func() store.Status {
		t.Helper()
		s, err := rt.State("web")
		if err != nil {
			t.Fatal(err)
		}
		return s.Status
	}
	if s := status(); s != store.Creating {
		t.Errorf("while it is being created: %s", s)
	}
	dir.Close()
	if s := status(); s != store.Stopped {
		t.Errorf("after its creator has ended: %s", s)
	}
	c, err := rt.lock("web")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.status(nil); err != nil || s != store.Stopped {
		t.Errorf("under the lock: %s, %v", s, err)
	}
	other, err := rt.Root.Open("web")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.LockWithin(0); !errors.Is(err, store.ErrBusy) {
		t.Errorf("the lock was lost: %v", err)
	}
	c.Close()
	other.Close()
	if err := rt.Delete("web", false); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := rt.State("web"); !errors.Is(err, ErrNotExist) {
		t.Errorf("after delete: %v", err)
	}
}

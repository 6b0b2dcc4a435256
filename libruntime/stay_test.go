package libruntime

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/nsexec"
	"github.com/bailey-oci/bailey/spec"
)

// newBundle makes a bundle whose payload is a shell script.
func newBundle(t *testing.T, script string, change func(*specs.Spec)) string {
	t.Helper()
	dir := t.TempDir()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("no busybox (Debian: busybox-static)")
	}
	for _, d := range []string{"bin", "dev", "proc", "sys"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "rootfs/bin/sh"), busybox, 0o755); err != nil {
		t.Fatal(err)
	}
	s := spec.Example()
	s.Process.Args, s.Process.Terminal = []string{"sh", "-c", script}, false
	s.Process.Rlimits, s.Root.Path = nil, "rootfs"
	if change != nil {
		change(s)
	}
	data, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// A process that lives on may use the library many times at once: each container has the streams that it was given, nobody's
// children are taken away, hooks live as long as they want, no file stays open and nothing of the process changes.
func TestManyAtOnce(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	rt := &Runtime{Root: store.Root(t.TempDir()), CgroupsDisabled: true}
	one := func(n int) error {
		id := "c" + strconv.Itoa(n)
		dir := newBundle(t, "read line; echo $line; exit "+strconv.Itoa(n), func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "cat >/dev/null; sleep 0.3"}}}}
		})
		in, out, streams, err := pipes()
		if err != nil {
			return err
		}
		made, err := rt.Create(&CreateOptions{ID: id, Bundle: dir, Streams: streams})
		for _, f := range streams[:2] {
			f.Close()
		}
		if err != nil {
			return err
		}
		if err := rt.Start(id); err != nil {
			return err
		}
		spawned, err := rt.Spawn(id, &ExecOptions{Process: &specs.Process{Args: []string{"/bin/sh", "-c", "exit 77"}, Cwd: "/"}})
		if err != nil {
			return err
		}
		if status := waitChild(spawned.PID); status != 77 {
			return fmt.Errorf("exit status %d of a process that was executed", status)
		}
		if _, err := io.WriteString(in, id+"\n"); err != nil {
			return err
		}
		text, err := io.ReadAll(out)
		if err != nil || strings.TrimSpace(string(text)) != id {
			return fmt.Errorf("%q, %w", text, err)
		}
		if status := waitChild(made.PID); status != n {
			return fmt.Errorf("exit status %d, want %d", status, n)
		}
		in.Close()
		out.Close()
		return rt.Delete(id, false)
	}
	if err := one(99); err != nil { // what is made once is made now
		t.Fatal(err)
	}
	umask := unix.Umask(0o027)
	defer unix.Umask(umask)
	cwd, _ := os.Getwd()
	before := openFiles(t)
	var group sync.WaitGroup
	for n := range 16 {
		group.Go(func() {
			if err := one(n); err != nil {
				t.Errorf("container %d: %v", n, err)
			}
		})
		group.Go(func() { // a child of somebody else's
			if out, err := exec.Command("/bin/sh", "-c", "sleep 0.1; echo mine").Output(); err != nil || string(out) != "mine\n" {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	group.Wait()
	if after := openFiles(t); after > before {
		t.Errorf("%d files are open, %d before", after, before)
	}
	if now, _ := os.Getwd(); now != cwd || unix.Umask(0o027) != 0o027 {
		t.Error("the working directory or the umask has changed")
	}
}

// pipes returns streams, and the other ends of those for input and output.
func pipes() (in, out *os.File, streams *nsexec.Streams, err error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	return in, out, &nsexec.Streams{theirIn, theirOut, os.Stderr}, nil
}

func waitChild(pid int) int {
	var ws unix.WaitStatus
	for {
		if _, err := unix.Wait4(pid, &ws, 0, nil); err != unix.EINTR {
			return ws.ExitStatus()
		}
	}
}

// With streams of its own a process inherits nothing else, and what cannot be passed on is refused.
func TestStreamsStandAlone(t *testing.T) {
	rt := &Runtime{Root: store.Root(t.TempDir()), CgroupsDisabled: true}
	dir := newBundle(t, "true", nil)
	_, err := rt.Create(&CreateOptions{ID: "web", Bundle: dir, Streams: new(nsexec.Streams), PreserveFDs: 1})
	if err == nil || !strings.Contains(err.Error(), "--preserve-fds") {
		t.Errorf("got %v", err)
	}
}

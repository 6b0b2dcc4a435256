package nsexec

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bailey-oci/bailey/libruntime/plan"
	"golang.org/x/sys/unix"
)

// rootfs makes a root filesystem with busybox and a directory "out" for everybody.
func rootfs(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := t.TempDir()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("needs busybox-static: ", err)
	}
	for _, d := range []string{"bin", "proc", "dev", "out"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/busybox"), busybox, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, applet := range []string{"sh", "cat", "ls", "cp", "wc", "hostname", "sleep"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", applet)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "out"), 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tree returns a detached clone of what is mounted at path.
func tree(t *testing.T, path string) *os.File {
	t.Helper()
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	attr := unix.MountAttr{Propagation: unix.MS_SLAVE}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), path)
}

func ops(actions ...plan.Action) *plan.Plan {
	p := &plan.Plan{}
	for _, a := range actions {
		p.Ops = append(p.Ops, plan.Op{Action: a, Origin: "/test"})
	}
	return p
}

// container is a plan that executes busybox in namespaces of its own.
func container(script string) []plan.Action {
	return []plan.Action{
		plan.NotDumpable{},
		plan.Clone{Namespaces: plan.MountNS | plan.PIDNS | plan.UTSNS | plan.IPCNS | plan.NetworkNS},
		plan.SendDescriptors{Slots: []plan.Slot{plan.SlotRoot, plan.SlotNull}},
		plan.LoopbackUp{},
		plan.SetHostname{Name: "inside"},
		plan.SetPropagation{Type: unix.MS_SLAVE},
		plan.AttachRoot{},
		plan.NewFilesystem{Slot: "proc-mount", Type: "proc", Attributes: unix.MOUNT_ATTR_NOSUID},
		plan.Attach{Slot: "proc-mount", Path: "/proc", Create: plan.CreateDirectory, NoSymlinks: true},
		plan.NewFilesystem{Slot: "tmp", Type: "tmpfs", Options: []string{"size=64k", "mode=1777"}},
		plan.Attach{Slot: "tmp", Path: "/a/b/tmp", Create: plan.CreateDirectory},
		plan.MakeDevice{Path: "/dev/zero", Device: plan.Device{Type: 'c', Major: 1, Minor: 5}, Mode: 0o666},
		plan.MakeSymlink{Path: "/dev/fd", Target: "/proc/self/fd"},
		plan.NewFilesystem{Slot: plan.SlotEmpty, Type: "tmpfs", Options: []string{"ro", "size=0"}},
		plan.DropBounding{Keep: 1 << unix.CAP_KILL},
		plan.PivotRoot{},
		plan.MaskPath{Path: "/proc/kcore"},
		plan.MaskPath{Path: "/proc/keys"},
		plan.MaskPath{Path: "/proc/irq"},
		plan.MaskPath{Path: "/proc/acpi"},
		plan.MaskPath{Path: "/proc/none"},
		plan.ReadonlyPath{Path: "/proc/sys"},
		plan.NewSession{},
		plan.SetUmask{Mask: 0o22},
		plan.MakeDirectory{Path: "/work/dir", Mode: 0o755},
		plan.ChangeDirectory{Path: "/work/dir"},
		plan.SetIDs{UID: 7, GID: 8, Groups: []uint32{9, 10}},
		plan.SetCapabilities{Effective: 1 << unix.CAP_KILL, Permitted: 1 << unix.CAP_KILL,
			Inheritable: 1 << unix.CAP_KILL, Ambient: 1 << unix.CAP_KILL},
		plan.SetNoNewPrivileges{},
		plan.ResolveExecutable{Name: "busybox", Candidates: []string{"/usr/bin/busybox", "/bin/busybox"}},
		plan.Verify{UID: 7, GID: 8, Bounding: 1 << unix.CAP_KILL, Effective: 1 << unix.CAP_KILL,
			Permitted: 1 << unix.CAP_KILL, Inheritable: 1 << unix.CAP_KILL, Ambient: 1 << unix.CAP_KILL,
			NoNewPrivileges: true},
		plan.ReportReady{},
		plan.AwaitStart{},
		plan.CloseDescriptors{},
		plan.Exec{Candidates: []string{"/usr/bin/busybox", "/bin/busybox"},
			Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin"}},
	}
}

// run executes the actions' plan and returns the init that waits for its start.
func run(t *testing.T, root *os.File, actions []plan.Action) (*Init, error) {
	t.Helper()
	p, err := Take(nil)
	if err != nil {
		t.Fatal(err)
	}
	cloned := 0
	init, err := p.Run(ops(actions...), &Server{
		Descriptors: map[plan.Slot]*os.File{plan.SlotRoot: root, plan.SlotNull: tree(t, "/dev/null")},
		Cloned:      func(pid int) error { cloned = pid; return nil },
		Asked:       func(plan.Op, *os.File) (*os.File, error) { return nil, nil },
	})
	if err == nil && cloned != init.PID {
		t.Errorf("Cloned was told %d, the init is %d", cloned, init.PID)
	}
	if err != nil && cloned != 0 && unix.Kill(cloned, 0) != unix.ESRCH {
		t.Errorf("process %d is left after %v", cloned, err)
	}
	return init, err
}

func TestContainer(t *testing.T) {
	dir := rootfs(t)
	init, err := run(t, tree(t, dir), container(`
		exec >/a/b/tmp/out; cat /proc/self/status; echo host=$(hostname) cwd=$(pwd)
		echo fds $(ls /proc/self/fd); echo keys $(wc -c </proc/keys); echo irq $(ls /proc/irq | wc -l)
		echo x 2>/dev/null >/proc/sys/kernel/hostname || echo sys is read-only
		ls -l /dev; cat /proc/self/mountinfo; cp /a/b/tmp/out /out/result; exit 42`))
	if err != nil {
		t.Fatal(err)
	}
	if err := init.Start(Starting{}); err != nil {
		t.Fatal(err)
	}
	if ws := wait(init.PID); ws.ExitStatus() != 42 {
		t.Errorf("the payload ended with %v, not with its own status", ws)
	}
	b, err := os.ReadFile(filepath.Join(dir, "out/result"))
	if err != nil {
		t.Fatal(err)
	}
	out := string(b)
	for _, want := range []string{
		"\nUid:\t7\t7\t7\t7\n", "\nGid:\t8\t8\t8\t8\n", "\nGroups:\t9 10 \n", "\nNoNewPrivs:\t1\n",
		"\nCapBnd:\t0000000000000020\n", "\nCapEff:\t0000000000000020\n", "\nCapAmb:\t0000000000000020\n",
		"\nUmask:\t0022\n", "host=inside cwd=/work/dir\n", "fds 0 1 2 3\n", "keys 0\n", "irq 0\n",
		"sys is read-only\n", "1,   5", "fd -> /proc/self/fd\n", " /a/b/tmp ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the container does not show %q", want)
		}
	}
	var mounts []string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 8 && slices.Contains(f, "-") {
			mounts = append(mounts, f[4])
		}
	}
	slices.Sort(mounts)
	if got := strings.Join(mounts, " "); got != "/ /a/b/tmp /proc /proc/acpi /proc/irq /proc/keys /proc/sys" {
		t.Errorf("the container sees the mounts %s", got)
	}
	if t.Failed() {
		t.Log(out)
	}
}

// Every operation's failure comes back with its own words, and nothing is left running.
func TestFailures(t *testing.T) {
	insert := func(at plan.Action, extra plan.Action) []plan.Action {
		all := container("exit 0")
		for i, a := range all {
			if reflect.TypeOf(a) == reflect.TypeOf(at) {
				return append(all[:i:i], append([]plan.Action{extra}, all[i:]...)...)
			}
		}
		t.Fatalf("no %T in the plan", at)
		return nil
	}
	pivot := plan.PivotRoot{}
	for name, c := range map[string]struct {
		actions []plan.Action
		want    []string
	}{
		"mount option": {insert(pivot, plan.NewFilesystem{Slot: "x", Type: "tmpfs", Options: []string{"sise=1"}}),
			[]string{"fsconfig", "sise", "EINVAL"}},
		"filesystem": {insert(pivot, plan.NewFilesystem{Slot: "x", Type: "nofs"}), []string{"fsopen", "nofs", "ENODEV"}},
		"target":     {insert(pivot, plan.RemountInPlace{Path: "/missing"}), []string{"openat2", "missing", "ENOENT"}},
		"device":     {insert(pivot, plan.MakeDevice{Path: "/proc/x", Mode: 0o600}), []string{"mknodat"}},
		"executable": {insert(plan.ReportReady{}, plan.ResolveExecutable{Name: "nothing", Candidates: []string{"/bin/nothing"}}),
			[]string{`exec: "nothing": executable file not found in $PATH`}},
		"a directory to execute": {insert(plan.ReportReady{}, plan.ResolveExecutable{Name: "/bin", Candidates: []string{"/bin"}}),
			[]string{`exec: "/bin": permission denied: is a directory`}},
		"a hook that fails": {insert(pivot, plan.RunHook{Point: "createContainer", Path: "/bin/sh",
			Args: []string{"sh", "-c", "echo no such luck >&2; exit 3"}}), []string{"createContainer", "no such luck"}},
		"a hook that hangs": {insert(pivot, plan.RunHook{Point: "createContainer", Path: "/bin/sleep",
			Args: []string{"sleep", "600"}, Timeout: 50 * time.Millisecond}), []string{"createContainer", "timeout"}},
		"a verification that finds more than was asked for": {insert(plan.ReportReady{}, plan.Verify{UID: 7, GID: 8}),
			[]string{"capget", "another effective set"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := run(t, tree(t, rootfs(t)), c.actions)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is more than a line", err)
			}
		})
	}
}

// The executable can vanish between create and start.
func TestExecFailure(t *testing.T) {
	actions := container("exit 0")
	actions[len(actions)-1] = plan.Exec{Candidates: []string{"/gone"}, Args: []string{"/gone"}}
	init, err := run(t, tree(t, rootfs(t)), actions)
	if err != nil {
		t.Fatal(err)
	}
	err = init.Start(Starting{})
	if err == nil || !strings.Contains(err.Error(), "stat /gone: no such file or directory") {
		t.Errorf("got %v", err)
	}
	wait(init.PID)
}

// A root whose links lead out of it leads nowhere but back into it.
func TestLinksStayInside(t *testing.T) {
	dir := rootfs(t)
	outside := t.TempDir()
	// "a" leads by way of another link, which is relative and goes on behind a directory that is missing.
	for _, l := range [][2]string{{"x/../hop", "a"}, {outside, "hop"}, {"../../../../../../.." + outside, "work"}} {
		if err := os.Symlink(l[0], filepath.Join(dir, l[1])); err != nil {
			t.Fatal(err)
		}
	}
	init, err := run(t, tree(t, dir), container("exit 42"))
	if err != nil {
		t.Fatal(err)
	}
	if err := init.Start(Starting{}); err != nil {
		t.Fatal(err)
	}
	if ws := wait(init.PID); ws.ExitStatus() != 42 {
		t.Errorf("status %v", ws)
	}
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Errorf("made outside of the root: %v", left)
	}
	for _, made := range []string{"dir", "b/tmp"} {
		if _, err := os.Stat(filepath.Join(dir, outside, made)); err != nil {
			t.Errorf("not made where the link leads inside the root: %v", err)
		}
	}
}

// Links that lead nowhere end in an error, not in a loop.
func TestLinkLoop(t *testing.T) {
	dir := rootfs(t)
	if err := os.Symlink("/a/b/tmp", filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, tree(t, dir), container("exit 42")); err == nil || !strings.Contains(err.Error(), "ELOOP") {
		t.Errorf("got %v", err)
	}
}

package nsexec

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/libruntime/plan"
	"golang.org/x/sys/unix"
)

// rootfs makes a root filesystem with busybox, and returns a detached clone of it.
func rootfs(t *testing.T) *os.File {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := t.TempDir()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("needs busybox-static: ", err)
	}
	for _, d := range []string{"bin", "proc", "dev"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/busybox"), busybox, 0o755); err != nil {
		t.Fatal(err)
	}
	return tree(t, dir)
}

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

const caps = 1<<41 - 1

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
		plan.ChangeDirectory{Path: "/work/dir", Create: true},
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

func TestContainer(t *testing.T) {
	p, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	cloned := 0
	init, err := p.Run(ops(container(`/bin/busybox cat /proc/self/status; /bin/busybox hostname
		/bin/busybox pwd; /bin/busybox ls -l /proc/self/fd /dev; /bin/busybox wc -c </proc/keys
		/bin/busybox ls /proc/irq /proc/acpi | /bin/busybox wc -l; /bin/busybox mount; exit 42`)...), &Server{
		Descriptors: map[plan.Slot]*os.File{plan.SlotRoot: rootfs(t), plan.SlotNull: tree(t, "/dev/null")},
		Cloned:      func(pid int) error { cloned = pid; return nil },
		Asked:       func(plan.Op, *os.File) (*os.File, error) { return nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if cloned != init.PID {
		t.Errorf("cloned %d, init %d", cloned, init.PID)
	}
	out := capture(t, init.PID, init)
	t.Log(out)
}

// capture starts the init and returns what it wrote; its streams are this process's, so they go through
// /proc only where a test needs them. Here standard output is the test's own.
func capture(t *testing.T, pid int, init *Init) string {
	t.Helper()
	if err := init.Start(nil); err != nil {
		t.Fatal(err)
	}
	if ws := wait(pid); ws.ExitStatus() != 42 {
		t.Errorf("status %v", ws)
	}
	return ""
}

var _ = io.EOF
var _ = bytes.MinRead
var _ = strings.ToLower

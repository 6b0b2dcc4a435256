package cgroup

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// process is a shell in the container's cgroups that executes what it is told line by line.
type process struct {
	*exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

// spawn starts the shell. It joins by itself, as the preamble does; where v2 is the only hierarchy
// it is born in it.
func spawn(t *testing.T, m *Manager) *process {
	t.Helper()
	v2, v1, err := m.JoinFiles()
	if err != nil {
		t.Fatal(err)
	}
	// bash, because other shells redirect to descriptors of one digit only.
	join := `for fd in "$@"; do echo 0 >&$fd; done; while read -r line; do eval "$line"; done`
	args := []string{"-c", join, "bash"}
	for i := range v1 {
		args = append(args, []string{"3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"}[i])
	}
	p := &process{Cmd: exec.Command("bash", args...)}
	p.ExtraFiles = v1
	p.Stderr = os.Stderr
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if v2 != nil {
		fd, err := unix.Open(v2.Name(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		p.SysProcAttr.UseCgroupFD, p.SysProcAttr.CgroupFD = true, fd
		v2.Close()
	}
	p.in, _ = p.StdinPipe()
	out, _ := p.StdoutPipe()
	p.out = bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range v1 {
		f.Close()
	}
	t.Cleanup(func() {
		_ = m.Thaw()
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	p.do(t, "echo ready")
	return p
}

// do executes one line that answers with one line.
func (p *process) do(t *testing.T, line string) string {
	t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.TrimSpace(answer)
}

// whereabouts returns where a process is, by controller ("" for v2).
func whereabouts(t *testing.T, pid string) map[string]string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	at := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for _, c := range strings.Split(f[1], ",") {
			at[c] = f[2]
		}
	}
	return at
}

func TestJoin(t *testing.T) {
	s := typicalSpec(t)
	m := create(t, s, Options{})
	p := spawn(t, m)
	at := whereabouts(t, p.do(t, "echo $$"))
	for c := range m.Paths() {
		if at[c] != s.Linux.CgroupsPath {
			t.Errorf("in the %q hierarchy the process is in %s", c, at[c])
		}
	}
	pids, err := m.Pids()
	if err != nil || !slices.Equal(pids, []int{p.Process.Pid}) {
		t.Errorf("Pids = %v, %v", pids, err)
	}
}

func TestAddAndSubCgroup(t *testing.T) {
	s := typicalSpec(t)
	m := create(t, s, Options{})
	for _, p := range m.Paths() {
		if err := os.MkdirAll(p+"/inner", 0o755); err != nil {
			t.Fatal(err)
		}
		if m.Path("cpuset") == p && m.Mode() != V2 {
			for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
				if err := os.WriteFile(p+"/inner/"+name, []byte(content(t, m, "cpuset", name)), 0); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	cmd := exec.Command("sleep", "100")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if err := m.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := m.AddSub(cmd.Process.Pid, []string{"inner"}); err != nil {
		t.Fatal(err)
	}
	if pids, _ := m.Pids(); len(pids) != 0 {
		t.Errorf("Pids = %v", pids)
	}
	if pids, err := m.AllPids(); err != nil || len(pids) != 1 {
		t.Errorf("AllPids = %v, %v", pids, err)
	}
	if err := m.AddSub(cmd.Process.Pid, []string{"missing"}); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a sub-cgroup that does not exist: %v", err)
	}
	if err := m.Add(0); err == nil {
		t.Error("process 0 is taken: that would be the caller")
	}
}

func TestFreezeKillDestroy(t *testing.T) {
	m := create(t, typicalSpec(t), Options{})
	p := spawn(t, m)
	p.do(t, "sleep 100 & sleep 100 & echo")
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	if s, err := m.State(); s != Frozen || err != nil {
		t.Errorf("State = %v, %v", s, err)
	}
	if err := m.Thaw(); err != nil {
		t.Fatal(err)
	}
	if s, err := m.State(); s != Thawed || err != nil {
		t.Errorf("State = %v, %v", s, err)
	}
	p.do(t, "echo still here")
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := m.Destroy(); !errors.Is(err, unix.EBUSY) {
		t.Errorf("Destroy with processes: %v", err)
	}
	if d := time.Since(start); d > 2*destroyTimeout {
		t.Errorf("Destroy took %v to give up", d)
	}
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	if pids, err := m.AllPids(); len(pids) != 0 || err != nil {
		t.Errorf("after Kill: %v, %v", pids, err)
	}
	if err := m.Destroy(); err != nil {
		t.Error(err)
	}
	for name, f := range map[string]func() error{"Kill": m.Kill, "Destroy": m.Destroy} {
		if err := f(); err != nil {
			t.Errorf("%s of what is gone: %v", name, err)
		}
	}
	if s, err := m.State(); s != Unknown || err != nil {
		t.Errorf("State = %v, %v", s, err)
	}
}

// A container can freeze its own sub-cgroups, and fork faster than anyone can list.
func TestKillReachesFrozenSubCgroupsAndForkBombs(t *testing.T) {
	s := typicalSpec(t)
	m := create(t, s, Options{})
	p := spawn(t, m)
	freezer := m.Path("freezer")
	sub, file, value := freezer+"/sub", "freezer.state", "FROZEN"
	if m.Mode() == V2 {
		file, value = "cgroup.freeze", "1"
	}
	p.do(t, "mkdir "+sub+"; sleep 100 & echo $! >"+sub+"/cgroup.procs; echo "+value+" >"+sub+"/"+file+"; echo")
	p.do(t, "bomb() { for i in 1 2 3 4 5 6 7 8; do (sleep 0.001; bomb) & done; sleep 0.01; bomb; }; bomb 2>/dev/null & echo")
	time.Sleep(50 * time.Millisecond)
	start := time.Now()
	if err := m.Kill(); err != nil {
		t.Fatal(err)
	}
	t.Logf("Kill took %v", time.Since(start))
	if pids, err := m.AllPids(); len(pids) != 0 || err != nil {
		t.Errorf("after Kill: %v, %v", pids, err)
	}
	if err := m.Destroy(); err != nil {
		t.Error(err)
	}
}

func TestExistingCgroup(t *testing.T) {
	s := typicalSpec(t)
	m := create(t, s, Options{})
	again := func() error {
		m, err := New("again", s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return m.Create()
	}
	if err := again(); err != nil {
		t.Errorf("an empty cgroup is refused: %v", err)
	}
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := again(); !errors.Is(err, ErrFrozen) {
		t.Errorf("a frozen cgroup: %v", err)
	}
	if err := m.Thaw(); err != nil {
		t.Fatal(err)
	}
	p := spawn(t, m)
	if err := again(); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a cgroup in use: %v", err)
	}
	// In use by a sub-cgroup counts as well.
	sub := filepath.Join(m.Path("devices"), "sub")
	p.do(t, "mkdir "+sub+"; echo $$ >"+sub+"/cgroup.procs; echo")
	if err := again(); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a cgroup in use below: %v", err)
	}
	if !m.Exists() {
		t.Error("the refused Create removed the cgroup")
	}
}

// What Create made is gone when a limit cannot be set, and the error names the field.
func TestFailedCreateLeavesNothing(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		r      *specs.LinuxResources
		origin string
	}{
		"missing controller": {&specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "3MB", Limit: 1}}}, "/hugepageLimits/0/limit"},
		"refused value":      {&specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "4000-5000"}}, "/cpu/cpus"},
		"refused device":     {&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Type: "x", Access: "r"}}}, "/devices/0"},
	} {
		s := testSpec(t, c.r)
		m, err := New("box", s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = m.Create()
		if err == nil {
			t.Errorf("%s: accepted", name)
			_ = m.Destroy()
			continue
		}
		t.Log(err)
		if got := origin(err); got != resOrigin+c.origin {
			t.Errorf("%s: the error is about %s", name, got)
		}
		for _, h := range m.hs {
			if _, err := os.Lstat(filepath.Dir(h.path)); !os.IsNotExist(err) {
				t.Errorf("%s: %s is left (%v)", name, filepath.Dir(h.path), err)
			}
		}
	}
}

func TestMissingControllerIsNamed(t *testing.T) {
	r := &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(100))}}
	if have(t, "cpu") {
		r = &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 1 << 21}}}
		if have(t, "hugetlb") {
			t.Skip("this layout has all controllers")
		}
	}
	needRoot(t)
	m, err := New("box", testSpec(t, r), Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = m.Create()
	if err == nil || !strings.Contains(err.Error(), "controller is not available in this cgroup") || !strings.Contains(err.Error(), "(controllers: ") {
		t.Errorf("%v", err)
	}
	t.Log(err)
}

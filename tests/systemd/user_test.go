package systemd

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// An ordinary user with a service manager of its own gives a container limits, and changes them: systemd has delegated a
// part of the cgroup tree to the user.
func TestUserScope(t *testing.T) {
	harness.NeedRoot(t)
	u, err := user.Lookup("user")
	if err != nil || !harness.HasSystemd() {
		t.Skip("systemd does not run this machine, or it has no ordinary user with the name user: make test-vm")
	}
	// Before the Env, which has a copy of the machine's mounts.
	harness.Tool(t, "", "loginctl", "enable-linger", "user")
	runtimeDir := "/run/user/" + u.Uid
	for end := time.Now().Add(harness.Timeout); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(runtimeDir + "/bus"); err == nil {
			break
		}
	}
	e := newEnv(t)
	uid, err := strconv.Atoi(u.Uid)
	e.Must(err)
	o := harness.Options{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}, Env: []string{"XDG_RUNTIME_DIR=" + runtimeDir}}
	bailey := func(args ...string) *harness.Result { t.Helper(); return e.Run(o, args...) }
	e.WriteFile("log.json", "", 0o666)
	e.Must(os.Chmod(e.Log, 0o666))
	e.Must(os.Chown(e.Root, uid, uid))

	c := e.Container(func(s *specs.Spec) {
		s.Linux.CgroupsPath = ""
		s.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr[int64](64 << 20)}, Pids: &specs.LinuxPids{Limit: ptr[int64](20)}}
	})
	e.Must(filepath.WalkDir(c.Bundle, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Base(path) == "busybox" || filepath.Base(path) == "probe" {
			return err
		}
		return os.Lchown(path, uid, uid)
	}))
	bailey("run", "--detach", "--bundle", c.Bundle, c.ID).OK(e)
	where := fmt.Sprintf("/user.slice/user-%d.slice/user@%d.service/user.slice/bailey-%s.scope", uid, uid, c.ID)
	c.Cgroup = where
	var pid int
	if _, err := fmt.Sscan(strings.Trim(bailey("ps", "--format", "json", c.ID).OK(e), "[]\n"), &pid); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(e.ProcFile(pid, "cgroup")); got != "0::"+where {
		t.Errorf("it is in %q, want %q", got, where)
	}
	check := func(file, want string) {
		t.Helper()
		if got := c.CgroupValue("", file); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
	check("memory.max", fmt.Sprint(64<<20))
	check("pids.max", "20")
	bailey("update", "--memory", "33554432", "--pids-limit", "10", c.ID).OK(e)
	check("memory.max", fmt.Sprint(32<<20))
	check("pids.max", "10")
	if got := bailey("exec", c.ID, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done; :"); !strings.Contains(got.Stderr, "can't fork") {
		t.Errorf("the limit does not hold for exec: %s", got)
	}
	bailey("pause", c.ID).OK(e)
	bailey("resume", c.ID).OK(e)
	bailey("delete", "--force", c.ID).OK(e)
	if _, err := os.Stat("/sys/fs/cgroup" + where); err == nil {
		t.Error("the cgroup is left")
	}
}

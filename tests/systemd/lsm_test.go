package systemd

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// newLSMEnv returns an Env on a machine with a security module, whose file in sysfs or procfs says so.
func newLSMEnv(t *testing.T, module, file, enabled string) *harness.Env {
	t.Helper()
	harness.NeedRoot(t)
	b, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(b), enabled) {
		t.Skip("this machine has no " + module + ": make test-vm")
	}
	return harness.New(t, harness.ShortViews()[0])
}

// attribute returns the label of a process.
func attribute(e *harness.Env, pid int) string {
	return strings.Trim(e.ProcFile(pid, "attr/current"), "\x00\n")
}

// The payload, and what is executed beside it, are confined by the profile that was asked for; one that is not loaded
// is an error of create.
func TestAppArmor(t *testing.T) {
	e := newLSMEnv(t, "AppArmor", "/sys/module/apparmor/parameters/enabled", "Y")
	const profile = `profile bailey-test flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  signal,
  deny /work/secret r,
}
profile bailey-other flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  signal,
}`
	harness.Tool(t, profile, "apparmor_parser", "-r")
	t.Cleanup(func() { harness.Tool(t, profile, "apparmor_parser", "-R") })

	c := e.Container()
	c.Spec.Process.ApparmorProfile = "bailey-test"
	c.WriteSpec()
	e.Must(os.WriteFile(c.Rootfs+"/work/secret", []byte("secret\n"), 0o644))
	c.RunDetached().OK(e)
	if got := attribute(e, c.PID()); got != "bailey-test (enforce)" {
		t.Errorf("the payload is confined by %q", got)
	}
	if r := c.Exec(nil, "cat", "/work/secret"); r.Code == 0 || !strings.Contains(r.Stderr, "Permission denied") {
		t.Error(r)
	}
	if got := c.Exec([]string{"--apparmor", "bailey-other"}, "cat", "/work/secret", "/proc/self/attr/current").OK(e); got != "secret\nbailey-other (enforce)\n" {
		t.Errorf("%q", got)
	}
	c.Exec([]string{"--apparmor", "bailey-none"}, "true").Fails(e, "bailey-none")
	c.Delete("--force").OK(e)

	d := e.Container()
	d.Spec.Process.ApparmorProfile = "bailey-none"
	d.WriteSpec()
	d.Create().Fails(e, "/process/apparmorProfile", "bailey-none")
	u := e.Container(harness.UserNamespace)
	u.Spec.Process.ApparmorProfile, u.Spec.Process.NoNewPrivileges = "bailey-test", true
	u.WriteSpec()
	u.RunDetached().OK(e)
	if got := attribute(e, u.PID()); got != "bailey-test (enforce)" {
		t.Errorf("in a user namespace the payload is confined by %q", got)
	}
	u.Delete("--force").OK(e)

	for _, change := range []harness.Change{harness.All(), harness.UserNamespace} {
		s := e.Container(change)
		s.Spec.Process.ApparmorProfile = "bailey-test"
		s.WriteSpec()
		s.RunDetached("--seal", "always").OK(e)
		if got := attribute(e, s.PID()); got != "bailey-test (enforce)" {
			t.Errorf("sealed, the payload is confined by %q", got)
		}
		if got := s.Exec([]string{"--apparmor", "bailey-other"}, "cat", "/proc/self/attr/current").OK(e); got != "bailey-other (enforce)\n" {
			t.Errorf("sealed, exec is confined by %q", got)
		}
		s.Delete("--force").OK(e)
	}
}

// The payload has the label that was asked for, its filesystems that of linux.mountLabel, and the policy holds.
func TestSELinux(t *testing.T) {
	e := newLSMEnv(t, "SELinux", "/sys/fs/selinux/enforce", "")
	const process, other, files = "system_u:system_r:container_t:s0:c1,c2", "system_u:system_r:container_t:s0:c3,c4", "system_u:object_r:container_file_t:s0"
	harness.Tool(t, "", "setenforce", "1")
	t.Cleanup(func() { harness.Tool(t, "", "setenforce", "0") })

	c := e.Container(harness.Mounted("/run", "tmpfs", "tmpfs"))
	c.Spec.Process.SelinuxLabel, c.Spec.Linux.MountLabel = process, files
	c.WriteSpec()
	e.Must(os.WriteFile(c.Rootfs+"/work/secret", []byte("secret\n"), 0o644))
	harness.Tool(t, "", "chcon", "-R", files, c.Rootfs)
	harness.Tool(t, "", "chcon", "system_u:object_r:shadow_t:s0", c.Rootfs+"/work/secret")
	c.RunDetached().OK(e)
	if got := attribute(e, c.PID()); got != process {
		t.Errorf("the payload has the label %q", got)
	}
	label := make([]byte, 256)
	for _, path := range []string{"/run", "/dev", "/dev/shm"} {
		n, err := unix.Getxattr(fmt.Sprintf("/proc/%d/root%s", c.PID(), path), "security.selinux", label)
		if err != nil || strings.Trim(string(label[:n]), "\x00") != files {
			t.Errorf("%s has the label %q, %v", path, label[:max(n, 0)], err)
		}
	}
	// By way of a file of the container's: it may not write to those of the test.
	n := 0
	inside := func(flags []string, command string) string {
		t.Helper()
		n++ // a file belongs to the categories of who has made it
		out := fmt.Sprint("/work/out", n)
		c.Exec(flags, "sh", "-c", command+" > "+out+" 2>&1; true").OK(e)
		b, err := os.ReadFile(c.Rootfs + out)
		e.Must(err)
		return strings.Trim(string(b), "\x00\n")
	}
	if got := inside(nil, "cat /work/secret"); !strings.Contains(got, "Permission denied") {
		t.Errorf("the policy lets it read %q", got)
	}
	if got := inside(nil, "cat /proc/self/attr/current"); got != process {
		t.Errorf("exec has the label %q", got)
	}
	if got := inside([]string{"--process-label", other}, "cat /proc/self/attr/current"); got != other {
		t.Errorf("exec with a label of its own has %q", got)
	}
	c.Exec([]string{"--process-label", "no:such:label"}, "true").Fails(e, "no:such:label")
	c.Delete("--force").OK(e)

	s := e.Container()
	s.Spec.Process.SelinuxLabel, s.Spec.Linux.MountLabel = process, files
	s.WriteSpec()
	harness.Tool(t, "", "chcon", "-R", files, s.Rootfs)
	s.RunDetached("--seal", "always").OK(e)
	if got := attribute(e, s.PID()); got != process {
		t.Errorf("sealed, the payload has the label %q", got)
	}
	s.Delete("--force").OK(e)

	d := e.Container()
	d.Spec.Process.SelinuxLabel = "no:such:label"
	d.WriteSpec()
	d.Create().Fails(e, "/process/selinuxLabel", "no:such:label")
}

package systemd

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func ptr[T any](v T) *T { return &v }

// newEnv returns an Env with the systemd driver.
func newEnv(t *testing.T) *harness.Env {
	t.Helper()
	harness.NeedRoot(t)
	if !harness.HasSystemd() {
		t.Skip("systemd does not run this machine: make test-vm")
	}
	return harness.New(t, harness.Systemd)
}

// show returns a property of a unit.
func show(t *testing.T, unit, property string) string {
	t.Helper()
	return strings.TrimSpace(harness.Tool(t, "", "systemctl", "show", "--value", "-p", property, unit))
}

// limited has a limit of every kind that systemd knows.
func limited(e *harness.Env) harness.Change {
	return func(s *specs.Spec) {
		r := s.Linux.Resources
		r.Memory = &specs.LinuxMemory{Limit: ptr[int64](64 << 20), Reservation: ptr[int64](32 << 20)}
		r.CPU = &specs.LinuxCPU{Shares: ptr[uint64](512), Quota: ptr[int64](50000), Period: ptr[uint64](100000)}
		r.Pids = &specs.LinuxPids{Limit: ptr[int64](40)}
		if e.HasController("cpuset") {
			r.CPU.Cpus, r.CPU.Mems = "0", "0"
		}
	}
}

// check compares the limits of systemd and of the kernel.
func check(t *testing.T, c *harness.Container, unit string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		var got string
		if name[0] >= 'A' && name[0] <= 'Z' {
			got = show(t, unit, name)
		} else {
			got = c.CgroupValue("", name)
		}
		if got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
}

// The container is in a scope of the slice that its configuration names; its limits are known to systemd as well as to
// the kernel, survive a reload of systemd's configuration, and change with update; nothing of it is left afterwards.
func TestScope(t *testing.T) {
	e := newEnv(t)
	c := e.Container(limited(e))
	c.Spec.Annotations = map[string]string{
		"org.systemd.property.TimeoutStopSec": "uint64 3", "org.systemd.property.CollectMode": "'inactive'",
		"org.systemd.property.Documentation": "['man:bailey(8)']",
	}
	c.WriteSpec()
	unit := c.ID + ".scope"
	c.Create().OK(e)
	if got := e.ProcFile(c.PID(), "cgroup"); !strings.HasSuffix(strings.TrimSpace(got), c.Cgroup) {
		t.Errorf("the init is in %q", got)
	}
	c.Start().OK(e)
	want := map[string]string{
		"Slice": "bt.slice", "ControlGroup": c.Cgroup, "Delegate": "yes", "Description": "bailey container " + c.ID,
		"MemoryMax": fmt.Sprint(64 << 20), "MemoryLow": fmt.Sprint(32 << 20), "TasksMax": "40", "CPUQuotaPerSecUSec": "500ms",
		"CPUWeight": "59", "TimeoutStopUSec": "3s", "CollectMode": "inactive", "Documentation": `"man:bailey(8)"`,
		"memory.max": fmt.Sprint(64 << 20), "memory.low": fmt.Sprint(32 << 20), "pids.max": "40", "cpu.max": "50000 100000",
		"cpu.weight": "59",
	}
	if e.HasController("cpuset") {
		want["AllowedCPUs"], want["cpuset.cpus"] = "0", "0"
	}
	check(t, c, unit, want)
	harness.Tool(t, "", "systemctl", "daemon-reload")
	check(t, c, unit, want)
	if out := c.Sh("cat /proc/self/cgroup"); !strings.HasSuffix(out, "/") && !strings.HasSuffix(out, c.Cgroup) {
		t.Errorf("exec is in %q", out)
	}

	e.Bailey("update", "--memory", fmt.Sprint(48<<20), "--pids-limit", "30", "--cpu-quota", "25000", "--cpu-share", "1024", c.ID).OK(e)
	check(t, c, unit, map[string]string{
		"MemoryMax": fmt.Sprint(48 << 20), "TasksMax": "30", "CPUWeight": "100", "CPUQuotaPerSecUSec": "250ms",
		"memory.max": fmt.Sprint(48 << 20), "pids.max": "30", "cpu.weight": "100", "cpu.max": "25000 100000",
	})
	e.Bailey("pause", c.ID).OK(e)
	c.ExpectStatus("paused")
	e.Bailey("resume", c.ID).OK(e)
	c.Delete("--force").OK(e)
	if state := show(t, unit, "LoadState"); state != "not-found" {
		t.Errorf("the unit is %s after delete", state)
	}
}

// Without a cgroupsPath the scope is bailey's own in system.slice; one process is enough of a limit for a container of
// one process; and a scope that has failed is no obstacle for the next of that name.
func TestScopeNames(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	c.Spec.Linux.CgroupsPath = ""
	c.Spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr[int64](1)}
	c.WriteSpec()
	for range 2 {
		c.RunDetached().OK(e)
		unit := "bailey-" + c.ID + ".scope"
		if got := show(t, unit, "ControlGroup"); got != "/system.slice/"+unit {
			t.Errorf("%s is at %q", unit, got)
		}
		if got := show(t, unit, "TasksMax"); got != "1" {
			t.Errorf("TasksMax is %s", got)
		}
		c.Kill("KILL").OK(e)
		c.WaitStatus("stopped")
		c.Delete().OK(e)
	}
	d := e.Container(harness.Args("tail", "/dev/zero"))
	d.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr[int64](16 << 20), Swap: ptr[int64](16 << 20)}
	d.WriteSpec()
	for range 2 {
		if r := d.Run(); r.Code != 137 {
			t.Error(r)
		}
	}
	f := e.Container()
	f.Spec.Linux.CgroupsPath = "bt-" + strings.ReplaceAll(f.ID, "-", "_") + "-deep.slice:pre:fix+" + f.ID
	f.WriteSpec()
	f.RunDetached().OK(e)
	unit := `pre-fix\x2b` + f.ID + ".scope"
	name := strings.ReplaceAll(f.ID, "-", "_")
	if got, want := show(t, unit, "ControlGroup"), "/bt.slice/bt-"+name+".slice/bt-"+name+"-deep.slice/"+unit; got != want {
		t.Errorf("%s is at %q, want %q", unit, got, want)
	}
	f.Delete("--force").OK(e)
}

// What cannot be a unit is refused, with the field, and nothing is left.
func TestScopeRefused(t *testing.T) {
	e := newEnv(t)
	for _, tc := range []struct {
		path, annotation, value string
		texts                   []string
	}{
		{path: "/not/so", texts: []string{"/linux/cgroupsPath", `"slice:prefix:name"`}},
		{path: "a:b", texts: []string{"/linux/cgroupsPath", `"slice:prefix:name"`}},
		{path: "a:b:", texts: []string{"/linux/cgroupsPath", `"slice:prefix:name"`}},
		{path: "a:b:c", texts: []string{"/linux/cgroupsPath", "not the name of a slice"}},
		{path: "a--b.slice:b:c", texts: []string{"/linux/cgroupsPath", "not the name of a slice"}},
		{path: "bt.slice:b:" + strings.Repeat("c", 255), texts: []string{"/linux/cgroupsPath", "255 bytes"}},
		{annotation: "X", value: "'y'", texts: []string{"/annotations/", "three letters"}},
		{annotation: "TimeoutStopSec", value: "'y'", texts: []string{"/annotations/", "number of seconds"}},
		{annotation: "Documentation", value: "[1]", texts: []string{"/annotations/", "something else than strings"}},
		{annotation: "NoSuchProperty", value: "true", texts: []string{"NoSuchProperty"}},
	} {
		c := e.Container()
		if tc.path != "" {
			c.Spec.Linux.CgroupsPath = tc.path
		}
		if tc.annotation != "" {
			c.Spec.Annotations = map[string]string{"org.systemd.property." + tc.annotation: tc.value}
		}
		c.WriteSpec()
		c.Create().Fails(e, tc.texts...)
	}
	c := e.Container()
	c.RunDetached().OK(e)
	d := e.Container()
	d.Spec.Linux.CgroupsPath = c.Spec.Linux.CgroupsPath
	d.WriteSpec()
	d.Create().Fails(e, "/linux/cgroupsPath", "not empty")
	c.ExpectStatus("running")
	c.Delete("--force").OK(e)
}

// delete --force removes the scope of a container whose maker was killed.
func TestScopeOfKilledCreate(t *testing.T) {
	e := newEnv(t)
	e.Runtime = harness.FaultyBinary(t)
	for point := range 200 {
		c := e.Container()
		r := e.Run(harness.Options{Env: []string{fmt.Sprintf("BAILEY_FAULT=go %d", point)}}, "create", "--bundle", c.Bundle, c.ID)
		if r.Code == 0 {
			c.Delete("--force").OK(e)
			t.Logf("%d points", point)
			if point < 5 {
				t.Error("the points are not those of a create")
			}
			return
		}
		e.Bailey("delete", "--force", c.ID).OK(e)
		unit := c.ID + ".scope"
		if state := show(t, unit, "LoadState"); state != "not-found" {
			t.Fatalf("killed at point %d: the unit is %s (%s)", point, state, r)
		}
		os.RemoveAll(c.Bundle)
	}
	t.Error("no end of points")
}

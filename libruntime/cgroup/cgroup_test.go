package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// The tests of this package work on the machine's own cgroups, below a name of their own, in whatever
// layout they find: run them in a private mount namespace with another view for the others. They skip
// only where a controller is missing.

func ptr[T any](v T) *T { return &v }

func needRoot(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("making cgroups needs root")
	}
}

// need skips the test where a controller (by its v1 name) is not there.
func need(tb testing.TB, controllers ...string) {
	tb.Helper()
	for _, c := range controllers {
		if !have(tb, c) {
			tb.Skipf("no %s controller on this machine (%s)", c, Detect())
		}
	}
}

func have(tb testing.TB, controller string) bool {
	tb.Helper()
	if Detect() != V2 {
		own, err := ownCgroups()
		if err != nil {
			tb.Fatal(err)
		}
		return slices.ContainsFunc(own, func(m membership) bool {
			return slices.Contains(m.controllers, controller) && defaultMount(m.controllers) != ""
		})
	}
	if controller == "blkio" {
		controller = "io"
	}
	d, err := openDir(mountRoot)
	if err != nil {
		tb.Fatal(err)
	}
	defer d.close()
	return slices.Contains(append(controllersOf(d), "devices", "freezer"), controller)
}

var serial atomic.Int32

// testSpec returns a specification with a cgroupsPath that nobody else has.
func testSpec(tb testing.TB, r *specs.LinuxResources) *specs.Spec {
	tb.Helper()
	p := fmt.Sprintf("/bailey-test-%d-%d/box", os.Getpid(), serial.Add(1))
	tb.Cleanup(func() {
		for _, mount := range append([]string{mountRoot, hybridUnified}, glob(mountRoot+"/*")...) {
			_ = os.Remove(mount + filepath.Dir(p))
		}
	})
	return &specs.Spec{Linux: &specs.Linux{CgroupsPath: p, Resources: r}}
}

func glob(pattern string) []string {
	names, _ := filepath.Glob(pattern)
	return names
}

// typicalSpec has the limits that engines usually set, as far as the machine has the controllers.
func typicalSpec(tb testing.TB) *specs.Spec {
	r := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
	if have(tb, "memory") {
		r.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}
	}
	if have(tb, "cpu") {
		r.CPU = &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(50000)), Period: ptr(uint64(100000))}
	}
	if have(tb, "pids") {
		r.Pids = &specs.LinuxPids{Limit: ptr(int64(100))}
	}
	return testSpec(tb, r)
}

// create makes a container's cgroups and removes them when the test ends.
func create(tb testing.TB, s *specs.Spec, opts Options) *Manager {
	tb.Helper()
	needRoot(tb)
	m, err := New("test", s, opts)
	if err != nil {
		tb.Fatal(err)
	}
	if err := m.Create(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = m.Kill()
		if err := m.Destroy(); err != nil {
			tb.Error(err)
		}
	})
	return m
}

// content reads a control file of the container.
func content(tb testing.TB, m *Manager, controller, file string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(m.Path(controller), file))
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestCreateIsLimitedBeforeAnyoneJoins(t *testing.T) {
	m := create(t, typicalSpec(t), Options{})
	if pids, err := m.AllPids(); err != nil || len(pids) != 0 {
		t.Fatalf("AllPids = %v, %v", pids, err)
	}
	for _, c := range []struct{ controller, v1, v2, want1, want2 string }{
		{"memory", "memory.limit_in_bytes", "memory.max", "67108864", "67108864"},
		{"cpu", "cpu.shares", "cpu.weight", "512", "59"},
		{"cpu", "cpu.cfs_quota_us", "cpu.max", "50000", "50000 100000"},
		{"pids", "pids.max", "pids.max", "100", "100"},
	} {
		if !have(t, c.controller) {
			t.Logf("no %s controller here", c.controller)
			continue
		}
		file, want := c.v1, c.want1
		if m.Mode() == V2 {
			file, want = c.v2, c.want2
		}
		if got := content(t, m, c.controller, file); got != want {
			t.Errorf("%s = %q, want %q", file, got, want)
		}
	}
	if err := m.Destroy(); err != nil {
		t.Fatal(err)
	}
	if m.Exists() {
		t.Error("something is left")
	}
	if err := m.Destroy(); err != nil {
		t.Errorf("a second Destroy: %v", err)
	}
}

// origin returns the field of config.json that an error is about.
func origin(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return "not a fault: " + err.Error()
	}
	return f.Origin
}

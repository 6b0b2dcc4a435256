package cgroup

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestInnerPath(t *testing.T) {
	for _, c := range []struct{ id, cgroupsPath, want string }{
		{"box", "", "box"},
		{"box", "/a/b", "/a/b"},
		{"box", "a/b", "a/b"},
		{"box", "/../../a", "/a"},
		{"box", "../../../etc", "etc"},
		{"box", "a/../../../b", "b"},
		{"box", "//a//./b/", "/a/b"},
		{"box", "/", ""},
		{"box", "/..", ""},
		{"box", ".", ""},
		{"box", "a/..", ""},
		{"box", "/a\nb", ""},
		{"..", "", ""},
		{"a/b", "", ""},
		{"", "", ""},
	} {
		got, err := innerPath(c.id, c.cgroupsPath)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("innerPath(%q, %q) = %q, %v; want %q", c.id, c.cgroupsPath, got, err, c.want)
		}
	}
}

func TestBelow(t *testing.T) {
	for _, c := range []struct{ root, own, want string }{
		{"/", "/a/b", "/a/b"},
		{"/", "/", "/"},
		{"/docker/x", "/docker/x", "/"},
		{"/docker/x", "/docker/x/y", "/y"},
		{"/docker/x", "/docker/xy", ""},
		{"/docker/x", "/other", ""},
		{"/", "/../..", ""}, // outside of the cgroup namespace
	} {
		got, err := below(c.root, c.own)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("below(%q, %q) = %q, %v; want %q", c.root, c.own, got, err, c.want)
		}
	}
}

func TestMountTable(t *testing.T) {
	table := mountTable{text: `30 25 0:27 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:28 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw
40 30 0:31 /docker/x /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpuacct,cpu
41 30 0:32 / /a\040b rw - cgroup cgroup rw,xattr,name=systemd
`}
	for _, c := range []struct{ controller, mount, root string }{
		{"cpu", "/sys/fs/cgroup/cpu,cpuacct", "/docker/x"},
		{"cpuacct", "/sys/fs/cgroup/cpu,cpuacct", "/docker/x"},
		{"name=systemd", "/a b", "/"},
		{"memory", "", ""},
	} {
		mount, root, err := table.find(c.controller)
		if mount != c.mount || root != c.root || err != nil {
			t.Errorf("find(%q) = %q, %q, %v", c.controller, mount, root, err)
		}
	}
}

// Every hierarchy is used, and a relative path stays below the caller's own cgroup.
func TestPlaces(t *testing.T) {
	for _, cgroupsPath := range []string{"/bailey-test-none/box", "../bailey-test-none/box", ""} {
		m, err := New("box", &specs.Spec{Linux: &specs.Linux{CgroupsPath: cgroupsPath}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		paths := m.Paths()
		if _, v2 := paths[""]; v2 != (m.Mode() != V1) {
			t.Errorf("%s: paths of %s: %v", cgroupsPath, m.Mode(), paths)
		}
		for c, p := range paths {
			if mountOf(p) == "" || filepath.Clean(p) != p || !strings.HasSuffix(p, "/box") {
				t.Errorf("%q: %s = %q", cgroupsPath, c, p)
			}
		}
		if m.Exists() {
			t.Errorf("%q: New made something", cgroupsPath)
		}
		loaded, err := Load(paths, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(loaded.hs) != len(m.hs) {
			t.Errorf("%q: Load gives %d hierarchies of %d", cgroupsPath, len(loaded.hs), len(m.hs))
		}
		for c, p := range paths {
			if loaded.Path(c) != p {
				t.Errorf("%q: Load gives %q for %s, want %q", cgroupsPath, loaded.Path(c), c, p)
			}
		}
	}
}

func TestLoadRefusesPathsElsewhere(t *testing.T) {
	mount := mountRoot
	if m, err := New("box", nil, Options{}); err == nil {
		mount = m.hs[0].mount
	}
	for _, p := range []string{"", "/", "relative", "/tmp", "/nonexistent/a/b", mount, mount + "/..", mount + "/a/../../x"} {
		if _, err := Load(map[string]string{"": p}, Options{}); err == nil {
			t.Errorf("Load takes %q", p)
		}
	}
}

func TestDisabledDoesNothing(t *testing.T) {
	s := &specs.Spec{Linux: &specs.Linux{Resources: &specs.LinuxResources{}}}
	m, err := New("box", s, Options{Disabled: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Warnings()) != 1 {
		t.Errorf("warnings: %v", m.Warnings())
	}
	if err := m.Create(); err != nil || len(m.Paths()) != 0 || m.Exists() {
		t.Errorf("Create: %v", err)
	}
	if v2, v1, err := m.JoinFiles(); v2 != nil || v1 != nil || err != nil {
		t.Errorf("JoinFiles = %v, %v, %v", v2, v1, err)
	}
	for name, f := range map[string]func() error{"Kill": m.Kill, "Destroy": m.Destroy, "Add": func() error { return m.Add(1) }} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New("box", nil, Options{Systemd: true}); (err == nil) != (Detect() == V2) {
		t.Errorf("the systemd driver in the layout %s: %v", Detect(), err)
	}
}

func TestSubPaths(t *testing.T) {
	v1 := &Manager{mode: Hybrid, hs: []hierarchy{
		{controllers: []string{"cpu", "cpuacct"}, path: "/c/cpu/box"},
		{controllers: []string{"name=systemd"}, path: "/c/systemd/box"},
		{path: "/c/unified/box"},
	}}
	v2 := &Manager{mode: V2, hs: []hierarchy{{path: "/c/box"}}}
	for _, c := range []struct {
		m    *Manager
		sub  string
		want string
	}{
		{v1, "a", "/c/cpu/box/a /c/systemd/box/a /c/unified/box"},
		{v1, "/a/b", "/c/cpu/box/a/b /c/systemd/box/a/b /c/unified/box"},
		{v1, "cpu:a", "/c/cpu/box/a /c/systemd/box /c/unified/box"},
		{v1, "cpu,cpuacct:a", "/c/cpu/box/a /c/systemd/box /c/unified/box"},
		{v1, "systemd:a", "/c/cpu/box /c/systemd/box/a /c/unified/box"},
		{v1, ":a", "/c/cpu/box /c/systemd/box /c/unified/box/a"},
		{v1, "memory:a", ""},
		{v1, "../x", ""},
		{v1, "a/../../x", ""},
		{v2, "a", "/c/box/a"},
		{v2, ":a", "/c/box/a"},
		{v2, "/", "/c/box"},
		{v2, "cpu:a", ""},
		{v2, "..", ""},
	} {
		got, err := c.m.SubPaths([]string{c.sub})
		if strings.Join(got, " ") != c.want || (err == nil) != (c.want != "") {
			t.Errorf("SubPaths(%q) = %v, %v; want %s", c.sub, got, err, c.want)
		}
	}
}

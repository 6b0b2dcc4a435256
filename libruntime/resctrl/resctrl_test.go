package resctrl

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
)

// tree is a directory that looks like a resctrl filesystem. Here a group's files do not come and go with it, so they are
// made in advance.
func tree(t *testing.T, groups ...string) string {
	t.Helper()
	root := t.TempDir()
	old := filesystem
	filesystem = func() (string, error) { return root, nil }
	t.Cleanup(func() { filesystem = old })
	for _, g := range groups {
		dir := filepath.Join(root, g)
		if err := os.MkdirAll(dir+"/mon_groups", 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"tasks", "schemata"} {
			put(t, dir+"/"+name, "")
		}
	}
	return root
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func group(t *testing.T, r specs.LinuxIntelRdt) *Group {
	t.Helper()
	g, err := New("box", &r)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func cause(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Cause
	}
	return ""
}

func TestGivenClass(t *testing.T) {
	root := tree(t, "class")
	put(t, root+"/class/schemata", "    MB:0=20;1=070\n    L3:0=7f0;1=1f\n")
	g := group(t, specs.LinuxIntelRdt{ClosID: "class", L3CacheSchema: "L3:0=07F0", MemBwSchema: "MB:1=70"})
	if len(g.Removable()) != 0 {
		t.Errorf("%v is to be removed", g.Removable())
	}
	if err := g.Create(); err != nil {
		t.Error(err)
	}
	if err := g.Join(77); err != nil || get(t, root+"/class/tasks") != "77" {
		t.Errorf("%v, %q", err, get(t, root+"/class/tasks"))
	}
	if err := group(t, specs.LinuxIntelRdt{ClosID: "class", Schemata: []string{"L3:1=ff"}}).Create(); err == nil || !strings.Contains(cause(err), "L3:1=1f") {
		t.Errorf("another schema: %v", err)
	}
	if err := group(t, specs.LinuxIntelRdt{ClosID: "class"}).Create(); err != nil {
		t.Error(err)
	}
	if err := group(t, specs.LinuxIntelRdt{ClosID: "missing"}).Create(); err == nil || !strings.Contains(cause(err), "must exist") {
		t.Errorf("a class that is not there: %v", err)
	}
	if _, err := os.Stat(root + "/missing"); err == nil {
		t.Error("it was made and left")
	}
}

func TestDefaultClass(t *testing.T) {
	root := tree(t, ".")
	g := group(t, specs.LinuxIntelRdt{ClosID: "/", EnableMonitoring: true})
	if err := g.Create(); err != nil {
		t.Fatal(err)
	}
	put(t, root+"/mon_groups/box/tasks", "")
	if err := g.Join(5); err != nil || get(t, root+"/tasks") != "5" || get(t, root+"/mon_groups/box/tasks") != "5" {
		t.Error(err)
	}
	os.Remove(root + "/mon_groups/box/tasks")
	if err := Remove(g.Removable()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(root + "/mon_groups/box"); err == nil {
		t.Error("the monitoring group is left")
	}
	if err := Remove(g.Removable()); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := Remove([]string{root + "/../x"}); err == nil {
		t.Error("a path that leads elsewhere is removed")
	}
}

// A class of the container's own is made, and what cannot be written leaves nothing.
func TestOwnClass(t *testing.T) {
	root := tree(t)
	g := group(t, specs.LinuxIntelRdt{})
	if err := g.Create(); err != nil {
		t.Fatal(err)
	}
	if got := g.Removable(); len(got) != 1 || got[0] != root+"/box" {
		t.Errorf("%v", got)
	}
	if err := g.Create(); err == nil {
		t.Error("a second container of that name gets the same class")
	}
	if err := Remove(g.Removable()); err != nil {
		t.Error(err)
	}
	// This tree has no file for it.
	if err := group(t, specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f"}).Create(); err == nil {
		t.Error("schemata went nowhere")
	}
	if _, err := os.Stat(root + "/box"); err == nil {
		t.Error("the class is left")
	}
	root = tree(t, "class")
	g = group(t, specs.LinuxIntelRdt{ClosID: "class", L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=10", Schemata: []string{"L2:0=3"}})
	if err := g.Write(g.lines); err != nil || get(t, root+"/class/schemata") != "L3:0=f\nMB:0=10\nL2:0=3\n" {
		t.Errorf("%v, %q", err, get(t, root+"/class/schemata"))
	}
}

func TestNotMounted(t *testing.T) {
	if _, err := os.Stat("/sys/fs/resctrl/schemata"); err == nil {
		t.Skip("it is mounted here")
	}
	if _, err := New("box", &specs.LinuxIntelRdt{}); err == nil || !strings.Contains(err.Error(), "/linux/intelRdt") {
		t.Error(err)
	}
}

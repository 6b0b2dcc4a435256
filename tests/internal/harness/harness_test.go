package harness

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { Main(m) }

// What is left is found: a check that finds nothing proves nothing.
func TestLeftFindsEverything(t *testing.T) {
	NeedRoot(t)
	for _, v := range Views() {
		t.Run(string(v), func(t *testing.T) {
			e := New(t, v)
			if left := e.Left(); len(left) != 0 {
				t.Fatalf("before anything is done: %q", left)
			}
			c := e.Container()
			c.RunDetached().OK(e)
			dir := e.Path("mounted")
			e.Must(os.Mkdir(dir, 0o755))
			e.Do(func() { e.Must(unix.Mount("none", dir, "tmpfs", 0, "")) })
			left := "\n" + strings.Join(e.Left(), "\n")
			for _, kind := range []string{"state", "cgroup", "mount", "process", "namespace"} {
				if !strings.Contains(left, "\n"+kind+": ") {
					t.Errorf("no %s in what is left: %s", kind, left)
				}
			}
			e.Do(func() { e.Must(unix.Unmount(dir, 0)) })
			c.Delete("--force").OK(e)
			e.CheckNothingLeft()
		})
	}
}

// A view's hierarchies are what it says.
func TestViews(t *testing.T) {
	NeedRoot(t)
	for _, v := range Views() {
		e := New(t, v)
		var root, unified bool
		e.Do(func() { root, unified = isCgroup2(cgroupRoot), isCgroup2(cgroupRoot+"/unified") })
		if root != (v == V2) || unified != (v == Hybrid) {
			t.Errorf("view %s: cgroup2 at the root %v, below it %v", v, root, unified)
		}
	}
}

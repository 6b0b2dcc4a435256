package guides

import (
	"os/exec"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// Every command of a guide prints what the guide says.
func TestGuides(t *testing.T) {
	harness.NeedRoot(t)
	for _, tool := range []string{"usermod", "newuidmap", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	for _, page := range []string{"user-namespaces.md"} {
		t.Run(page, func(t *testing.T) {
			e := newMachine(t)
			all := steps(t, harness.Source(t, "docs/"+page))
			if len(all) == 0 {
				t.Fatal("no commands")
			}
			dirs := cgroups(e)
			first := newShell(e, root, dirs, nil)
			defer first.end()
			second := newShell(e, alice, dirs, first)
			defer second.end()
			shells := map[bool]*shell{true: first, false: second}
			for _, s := range all {
				if out := shells[s.root].run(s.command); !s.pattern().MatchString(out) {
					t.Errorf("%s:%d: %s\nprints\n%s", page, s.line, s.command, out)
				}
			}
		})
	}
}

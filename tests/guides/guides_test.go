package guides

import (
	"os/exec"
	"testing"

	"github.com/bailey-oci/bailey/internal/guide"
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
			all, err := guide.Read(harness.Source(t, "docs/"+page))
			e.Must(err)
			dirs := cgroups(e)
			first := newShell(e, root, dirs, nil)
			defer first.end()
			second := newShell(e, alice, dirs, first)
			defer second.end()
			shells := map[bool]*shell{true: first, false: second}
			for _, s := range all {
				if out := shells[s.Root].run(s.Command); !s.Pattern().MatchString(out) {
					t.Errorf("%s:%d: %s\nprints\n%s", page, s.Line, s.Command, out)
				}
			}
		})
	}
}

package docs

import (
	"os/exec"
	"path/filepath"
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
			all := steps(t, filepath.Join("../../docs", page))
			if len(all) == 0 {
				t.Fatal("no commands")
			}
			shells := map[bool]*shell{true: newShell(e, root), false: newShell(e, alice)}
			for _, s := range shells {
				enter(e, s.cmd.PID())
				defer s.end()
			}
			for _, s := range all {
				if out := shells[s.root].run(s.command); !s.pattern().MatchString(out) {
					t.Errorf("%s:%d: %s\nprints\n%s", page, s.line, s.command, out)
				}
			}
		})
	}
}

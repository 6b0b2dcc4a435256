package security

import (
	"os"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// newEnv returns an Env for a test in which the cgroups do not matter.
func newEnv(t *testing.T) *harness.Env {
	t.Helper()
	harness.NeedRoot(t)
	t.Parallel()
	return harness.New(t, harness.ShortViews()[0])
}

// prey makes a directory of the host's which no container may change; the test fails if one has.
func prey(t *testing.T, e *harness.Env) string {
	t.Helper()
	dir := e.Path("host")
	e.Must(os.Mkdir(dir, 0o777))
	t.Cleanup(func() {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) > 0 {
			t.Errorf("the host's directory was changed: %v %v", entries, err)
		}
	})
	return dir
}

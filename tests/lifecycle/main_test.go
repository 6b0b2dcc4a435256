package lifecycle

import (
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// eachView runs a test in all cgroup views that the machine can show.
func eachView(t *testing.T, f func(t *testing.T, e *harness.Env)) {
	harness.NeedRoot(t)
	for _, v := range harness.Views() {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			f(t, harness.New(t, v))
		})
	}
}

// newEnv returns an Env for a test in which the cgroups do not matter.
func newEnv(t *testing.T) *harness.Env {
	t.Helper()
	harness.NeedRoot(t)
	t.Parallel()
	return harness.New(t, harness.ShortViews()[0])
}

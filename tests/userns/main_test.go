package userns

import (
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// newEnv returns an Env with enough IDs for 64 containers, for a test in which the cgroups do not matter.
func newEnv(t *testing.T) *harness.Env {
	t.Helper()
	harness.NeedRoot(t)
	t.Parallel()
	return harness.NewWithAccount(t, harness.ShortViews()[0], harness.AccountSize)
}

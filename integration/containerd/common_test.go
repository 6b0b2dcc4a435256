package containerd

import (
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

const image = engine.Busybox

func must(t testing.TB, err error) {
	t.Helper()
	engine.Must(t, err)
}

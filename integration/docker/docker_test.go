package docker

import (
	"slices"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

type check = engine.Check[*daemon]

// checks are what is done with every daemon and runtime.
func checks() []check {
	return slices.Concat(runChecks, execChecks, controlChecks, fileChecks, limitChecks, namespaceChecks, networkChecks)
}

// TestDebian makes the checks with Debian's Docker.
func TestDebian(t *testing.T) {
	runAll(t, debian, engine.Runtimes(t))
}

func runAll(t *testing.T, v version, runtimes []engine.Runtime) {
	t.Helper()
	all := checks()
	for i, ch := range all {
		all[i].Do = func(c *engine.C, d *daemon) {
			c.Cleanup(func() {
				if c.Failed() || c.Skipped() {
					d.purge()
				}
			})
			ch.Do(c, d)
		}
	}
	setup := func(t *testing.T, r engine.Runtime) *daemon { return newDaemon(t, v, r, nil) }
	engine.Run(t, v.name, runtimes, setup, func(t testing.TB, d *daemon) engine.Inventory { return d.left(t) }, all)
}

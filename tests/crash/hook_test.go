package crash

import (
	"os"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// Killed while a hook runs that would run for ever. delete does not wait for it, and no hook outlives its
// container.
func TestDuringHook(t *testing.T) {
	eachVariant(t, func(v *victim) {
		ready := v.e.Path("ready")
		hang := []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", ": > " + ready + "; exec sleep 100000"}}}
		for name, hooks := range map[string]specs.Hooks{
			"createRuntime": {CreateRuntime: hang}, "createContainer": {CreateContainer: hang},
			"poststart": {Poststart: hang},
		} {
			os.Remove(ready)
			if name == "createContainer" { // by the container's root
				v.e.Must(os.Chmod(v.e.Dir, 0o777))
			}
			v.c.Spec.Hooks = &hooks
			v.c.WriteSpec()
			cmd := v.e.Start(harness.Options{}, "run", "--bundle", v.c.Bundle, v.c.ID)
			v.e.Eventually(name+" hook runs", func() bool {
				_, err := os.Stat(ready)
				return err == nil
			})
			cmd.Signal(syscall.SIGKILL)
			cmd.Wait()
			v.remove("the hook " + name)
		}
	})
}

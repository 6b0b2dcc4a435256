package crash

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// IDs of a container's own, in a pod's network, with a root filesystem that is made anew from the engine's layers: whenever
// bailey is killed, delete --force gives the IDs back, and leaves nothing in the layers.
func TestOwnIDs(t *testing.T) {
	harness.NeedRoot(t)
	for name, layered := range map[string]bool{"directory": false, "overlay": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := harness.NewWithAccount(t, harness.ShortViews()[0], harness.AccountSize)
			v := newVictimIn(e, t, harness.Without(specs.NetworkNamespace), func(s *specs.Spec) { s.Linux.Sysctl = nil },
				func(s *specs.Spec) {
					s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/mine", Type: "c", Major: 1, Minor: 3}}
				})
			v.flags = []string{"--userns", "auto:size=4096"}
			work := e.Path("layers/work")
			if layered {
				for _, dir := range []string{"/upper", "/work", "/merged"} {
					e.Must(os.MkdirAll(e.Path("layers")+dir, 0o755))
				}
				e.Tool("mount", "-t", "overlay", "overlay", "-o", "lowerdir="+v.c.Rootfs+",upperdir="+e.Path("layers/upper")+",workdir="+work, e.Path("layers/merged"))
				e.Mounted()
				v.c.Spec.Root.Path = e.Path("layers/merged")
				v.c.WriteSpec()
			}
			v.more = func() {
				if out := e.Bailey("ids", "list").OK(e); strings.Contains(out, " held ") {
					t.Errorf("held: %s", out)
				}
				// An init that had no cgroup yet ends by itself, when it notices that bailey is gone.
				e.Eventually("nobody has any of the IDs", func() bool { return e.Bailey("ids", "check").Code == 0 })
				left, _ := os.ReadDir(work)
				for _, entry := range left {
					if entry.Name() != "work" {
						t.Errorf("%s is left in the work directory", entry.Name())
					}
				}
			}
			killedInRun(v)
			// Killed between create and delete, in delete.
			v.c.Spec.Process.Args = []string{"sleep", "1000"}
			v.c.WriteSpec()
			n := v.each("go", func(fault string) bool {
				v.create("").OK(e)
				r := v.bailey(fault, "delete", v.c.ID)
				if !killed(r) {
					r.OK(e)
				}
				return killed(r)
			})
			t.Logf("delete killed at %d points", n)
		})
	}
}

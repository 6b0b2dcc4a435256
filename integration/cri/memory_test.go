package cri

import (
	"fmt"
	"testing"
	"time"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// TestMemory tells how much memory the shims of a pod with two containers have, beside containerd's own with runc.
func TestMemory(t *testing.T) {
	d := newest(t)
	d.run(t, engine.Bin(t)+"/bailey", images(t)...)
	sizes := make(map[string]int)
	for _, class := range []string{shimClass, runcClass} {
		p := env{d, class}.pod(t, "memory-"+class)
		defer p.remove()
		a := p.sleeper("a")
		p.sleeper("b")
		for range 20 {
			p.exec(a, "exit 0")
		}
		time.Sleep(4 * time.Second)
		for _, shim := range engine.Shims(p.t, p.id) {
			sizes[class] += engine.Resident(t, shim)
		}
		if sizes[class] == 0 {
			t.Errorf("%s: no shim", class)
		}
	}
	engine.Tell(t, fmt.Sprintf("cri (%s): the shim of a pod with two containers has %d KiB with bailey and %d KiB with runc, ratio %.2f\n",
		engine.View(), sizes[shimClass], sizes[runcClass], float64(sizes[shimClass])/float64(sizes[runcClass])))
}

package crash

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// Killed at some moment, not only at those that somebody has thought of; and with it the commands that ask for
// an orderly end, after which nothing may be left even without a delete.
func TestAtAnyMoment(t *testing.T) {
	eachVariant(t, func(v *victim) {
		counts := map[syscall.Signal]int{}
		for i := range 60 {
			sig := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT}[i%3]
			cmd := v.e.Start(harness.Options{}, "create", "--bundle", v.c.Bundle, v.c.ID)
			time.Sleep(time.Duration(rand.IntN(12000)) * time.Microsecond)
			cmd.Signal(sig)
			r := cmd.Wait()
			if r.Code != 0 {
				counts[sig]++
				if r.Code == 1 { // it has noticed
					v.e.CheckNothingLeft()
				}
			}
			v.remove(sig.String())
		}
		v.Logf("killed in the middle of create: %v", counts)
	})
}

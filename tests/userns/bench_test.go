package userns

import (
	"fmt"
	"os"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// BenchmarkOwners is what it takes to have the owners of 10,000 files in an image be those that a container has: with an ID
// mapping (a whole run of the container) and by changing them.
//
//	go test -run '^$' -bench Owners ./tests/userns
func BenchmarkOwners(b *testing.B) {
	e := harness.NewWithAccount(b, harness.ShortViews()[0], harness.AccountSize)
	c := e.Container(harness.Args("true"))
	for i := range 100 {
		dir := fmt.Sprintf("%s/home/%d", c.Rootfs, i)
		e.Must(os.Mkdir(dir, 0o755))
		for k := range 100 {
			e.Must(os.WriteFile(fmt.Sprintf("%s/%d", dir, k), nil, 0o644))
		}
	}
	b.Run("auto", func(b *testing.B) {
		for range b.N {
			c.Run("--userns", "auto").OK(e)
		}
	})
	b.Run("chown", func(b *testing.B) {
		for i := range b.N {
			owner := fmt.Sprint(100000 + i%2)
			e.Tool("chown", "-R", owner+":"+owner, c.Rootfs+"/home")
		}
	})
}

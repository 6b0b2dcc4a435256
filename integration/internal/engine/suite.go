package engine

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// Runtime is an OCI runtime under an engine. One whose name begins with "bailey" is ours.
type Runtime struct {
	Name, Path string
	calls      *calls
}

// Runtimes are the ones that an engine's checks are made with: bailey, whose failures are the test's, and Debian's runc, beside
// which it is judged. bailey is called through a program that keeps a record.
func Runtimes(t *testing.T) []Runtime {
	t.Helper()
	c := record(t, Bin(t)+"/bailey")
	return []Runtime{{"bailey", c.program, c}, {"runc", "/usr/sbin/runc", nil}}
}

// Check is one thing that users of an engine expect, in an environment E: a daemon, say, with one of the runtimes as its default.
type Check[E any] struct {
	Name string
	Do   func(c *C, e E)
}

// C is the test that a check is. What fails with another runtime is told, counted, and skipped.
type C struct {
	*testing.T
	Runtime Runtime
	failed  atomic.Bool // checks may fail in parallel
}

// lenient reports whether a failure is not the test's.
func (c *C) lenient() bool { return !strings.HasPrefix(c.Runtime.Name, "bailey") }

// Failed reports whether the check has failed, be that the test's failure or not.
func (c *C) Failed() bool { return c.failed.Load() || c.T.Failed() }

// Error is as that of testing.T.
func (c *C) Error(args ...any) {
	c.Helper()
	c.Log(args...)
	c.Fail()
}

// Errorf is as that of testing.T.
func (c *C) Errorf(format string, args ...any) {
	c.Helper()
	c.Logf(format, args...)
	c.Fail()
}

// Fatal is as that of testing.T.
func (c *C) Fatal(args ...any) {
	c.Helper()
	c.Log(args...)
	c.FailNow()
}

// Fatalf is as that of testing.T.
func (c *C) Fatalf(format string, args ...any) {
	c.Helper()
	c.Logf(format, args...)
	c.FailNow()
}

// Fail is as that of testing.T.
func (c *C) Fail() {
	c.failed.Store(true)
	if !c.lenient() {
		c.T.Fail()
	}
}

// FailNow is as that of testing.T.
func (c *C) FailNow() {
	c.Fail()
	if c.lenient() {
		c.SkipNow()
	}
	c.T.FailNow()
}

// Alone reports whether checks are made with bailey alone, and not with what it is judged beside, for want of time.
func Alone() bool { return os.Getenv("ENGINE_ALONE") != "" }

// Run makes every check with every runtime, counts, and tells the counts. setup makes the environment of one runtime's checks;
// what a check that passes leaves is its failure, if left is not nil: it tells what there is.
func Run[E any](t *testing.T, engine string, runtimes []Runtime, setup func(t *testing.T, r Runtime) E, left func(t testing.TB, e E) Inventory, checks []Check[E]) {
	t.Helper()
	if Alone() {
		runtimes = slices.DeleteFunc(slices.Clone(runtimes), func(r Runtime) bool { return (&C{Runtime: r}).lenient() })
	}
	passed := make(map[string]map[string]bool)
	for _, r := range runtimes {
		passed[r.Name] = make(map[string]bool)
		t.Run(r.Name, func(t *testing.T) {
			e := setup(t, r)
			for _, check := range checks {
				t.Run(check.Name, func(t *testing.T) {
					c := &C{T: t, Runtime: r}
					skipped := true // until it has come to its end
					defer func() {
						passed[r.Name][check.Name] = !c.failed.Load() && !t.Failed() && !skipped
						if c.failed.Load() && c.lenient() && !t.Skipped() {
							t.SkipNow()
						}
					}()
					var before Inventory
					if left != nil {
						before = left(c, e)
					}
					check.Do(c, e)
					if left != nil && !c.failed.Load() {
						before.Compare(c, func() Inventory { return left(c, e) })
					}
					skipped = t.Skipped()
				})
			}
			if r.calls != nil && len(passed[r.Name]) > 0 {
				r.calls.check(t, engine)
			}
		})
	}
	var b strings.Builder
	for _, r := range runtimes {
		if len(passed[r.Name]) == 0 {
			continue // left out by a pattern
		}
		n := 0
		for _, ok := range passed[r.Name] {
			if ok {
				n++
			}
		}
		fmt.Fprintf(&b, "%s (%s): %s passes %d of %d checks\n", engine, View(), r.Name, n, len(passed[r.Name]))
	}
	// What others pass and bailey does not there should be none of; the other way round is worth a line.
	for _, check := range checks {
		ours, ran := passed[runtimes[0].Name][check.Name]
		for _, r := range runtimes[1:] {
			if theirs, both := passed[r.Name][check.Name]; ran && both && ours != theirs {
				fmt.Fprintf(&b, "%s (%s): %s: %s %s, %s %s\n", engine, View(), check.Name, runtimes[0].Name, verdict(ours), r.Name, verdict(theirs))
			}
		}
	}
	Tell(t, b.String())
}

func verdict(passed bool) string {
	return map[bool]string{true: "passes", false: "does not"}[passed]
}

// Tell adds lines to the counts that `make test-engines` ends with.
func Tell(t testing.TB, lines string) {
	t.Helper()
	t.Log("\n" + lines)
	f, err := os.OpenFile(Built(t)+"/counts", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	Must(t, err)
	defer f.Close()
	_, err = f.WriteString(lines)
	Must(t, err)
}

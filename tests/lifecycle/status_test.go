package lifecycle

import (
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// The statuses in the order of a container's life, as state tells them.
func TestStatuses(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container()
		c.Create("--pid-file", e.Path("pid")).OK(e)
		c.ExpectStatus("created")
		s := c.State()
		if s.PID != e.PIDFile(e.Path("pid")) || !harness.Alive(s.PID) {
			t.Errorf("state has the process ID %d, the pid file %d", s.PID, e.PIDFile(e.Path("pid")))
		}
		c.Start().OK(e)
		c.ExpectStatus("running")
		c.Kill("KILL").OK(e)
		c.WaitStatus("stopped")
		c.Delete().OK(e)
		c.Env.Bailey("state", c.ID).Fails(e, "does not exist")
		e.CheckNothingLeft()
	})
}

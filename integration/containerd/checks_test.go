package containerd

import (
	"slices"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// checks are made with bailey under containerd's shim for runc, with runc there, and with bailey's own shim.
var checks = []engine.Check[*daemon]{
	{Name: "run", Do: run},
	{Name: "exec", Do: executed},
	{Name: "create and delete", Do: createAndDelete},
	{Name: "pause", Do: pause},
	{Name: "stats and update", Do: statsAndUpdate},
	{Name: "events", Do: eventsInOrder},
	{Name: "out of memory", Do: outOfMemory},
	{Name: "terminal", Do: terminal},
	{Name: "terminal of an exec", Do: terminalOfExec},
	{Name: "input is closed", Do: closeInput},
	{Name: "streams are the user's", Do: streamsBelongToTheUser},
	{Name: "log to a file", Do: logFile},
	{Name: "log to a program", Do: logProgram},
	{Name: "log by ctr", Do: logURI},
	{Name: "kill all", Do: killAll},
	{Name: "a client goes and comes", Do: attach},
	{Name: "100 containers", Do: hundredContainers},
	{Name: "100 execs", Do: hundredExecs},
	{Name: "pod", Do: pod},
	{Name: "pid namespace of another", Do: joinedPIDs},
	{Name: "no pid namespace", Do: sharedPIDs},
	{Name: "daemon is killed", Do: killedDaemon},
	{Name: "shim is killed", Do: killedShim},
	{Name: "checkpoint and restore", Do: checkpoint},
	{Name: "redis", Do: redis},
	{Name: "nginx", Do: nginx},
}

func TestContainerd(t *testing.T) {
	for _, v := range versions(t) {
		t.Run(v.name, func(t *testing.T) {
			// One daemon for all, because the images are big.
			d := newDaemon(t, v, ownShim)
			d.Ctr("images", "import", engine.DebianImage(t, t.TempDir()))
			setup := func(_ *testing.T, r engine.Runtime) *daemon {
				d.runtime = r
				return d
			}
			engine.Run(t, "containerd "+v.name, append(engine.Runtimes(t), ownShim), setup, takeInventory, guarded(slices.Concat(possible(), flagChecks(v), optionChecks)))
		})
	}
}

// possible are the checks without those that take a controller that this view has not.
func possible() []engine.Check[*daemon] {
	return slices.DeleteFunc(slices.Clone(checks), func(c engine.Check[*daemon]) bool {
		return c.Name == "out of memory" && !engine.Exists("/sys/fs/cgroup/memory") && !engine.V2Has("memory")
	})
}

// guarded returns the checks with the daemon speaking for the check that is made, and nothing left for the next.
func guarded(checks []engine.Check[*daemon]) []engine.Check[*daemon] {
	list := make([]engine.Check[*daemon], len(checks))
	for i, check := range checks {
		list[i].Name = check.Name
		list[i].Do = func(c *engine.C, d *daemon) {
			d.t = c
			defer func() {
				d.t, d.options = d.owner, nil
				if c.Failed() || c.Skipped() {
					d.reset()
				}
			}()
			check.Do(c, d)
		}
	}
	return list
}

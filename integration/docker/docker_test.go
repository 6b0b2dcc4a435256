package docker

import (
	"os"
	"slices"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

type check = engine.Check[*daemon]

// checks are what is done with every daemon and runtime, without what takes controllers that cgroup v2 may not have here.
func checks() []check {
	all := slices.Concat(runChecks, execChecks, controlChecks, fileChecks, limitChecks, namespaceChecks, networkChecks)
	if !engine.HasController("memory") {
		all = slices.DeleteFunc(all, func(c check) bool { return c.Name == "out of memory" || c.Name == "limits" })
	}
	return all
}

// newest is the Docker that `make test-engines` has built; Debian's client is older than what it talks to by itself.
func newest(t testing.TB) version {
	t.Helper()
	built := engine.Built(t)
	path := "PATH=" + built + "/newest:" + built + ":" + engine.Bin(t) + ":" + os.Getenv("PATH")
	return version{"docker 29", built + "/newest/dockerd", []string{path, "DOCKER_MIN_API_VERSION=1.41"}, 127, false, "255"}
}

// newestRuntimes are bailey and the newest runc: Debian's knows no time namespace, which Docker 29 gives to every container.
func newestRuntimes(t *testing.T) []engine.Runtime {
	t.Helper()
	all := engine.Runtimes(t)
	all[1].Path = engine.Built(t) + "/newest/runc"
	return all
}

// TestDebian makes the checks with Debian's Docker.
func TestDebian(t *testing.T) {
	runAll(t, debian, engine.Runtimes(t))
}

// TestNewest makes them with the newest, in one view beside runc.
func TestNewest(t *testing.T) {
	runtimes := newestRuntimes(t)
	if engine.View() == "v2" {
		runtimes = runtimes[:1]
	}
	runAll(t, newest(t), runtimes)
}

// TestShim makes them with the newest on containerd's shim, which executes no runtime.
func TestShim(t *testing.T) {
	v := newest(t)
	v.name += " on the shim"
	runAll(t, v, []engine.Runtime{{Name: "bailey", Path: "io.containerd.bailey.v2"}})
}

func runAll(t *testing.T, v version, runtimes []engine.Runtime) {
	t.Helper()
	setup := func(t *testing.T, r engine.Runtime) *daemon { return newDaemon(t, v, r, nil) }
	engine.Run(t, v.name, runtimes, setup, func(t testing.TB, d *daemon) engine.Inventory { return d.left(t) }, guarded(checks()))
}

// guarded returns checks that leave nothing to those after them, when they fail.
func guarded(all []check) []check {
	for i, ch := range all {
		all[i].Do = func(c *engine.C, d *daemon) {
			c.Cleanup(func() {
				if c.Failed() || c.Skipped() {
					thaw()
					d.purge()
				}
			})
			ch.Do(c, d)
		}
	}
	return all
}

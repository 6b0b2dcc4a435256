package containerd

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// CompareVariable names the variable with how often TestCompare measures; without it nothing is measured.
const CompareVariable = "BAILEY_COMPARE"

// execsAtOnce is how many processes are executed in parallel.
const execsAtOnce = 20

// figures are what is measured of a way to run containers.
type figures struct {
	engine.Runtime
	// run is `ctr run --rm` of /bin/true, exec an exec of it by the client, parallel twenty of them at once.
	run, exec, parallel []time.Duration
	cpu                 time.Duration // of the shim and all that it has waited for, for an exec
	memory, later       int           // of the shim, in KiB: fresh, and after the execs
}

// TestCompare measures this shim beside containerd's for runc, with runc and with crun: in turn, in one run, with Debian's
// daemon. The table is its result.
func TestCompare(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv(CompareVariable))
	if err != nil {
		t.Skip(CompareVariable + " is not set: make bench-engines")
	}
	ways := []*figures{{Runtime: ownShim}}
	for _, peer := range []string{"runc", "crun"} {
		if path, err := exec.LookPath(peer); err == nil {
			ways = append(ways, &figures{Runtime: engine.Runtime{Name: peer, Path: path}})
		}
	}
	withDaemons(t, func(t *testing.T, d *daemon) {
		if d.path != "/usr/bin/containerd" {
			t.Skip("the newest daemon asks for a version of the specification that Debian's crun refuses")
		}
		for i := range rounds {
			for _, w := range ways {
				d.runtime = w.Runtime
				args := d.run("run"+strconv.Itoa(i), "--rm", image, "run"+strconv.Itoa(i), "/bin/true")
				w.run = append(w.run, took(func() { d.Ctr(args...) }))
			}
		}
		tasks := make([]*task, len(ways))
		for i, w := range ways {
			d.runtime = w.Runtime
			// By Debian's ctr: the client's version of the specification is another one that crun refuses.
			k := &task{d: d, id: "idle" + strconv.Itoa(i)}
			d.Ctr(d.run(k.id, "-d", image, k.id, "/bin/sleep", "1000")...)
			k.container, err = d.client.LoadContainer(d.ctx, k.id)
			must(t, err)
			k.Task, err = k.container.Task(d.ctx, nil)
			must(t, err)
			tasks[i] = k
		}
		time.Sleep(4 * time.Second)
		for i, w := range ways {
			w.memory = engine.Resident(t, shim(t, tasks[i].id))
		}
		for range execsAtOnce {
			for i, w := range ways {
				before := cpuTime(t, shim(t, tasks[i].id))
				w.exec = append(w.exec, took(func() { tasks[i].execTrue("one") }))
				w.cpu += (cpuTime(t, shim(t, tasks[i].id)) - before) / execsAtOnce
			}
		}
		time.Sleep(4 * time.Second)
		for i, w := range ways {
			w.later = engine.Resident(t, shim(t, tasks[i].id))
		}
		for range max(rounds/3, 1) {
			for i, w := range ways {
				w.parallel = append(w.parallel, took(func() {
					var group sync.WaitGroup
					for n := range execsAtOnce {
						group.Go(func() { tasks[i].execTrue("p" + strconv.Itoa(n)) })
					}
					group.Wait()
				}))
			}
		}
		for _, k := range tasks {
			d.remove(k.id)
		}
		engine.Tell(t, table(ways))
	})
}

// table compares the first way with the others.
func table(ways []*figures) string {
	var b strings.Builder
	row := func(what string, value func(*figures) float64, format string) {
		fmt.Fprintf(&b, "%-36s", what)
		for _, w := range ways {
			fmt.Fprintf(&b, "  %s "+format, w.Name, value(w))
			if w != ways[0] {
				fmt.Fprintf(&b, " (ours/this %.2f)", value(ways[0])/value(w))
			}
		}
		b.WriteByte('\n')
	}
	row("ctr run --rm, median", func(w *figures) float64 { return median(w.run) }, "%.1f ms")
	row("exec, median", func(w *figures) float64 { return median(w.exec) }, "%.1f ms")
	row(fmt.Sprintf("%d execs at once, median", execsAtOnce), func(w *figures) float64 { return median(w.parallel) }, "%.0f ms")
	row("CPU time of an exec", func(w *figures) float64 { return ms(w.cpu) }, "%.1f ms")
	row("memory of the shim", func(w *figures) float64 { return float64(w.memory) / 1024 }, "%.1f MiB")
	row(fmt.Sprintf("memory after %d execs", execsAtOnce), func(w *figures) float64 { return float64(w.later) / 1024 }, "%.1f MiB")
	return b.String()
}

func took(do func()) time.Duration {
	begin := time.Now()
	do()
	return time.Since(begin)
}

func median(list []time.Duration) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return ms(sorted[len(sorted)/2])
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// execTrue executes /bin/true from the request to its deletion.
func (k *task) execTrue(id string) {
	k.d.t.Helper()
	p, err := k.Exec(k.d.ctx, id, &specs.Process{Args: []string{"/bin/true"}, Cwd: "/", Env: []string{"PATH=/bin"}}, cio.NullIO)
	must(k.d.t, err)
	exit, err := p.Wait(k.d.ctx)
	must(k.d.t, err)
	must(k.d.t, p.Start(k.d.ctx))
	if s := statusOf(k.d.t, exit); s != 0 {
		k.d.t.Errorf("exit status %d", s)
	}
	_, err = p.Delete(k.d.ctx, client.WithProcessKill)
	must(k.d.t, err)
}

// cpuTime returns the CPU time of a process and of all of its children that it has waited for.
func cpuTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	must(t, err)
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	var ticks int
	for _, field := range f[11:15] {
		n, err := strconv.Atoi(field)
		must(t, err)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

package containerd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// CompareVariable names the variable with how often TestCompare measures; without it nothing is measured.
const CompareVariable = "BAILEY_COMPARE"

// TestCompare measures `ctr run --rm` of /bin/true with this shim beside containerd's for runc, with runc and with crun: in
// turn, in one run, with Debian's daemon, and the memory of the shims of containers that run. The table is its result.
func TestCompare(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv(CompareVariable))
	if err != nil {
		t.Skip(CompareVariable + " is not set: make bench-engines")
	}
	ways := []struct {
		name string
		args []string
	}{{"bailey", []string{"--runtime", runtimeName}}}
	for _, peer := range []string{"runc", "crun"} {
		if path, err := exec.LookPath(peer); err == nil {
			ways = append(ways, struct {
				name string
				args []string
			}{peer, []string{"--runtime", "io.containerd.runc.v2", "--runc-binary", path}})
		}
	}
	withDaemons(t, func(t *testing.T, d *daemon) {
		if d.path != "/usr/bin/containerd" {
			t.Skip("the newest daemon asks for a version of the specification that Debian's crun refuses")
		}
		took := make([][]time.Duration, len(ways))
		for i := range rounds {
			for w, way := range ways {
				id := way.name + strconv.Itoa(i)
				args := slices.Concat([]string{"run", "--rm", "--cgroup", cgroupOf(id)}, way.args, []string{image, id, "/bin/true"})
				begin := time.Now()
				d.Ctr(args...)
				took[w] = append(took[w], time.Since(begin))
			}
		}
		var table strings.Builder
		for w, way := range ways {
			slices.Sort(took[w])
			slices.Sort(took[0])
			median := took[w][len(took[w])/2]
			fmt.Fprintf(&table, "%-8s median %6.1f ms  fastest %6.1f ms  bailey/this %.2f", way.name, ms(median), ms(took[w][0]), ms(took[0][rounds/2])/ms(median))
			if way.name != "crun" {
				args := slices.Concat([]string{"run", "-d", "--cgroup", cgroupOf("idle")}, way.args, []string{image, "idle", "/bin/sleep", "1000"})
				d.Ctr(args...)
				time.Sleep(4 * time.Second)
				fresh := resident(t)
				for i := range 20 {
					d.Ctr("tasks", "exec", "--exec-id", "e"+strconv.Itoa(i), "idle", "/bin/true")
				}
				time.Sleep(4 * time.Second)
				fmt.Fprintf(&table, "  shim's memory %d KiB, after 20 execs %d KiB", fresh, resident(t))
				d.Ctr("tasks", "delete", "-f", "idle")
				d.Ctr("containers", "delete", "idle")
			}
			table.WriteByte('\n')
		}
		engine.Tell(t, table.String())
	})
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

// resident returns the resident memory of the one shim that there is, in KiB.
func resident(t *testing.T) int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, p := range paths {
		if data, err := os.ReadFile(p); err != nil || !strings.Contains(string(data), "\x00-id\x00idle\x00") {
			continue
		}
		rollup, err := os.ReadFile(filepath.Join(filepath.Dir(p), "smaps_rollup"))
		must(t, err)
		for line := range strings.Lines(string(rollup)) {
			if f := strings.Fields(line); f[0] == "Rss:" {
				n, err := strconv.Atoi(f[1])
				must(t, err)
				return n
			}
		}
	}
	t.Fatal("no shim")
	return 0
}

package lifecycle

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// pause freezes every process, resume thaws them; a paused container can be killed.
func TestPause(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container(harness.Sh("i=0; while :; do i=$((i+1)); echo $i > /work/count; done"))
		c.RunDetached().OK(e)
		count := func() int {
			b, _ := os.ReadFile(c.Rootfs + "/work/count")
			n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
			return n
		}
		e.Eventually("it counts", func() bool { return count() > 0 })
		e.Bailey("pause", c.ID).OK(e)
		c.ExpectStatus("paused")
		if e.View == harness.V2 {
			if v := c.CgroupValue("", "cgroup.events"); !strings.Contains(v, "frozen 1") {
				t.Errorf("cgroup.events: %q", v)
			}
		} else if v := c.CgroupValue("freezer", "freezer.state"); v != "FROZEN" {
			t.Errorf("freezer.state: %q", v)
		}
		before := readFile(t, c.Rootfs, "work/count")
		for range 20 {
			e.Bailey("state", c.ID).OK(e) // takes some time
		}
		if after := readFile(t, c.Rootfs, "work/count"); after != before {
			t.Errorf("it has counted from %q to %q while it was paused", before, after)
		}
		e.Bailey("resume", c.ID).OK(e)
		c.ExpectStatus("running")
		n := count()
		e.Eventually("it counts again", func() bool { return count() != n })
		e.Bailey("pause", c.ID).OK(e)
		c.Kill("KILL").OK(e)
		c.WaitStatus("stopped")
		c.Delete().OK(e)
		e.CheckNothingLeft()
	})
}

func TestUpdate(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		if e.View == harness.V2 {
			t.Skip("asks for files of cgroup v1; TestUpdateOfEveryResource is for both")
		}
		c := e.Container()
		c.RunDetached().OK(e)
		check := func(values map[string]string) {
			t.Helper()
			for file, want := range values {
				controller, _, _ := strings.Cut(file, ".")
				if got := c.CgroupValue(controller, file); got != want {
					t.Errorf("%s: %s, want %s", file, got, want)
				}
			}
		}
		e.Bailey("update", "--memory", "64m", "--memory-reservation", "33554432", "--cpu-period", "50000", "--cpu-quota",
			"25000", "--cpu-share", "300", "--pids-limit", "77", c.ID).OK(e)
		check(map[string]string{"memory.limit_in_bytes": "67108864", "memory.soft_limit_in_bytes": "33554432",
			"cpu.cfs_period_us": "50000", "cpu.cfs_quota_us": "25000", "cpu.shares": "300", "pids.max": "77"})
		e.Bailey("update", "--memory", "32m", c.ID).OK(e)
		check(map[string]string{"memory.limit_in_bytes": "33554432", "pids.max": "77", "cpu.shares": "300"})
		e.Bailey("update", "--cpuset-cpus", "0", c.ID).OK(e)
		check(map[string]string{"cpuset.cpus": "0"})

		resources := `{"memory":{"limit":134217728},"pids":{"limit":-1},"cpu":{"shares":400}}`
		e.Bailey("update", "--resources", e.WriteFile("resources.json", resources, 0o600), c.ID).OK(e)
		check(map[string]string{"memory.limit_in_bytes": "134217728", "pids.max": "max", "cpu.shares": "400"})
		in, err := os.Open(e.WriteFile("stdin.json", `{"pids":{"limit":5}}`, 0o600))
		e.Must(err)
		defer in.Close()
		e.Run(harness.Options{Stdin: in}, "update", "--resources=-", c.ID).OK(e)
		check(map[string]string{"pids.max": "5"})

		for _, flags := range [][]string{
			{"--memory", "lots"}, {"--memory", "64q"}, {"--cpu-share", "-5"}, {"--pids-limit", "x"}, {"--cpuset-cpus", "9999"},
			{"--resources", e.WriteFile("bad.json", "{", 0o600)}, {"--resources", e.Path("nosuch")},
			{"--resources", e.WriteFile("bad2.json", `{"pids":{"limit":"5"}}`, 0o600)},
		} {
			if r := e.Bailey(append(append([]string{"update"}, flags...), c.ID)...); r.Code != 1 || r.Stderr == "" {
				t.Errorf("want a failure: %s", r)
			}
		}
		check(map[string]string{"memory.limit_in_bytes": "134217728", "pids.max": "5", "cpu.shares": "400"})
	})
}

// The limits work: a fork beyond pids.max fails, and memory beyond the limit is killed for.
func TestLimitsWork(t *testing.T) {
	e := newEnv(t)
	if !e.HasController("pids") || !e.HasController("memory") {
		t.Skip("this machine's cgroups have no controllers pids and memory in this view")
	}
	c := e.Container(harness.Sh(`i=0; while [ $i -lt 30 ]; do sleep 100 & i=$((i+1)); done; :`), rich(e))
	c.Spec.Linux.Resources.Pids.Limit = ptr[int64](10)
	c.WriteSpec()
	if r := c.Run(); !strings.Contains(r.Stderr, "can't fork") {
		t.Error(r)
	}
	d := e.Container(harness.Sh(`exec tail /dev/zero`), rich(e))
	if r := d.Run(); r.Code != 137 {
		t.Errorf("%s\nwant exit status 137", r)
	}
	e.CheckNothingLeft()
}

func TestPs(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container(harness.Sh("sleep 100000 & sleep 100000 & wait"))
		c.RunDetached().OK(e)
		var pids []int
		e.Eventually("three processes", func() bool {
			if err := json.Unmarshal([]byte(e.Bailey("ps", "--format", "json", c.ID).OK(e)), &pids); err != nil {
				t.Fatal(err)
			}
			return len(pids) == 3
		})
		if fmt.Sprint(pids[0]) != fmt.Sprint(c.PID()) && !strings.Contains(fmt.Sprint(pids), fmt.Sprint(c.PID())) {
			t.Errorf("the init %d is not among %v", c.PID(), pids)
		}
		for _, pid := range pids {
			if cg := e.ProcFile(pid, "cgroup"); !strings.Contains(cg, c.Cgroup) {
				t.Errorf("process %d is not in the container: %s", pid, cg)
			}
		}
		if exec.Command("ps", "-ef").Run() != nil {
			return // the machine's ps does not work
		}
		lines := strings.Split(strings.TrimSpace(e.Bailey("ps", c.ID).OK(e)), "\n")
		if len(lines) != 4 || !strings.Contains(lines[0], "PID") {
			t.Errorf("table: %q", lines)
		}
		lines = strings.Split(strings.TrimSpace(e.Bailey("ps", c.ID, "-o", "pid,comm").OK(e)), "\n")
		if len(lines) != 4 || !strings.Contains(lines[0], "COMMAND") {
			t.Errorf("with options of ps: %q", lines)
		}
	})
}

// A device that the rules forbid cannot be opened, one that they allow can.
func TestDeviceRules(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container(rich(e), harness.Capabilities("CAP_MKNOD", "CAP_DAC_OVERRIDE"))
		c.Spec.Process.User.UID = 0
		c.WriteSpec()
		c.RunDetached().OK(e)
		for path, want := range map[string]string{"/dev/null": "ok", "/dev/fuse": "ok"} {
			if got := c.Sh("probe open rw " + path); got != want {
				t.Errorf("open %s: %s, want %s", path, got, want)
			}
		}
		// Any node may be made, as with runc, but not opened: mem, hw_random, a disk.
		for _, device := range []string{"c 1 1", "c 10 183", "b 254 0"} {
			if got := c.Sh("rm -f /work/node; mknod /work/node " + device + "; probe open r /work/node"); got != "EPERM" {
				t.Errorf("open of device %s: %s", device, got)
			}
		}
	})
}

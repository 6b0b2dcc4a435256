package docker

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

const loop = "i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.02; done"

var controlChecks = []check{
	{Name: "inspect, top, stats", Do: func(c *engine.C, d *daemon) {
		d.up(c, "seen", image, "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo worked; sleep 4321")
		engine.Eventually(c, "it has worked", func() error { return engine.Contains(d.docker(c, "logs", "seen"), "worked") })
		command, err := os.ReadFile("/proc/" + d.pid(c, "seen") + "/cmdline")
		engine.Must(c, err)
		has(c, "the process", string(command), "sleep\x004321")
		has(c, "top", d.docker(c, "top", "seen"), "sleep 4321")
		has(c, "top with columns", d.docker(c, "top", "seen", "-o", "pid,comm"), "COMMAND", "sleep", d.pid(c, "seen"))
		var stats struct{ PIDs, MemUsage, CPUPerc string }
		engine.Must(c, json.Unmarshal([]byte(d.docker(c, "stats", "--no-stream", "--format={{json .}}", "seen")), &stats))
		if engine.HasController("memory") {
			want(c, "memory is used", stats.MemUsage != "" && !strings.HasPrefix(stats.MemUsage, "0B"), true)
		}
		if engine.HasController("pids") {
			want(c, "processes", stats.PIDs, "1")
		}
		d.down(c, "seen")
	}},
	{Name: "update", Do: func(c *engine.C, d *daemon) {
		d.up(c, "update", image, "sleep", "1000")
		if !engine.HasController("memory") {
			d.docker(c, "update", "--restart=on-failure:3", "update")
			want(c, "policy", d.inspect(c, "update", ".HostConfig.RestartPolicy.MaximumRetryCount"), "3")
			d.down(c, "update")
			return
		}
		pid := d.pid(c, "update")
		d.docker(c, "update", "--memory=64m", "--memory-swap=64m", "--cpus=0.5", "--pids-limit=50", "--cpu-shares=512", "--cpuset-cpus=0", "update")
		for _, limit := range [][3]string{
			{"memory", "memory.limit_in_bytes", "67108864"}, {"cpu", "cpu.cfs_quota_us", "50000"}, {"pids", "pids.max", "50"},
			{"cpu", "cpu.shares", "512"}, {"cpuset", "cpuset.cpus", "0"},
		} {
			want(c, limit[1], readCgroup(c, pid, limit[0], limit[1]), limit[2])
		}
		d.docker(c, "update", "--memory=128m", "--memory-swap=256m", "--pids-limit=-1", "update")
		want(c, "more memory", readCgroup(c, pid, "memory", "memory.limit_in_bytes"), "134217728")
		want(c, "any number of processes", readCgroup(c, pid, "pids", "pids.max"), "max")
		want(c, "the rest stays", readCgroup(c, pid, "cpu", "cpu.shares"), "512")
		d.docker(c, "update", "--memory=32m", "--memory-swap=64m", "update")
		want(c, "less memory", readCgroup(c, pid, "memory", "memory.limit_in_bytes"), "33554432")
		_, status := d.try("update", "--cpuset-cpus=1000", "update")
		want(c, "no such CPU", status != 0, true)
		d.down(c, "update")
	}},
	{Name: "pause, unpause", Do: func(c *engine.C, d *daemon) {
		d.up(c, "pause", image, "sh", "-c", loop)
		d.docker(c, "pause", "pause")
		want(c, "state", d.inspect(c, "pause", ".State.Status"), "paused")
		count := func() string {
			b, err := os.ReadFile("/proc/" + d.pid(c, "pause") + "/root/count")
			engine.Must(c, err)
			return string(b)
		}
		before := count()
		time.Sleep(200 * time.Millisecond)
		want(c, "the count, paused", count(), before)
		out, status := d.try("exec", "pause", "true")
		want(c, "exec", status != 0, true)
		has(c, "exec", out, "paused")
		d.docker(c, "unpause", "pause")
		engine.Eventually(c, "it counts", func() error {
			if count() == before {
				return fmt.Errorf("still %s", before)
			}
			return nil
		})
		d.down(c, "pause")
	}},
	{Name: "remove what runs or is paused", Do: func(c *engine.C, d *daemon) {
		d.up(c, "running", image, "sleep", "1000")
		_, status := d.try("rm", "running")
		want(c, "without force", status != 0, true)
		d.up(c, "paused", image, "sleep", "1000")
		d.docker(c, "pause", "paused")
		d.down(c, "running", "paused")
		_, status = d.try("inspect", "paused")
		want(c, "it is gone", status != 0, true)
	}},
	{Name: "stop what is paused", Do: func(c *engine.C, d *daemon) {
		d.up(c, "paused", image, "sleep", "1000")
		d.docker(c, "pause", "paused")
		d.docker(c, "stop", "-t", "1", "paused")
		want(c, "exit status", d.inspect(c, "paused", ".State.ExitCode"), "137")
		d.down(c, "paused")
	}},
	{Name: "stop with signal and timeout", Do: func(c *engine.C, d *daemon) {
		const trap = "trap 'exit 5' %s; echo ready; while :; do sleep 0.05; done"
		for _, tc := range []struct{ trap, flag, status string }{{"TERM", "--stop-signal=SIGTERM", "5"}, {"USR1", "--stop-signal=USR1", "5"}, {"HUP", "--stop-timeout=0", "137"}} {
			d.up(c, "stop", tc.flag, image, "sh", "-c", fmt.Sprintf(trap, tc.trap))
			engine.Eventually(c, "it is ready", func() error { return engine.Contains(d.docker(c, "logs", "stop"), "ready") })
			d.docker(c, "stop", "stop")
			want(c, tc.flag, d.inspect(c, "stop", ".State.ExitCode"), tc.status)
			d.down(c, "stop")
		}
	}},
	{Name: "kill with signals", Do: func(c *engine.C, d *daemon) {
		d.up(c, "kill", image, "sh", "-c", "trap 'echo one' USR1; trap 'echo two' HUP; echo ready; while :; do sleep 0.05; done")
		logged := func(word string) {
			engine.Eventually(c, "there is "+word, func() error { return engine.Contains(d.docker(c, "logs", "kill"), word) })
		}
		logged("ready")
		d.docker(c, "kill", "-s", "USR1", "kill")
		logged("one")
		d.docker(c, "kill", "--signal=1", "kill")
		logged("two")
		d.docker(c, "kill", "kill")
		d.becomes(c, "kill", ".State.Status", "exited")
		want(c, "exit status", d.inspect(c, "kill", ".State.ExitCode"), "137")
		out, status := d.try("kill", "kill")
		want(c, "one that has ended", status != 0, true)
		has(c, "one that has ended", out, "is not running")
		d.down(c, "kill")
	}},
	{Name: "restart", Do: func(c *engine.C, d *daemon) {
		d.up(c, "restart", image, "sh", "-c", "echo x >> /log; exec sleep 1000")
		pid := d.pid(c, "restart")
		d.docker(c, "restart", "-t", "0", "restart")
		want(c, "another process", d.pid(c, "restart") != pid, true)
		engine.Eventually(c, "the files stay", func() error { return engine.Contains(d.exec(c, "restart", "cat", "/log"), "x\nx") })
		d.docker(c, "stop", "-t", "0", "restart")
		d.docker(c, "start", "restart")
		engine.Eventually(c, "the files stay", func() error { return engine.Contains(d.exec(c, "restart", "cat", "/log"), "x\nx\nx") })
		d.down(c, "restart")
	}},
	{Name: "restart policies", Do: func(c *engine.C, d *daemon) {
		d.up(c, "fails", "--restart=on-failure:2", image, "sh", "-c", "exit 3")
		d.up(c, "always", "--restart=always", image, "sleep", "1000")
		d.up(c, "stopped", "--restart=unless-stopped", image, "sleep", "1000")
		pid := d.inspect(c, "always", ".State.Pid")
		// From outside, as an OOM killer would.
		var n int
		engine.Must(c, json.Unmarshal([]byte(pid), &n))
		engine.Must(c, syscall.Kill(n, syscall.SIGKILL))
		d.docker(c, "stop", "-t", "0", "stopped")
		d.becomes(c, "fails", ".State.Status", "exited")
		want(c, "on-failure", d.inspect(c, "fails", ".RestartCount"), "2")
		engine.Eventually(c, "always: it runs again", func() error {
			if got := d.inspect(c, "always", ".State.Pid"); got == pid || got == "0" {
				return fmt.Errorf("process %s", got)
			}
			return nil
		})
		want(c, "unless-stopped", d.inspect(c, "stopped", ".State.Status"), "exited")
		d.down(c, "fails", "always", "stopped")
	}},
	{Name: "rename, create, start, ps", Do: func(c *engine.C, d *daemon) {
		d.docker(c, "create", "--network=none", "--name", "first", image, "sleep", "1000")
		want(c, "state", d.inspect(c, "first", ".State.Status"), "created")
		d.docker(c, "rename", "first", "second")
		d.docker(c, "start", "second")
		d.docker(c, "rename", "second", "third")
		want(c, "ps", d.docker(c, "ps", "--format={{.Names}}"), "third")
		d.down(c, "third")
		d.docker(c, "create", "--network=none", "--name", "never", image, "true")
		d.docker(c, "rm", "never")
	}},
	{Name: "out of memory", Do: func(c *engine.C, d *daemon) {
		_, status := d.try("run", "--name=oom", "--network=none", "--memory=16m", "--memory-swap=16m", image, "tail", "/dev/zero")
		want(c, "exit status", status, 137)
		want(c, "OOMKilled", d.inspect(c, "oom", ".State.OOMKilled"), "true")
		d.down(c, "oom")
	}},
}

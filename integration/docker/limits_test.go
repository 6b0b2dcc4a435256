package docker

import (
	"fmt"
	"os"
	"strings"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// Capabilities in a mask of /proc/PID/status.
const (
	capChown     = 1 << 0
	capKill      = 1 << 5
	capNetAdmin  = 1 << 12
	capSysAdmin  = 1 << 21
	capsOfDocker = 0xa80425fb
)

// capabilities returns the effective, permitted, bounding, inheritable and ambient sets of a container's process.
func capabilities(c *engine.C, d *daemon, args ...string) string {
	c.Helper()
	args = append(args, image, "sh", "-c", "for s in Eff Prm Bnd Inh Amb; do grep Cap$s /proc/self/status; done | cut -f2")
	return strings.Join(strings.Fields(d.run(c, args...)), " ")
}

// sets is such a text.
func sets(effective, permitted, bounding uint64) string {
	return fmt.Sprintf("%016x %016x %016x %016x %016x", effective, permitted, bounding, 0, 0)
}

var limitChecks = []check{
	{Name: "capabilities", Do: func(c *engine.C, d *daemon) {
		for _, tc := range []struct {
			args string
			set  uint64
		}{
			{"", capsOfDocker}, {"--cap-drop=all", 0}, {"--cap-drop=all --cap-add=chown --cap-add=CAP_KILL", capChown | capKill},
			{"--cap-add=net_admin", capsOfDocker | capNetAdmin}, {"--cap-drop=chown", capsOfDocker &^ capChown}, {"--cap-add=sys_admin --cap-drop=kill", capsOfDocker&^capKill | capSysAdmin},
		} {
			want(c, tc.args, capabilities(c, d, strings.Fields(tc.args)...), sets(tc.set, tc.set, tc.set))
		}
		want(c, "of an ordinary user", capabilities(c, d, "--user=1000"), sets(0, 0, capsOfDocker))
	}},
	{Name: "users and groups", Do: func(c *engine.C, d *daemon) {
		want(c, "--user", d.run(c, "--user=1000:1001", "--group-add=7", "--group-add=8", image, "id"), "uid=1000 gid=1001 groups=7,8,1001")
		want(c, "a user without a group", d.run(c, "--user=1000", image, "sh", "-c", "id -u; id -g"), "1000\n0")
		want(c, "a name", d.run(c, "--user=root", image, "id", "-u"), "0")
		want(c, "own terminal", d.run(c, "--user=1000", "-t", image, "sh", "-c", "stat -c %u /dev/pts/0; echo > /dev/tty && echo written"), "1000\r\n\r\nwritten")
	}},
	{Name: "no new privileges", Do: func(c *engine.C, d *daemon) {
		has(c, "set", d.run(c, "--security-opt=no-new-privileges", image, "grep", "NoNewPrivs", "/proc/self/status"), "1")
		has(c, "not set", d.run(c, image, "grep", "NoNewPrivs", "/proc/self/status"), "0")
	}},
	{Name: "seccomp", Do: func(c *engine.C, d *daemon) {
		has(c, "by itself", d.run(c, image, "grep", "Seccomp:", "/proc/self/status"), "2")
		_, status := d.try("run", "--rm", "--network=none", image, "unshare", "-U", "true")
		want(c, "by itself: unshare", status != 0, true)
		has(c, "unconfined", d.run(c, "--security-opt=seccomp=unconfined", image, "sh", "-c", "grep Seccomp: /proc/self/status; unshare -U true && echo made"), "0", "made")
		profile := c.TempDir() + "/profile.json"
		engine.Must(c, os.WriteFile(profile, []byte(`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}`), 0o644))
		out := d.run(c, "--security-opt=seccomp="+profile, image, "sh", "-c", "grep Seccomp: /proc/self/status; mkdir /x 2>&1 || echo refused")
		has(c, "a profile", out, "2", "refused", "No space left")
		engine.Must(c, os.WriteFile(profile, []byte(`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_KILL_PROCESS"}]}`), 0o644))
		out, status = d.try("run", "--rm", "--network=none", "--security-opt=seccomp="+profile, image, "mkdir", "/x")
		want(c, "one that kills: "+out, status, 159)
	}},
	{Name: "devices", Do: func(c *engine.C, d *daemon) {
		const open = "exec 3<>/dev/fuse && echo opened"
		has(c, "--device", d.run(c, "--device=/dev/fuse", image, "sh", "-c", open), "opened")
		out := d.run(c, image, "sh", "-c", "test -e /dev/fuse || echo not there; mknod /dev/fuse c 10 229; ("+open+") 2>&1 || true")
		has(c, "without", out, "not there", "Operation not permitted")
		has(c, "a rule", d.run(c, "--device-cgroup-rule=c 10:229 rwm", image, "sh", "-c", "mknod /dev/fuse c 10 229; "+open), "opened")
		out = d.run(c, "--device=/dev/fuse:/dev/other:r", image, "sh", "-c", "exec 3</dev/other && echo read; (exec 4<>/dev/other) 2>&1 || true")
		has(c, "another name, to read", out, "read", "Operation not permitted")
		has(c, "what is always there", d.run(c, image, "sh", "-c", "echo > /dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c"), "3\n3")
		has(c, "for a user", d.run(c, "--user=1000", image, "sh", "-c", "echo > /dev/null && echo written"), "written")
	}},
	{Name: "ulimits", Do: func(c *engine.C, d *daemon) {
		out := d.run(c, "--ulimit=nofile=100:200", "--ulimit=core=0", "--ulimit=nproc=50:60", image, "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c; grep processes /proc/self/limits")
		want(c, "ulimit", strings.Join(strings.Fields(out), " "), "100 200 0 Max processes 50 60 processes")
	}},
	{Name: "sysctl", Do: func(c *engine.C, d *daemon) {
		out := d.run(c, "--sysctl=net.core.somaxconn=321", "--sysctl=kernel.msgmax=4321", "--sysctl=net.ipv4.ip_forward=1", image, "cat", "/proc/sys/net/core/somaxconn", "/proc/sys/kernel/msgmax", "/proc/sys/net/ipv4/ip_forward")
		want(c, "sysctl", out, "321\n4321\n1")
	}},
	{Name: "OOM score", Do: func(c *engine.C, d *daemon) {
		want(c, "--oom-score-adj", d.run(c, "--oom-score-adj=500", image, "cat", "/proc/self/oom_score_adj"), "500")
	}},
	{Name: "limits", Do: func(c *engine.C, d *daemon) {
		d.up(c, "limits", "--memory=64m", "--memory-reservation=32m", "--memory-swap=96m", "--cpus=1.5", "--cpuset-cpus=0", "--pids-limit=20", "--cpu-shares=256", "--blkio-weight=0", "--kernel-memory=0", image, "sleep", "1000")
		pid := d.pid(c, "limits")
		for _, limit := range [][3]string{
			{"memory", "memory.limit_in_bytes", "67108864"}, {"memory", "memory.soft_limit_in_bytes", "33554432"}, {"cpu", "cpu.cfs_quota_us", "150000"},
			{"pids", "pids.max", "20"}, {"cpu", "cpu.shares", "256"}, {"cpuset", "cpuset.cpus", "0"},
		} {
			want(c, limit[1], readCgroup(c, pid, limit[0], limit[1]), limit[2])
		}
		out, _ := d.try("exec", "limits", "sh", "-c", "for i in $(seq 30); do sleep 1 & done; wait")
		has(c, "too many processes", out, "can't fork")
		d.down(c, "limits")
	}},
}

package docker

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// bailey returns what bailey prints.
func bailey(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(engine.Bin(t)+"/bailey", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("bailey %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// ownIDs are what works, and what does not, where the policy gives each of Docker's containers IDs of its own.
var ownIDs = []check{
	{Name: "IDs of its own", Do: func(c *engine.C, d *daemon) {
		seen := make(map[string]bool)
		for _, name := range []string{"one", "two"} {
			d.up(c, name, image, "sleep", "1000")
			id := outside(c, d.pid(c, name))
			want(c, "not root's, not another's: "+id, id != "0" && !seen[id], true)
			seen[id] = true
			want(c, "root inside", d.exec(c, name, "id", "-u"), "0")
			want(c, "the image's files", d.exec(c, name, "stat", "-c", "%u:%g", "/bin/busybox"), "0:0")
			want(c, "exec is in it", d.exec(c, name, "cat", "/proc/self/uid_map"), d.exec(c, name, "cat", "/proc/1/uid_map"))
		}
		d.docker(c, "restart", "-t", "0", "one")
		d.exec(c, "one", "true")
		d.down(c, "one", "two")
	}},
	{Name: "volumes and bind mounts", Do: func(c *engine.C, d *daemon) {
		dir := c.TempDir()
		engine.Must(c, os.WriteFile(dir+"/old", nil, 0o600))
		engine.Must(c, os.Chown(dir+"/old", 7, 7))
		want(c, "owners", d.run(c, "-v", "data:/data", "-v", dir+":/bind", image, "sh", "-c", "touch /data/x /bind/new; chown 8 /bind/new; stat -c %u /data/x /bind/old /bind/new"), "0\n7\n8")
		want(c, "owners outside", fmt.Sprint(ownerOf(c, dir+"/old"), ownerOf(c, dir+"/new"), ownerOf(c, d.dir+"/data/volumes/data/_data/x")), "7 8 0")
		d.docker(c, "volume", "rm", "data")
	}},
	{Name: "published port, redis", Do: func(c *engine.C, d *daemon) {
		d.debian(c)
		d.docker(c, "run", "-d", "--name=redis", "-p", "127.0.0.1:6380:6379", "-v", "redis:/data", "-w=/data", engine.Debian, "redis-server", "--protected-mode", "no", "--appendonly", "yes")
		engine.RedisAnswers(c, "127.0.0.1:6380", "SET key value", "OK")
		d.docker(c, "restart", "redis")
		engine.RedisAnswers(c, "127.0.0.1:6380", "GET key", "value")
		want(c, "another user", outside(c, d.pid(c, "redis")) != "0", true)
		d.down(c, "redis")
		d.docker(c, "volume", "rm", "redis")
	}},
	{Name: "build, diff, commit, cp out", Do: func(c *engine.C, d *daemon) {
		dir := c.TempDir()
		engine.Must(c, os.WriteFile(dir+"/Dockerfile", []byte("FROM "+image+"\nRUN touch /made && chown 9 /made && test $(cut -c 12-22 /proc/self/uid_map) != 0\n"), 0o644))
		d.docker(c, "build", "-t", "localhost/own:1", dir)
		d.up(c, "web", "localhost/own:1", "sh", "-c", "echo new > /new; chown 5 /new; echo ready; sleep 1000")
		engine.Eventually(c, "it is ready", func() error { return engine.Contains(d.docker(c, "logs", "web"), "ready") })
		want(c, "what was built", d.exec(c, "web", "stat", "-c", "%u", "/made"), "9")
		has(c, "diff", d.docker(c, "diff", "web"), "A /new")
		h, err := tar.NewReader(strings.NewReader(d.docker(c, "cp", "web:/new", "-"))).Next()
		engine.Must(c, err)
		want(c, "owner of what comes out", h.Uid, 5)
		d.docker(c, "commit", "web", "localhost/own:2")
		want(c, "committed", d.run(c, "localhost/own:2", "stat", "-c", "%u", "/new"), "5")
		d.down(c, "web")
		d.docker(c, "rmi", "localhost/own:1", "localhost/own:2")
	}},
	{Name: "flags", Do: func(c *engine.C, d *daemon) {
		want(c, "--user", d.run(c, "--user=1000:1001", image, "id"), "uid=1000 gid=1001 groups=1001")
		has(c, "--read-only, --tmpfs, --shm-size", d.run(c, "--read-only", "--tmpfs=/tmp", "--shm-size=32m", image, "sh", "-c", "touch /tmp/x && df -k /dev/shm"), " 32768 ")
		has(c, "--init", d.run(c, "--init", image, "cat", "/proc/1/comm"), "docker-init")
		has(c, "--device", d.run(c, "--device=/dev/fuse", image, "sh", "-c", "exec 3<>/dev/fuse && echo opened"), "opened")
		has(c, "--sysctl", d.run(c, "--sysctl=net.core.somaxconn=77", image, "cat", "/proc/sys/net/core/somaxconn"), "77")
		has(c, "--cap-add", d.run(c, "--cap-drop=all", "--cap-add=chown", image, "grep", "CapEff", "/proc/self/status"), "0000000000000001")
		d.up(c, "share", "--ipc=shareable", image, "sleep", "1000")
		want(c, "--ipc=container:", d.run(c, "--ipc=container:share", image, "readlink", "/proc/self/ns/ipc"), d.exec(c, "share", "readlink", "/proc/self/ns/ipc"))
		want(c, "--network=container:", d.docker(c, "run", "--rm", "--network=container:share", image, "readlink", "/proc/self/ns/net"), d.exec(c, "share", "readlink", "/proc/self/ns/net"))
		d.down(c, "share")
		want(c, "--network=host", d.docker(c, "run", "--rm", "--network=host", image, "readlink", "/proc/self/ns/net"), namespaceOf(c, "self", "net"))
	}},
	{Name: "what is refused", Do: func(c *engine.C, d *daemon) {
		d.up(c, "first", image, "sleep", "1000")
		for _, flag := range []string{"--pid=host", "--pid=container:first"} {
			out, status := d.try("run", "--rm", "--network=none", flag, image, "true")
			want(c, flag, status != 0, true)
			has(c, flag, out, "PID namespace")
		}
		d.down(c, "first")
	}},
	{Name: "pause, stop, kill, healthcheck, out of memory", Do: func(c *engine.C, d *daemon) {
		d.up(c, "web", "--health-cmd=true", "--health-interval=200ms", image, "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
		d.docker(c, "pause", "web")
		d.docker(c, "unpause", "web")
		d.becomes(c, "web", ".State.Health.Status", "healthy")
		d.docker(c, "stop", "web")
		want(c, "exit status", d.inspect(c, "web", ".State.ExitCode"), "5")
		d.down(c, "web")
		if engine.HasController("memory") {
			_, status := d.try("run", "--name=oom", "--network=none", "--memory=16m", "--memory-swap=16m", image, "tail", "/dev/zero")
			want(c, "exit status", status, 137)
			want(c, "OOMKilled", d.inspect(c, "oom", ".State.OOMKilled"), "true")
			d.down(c, "oom")
		}
	}},
}

// TestPolicy gives each container IDs of its own; Docker does not know.
func TestPolicy(t *testing.T) {
	// No record of calls: over a network that is shared bailey warns, as it should.
	policies(t, debian, engine.Runtime{Name: "bailey", Path: engine.Bin(t) + "/bailey"})
}

// TestPolicyOnShim is the same with the newest Docker on the shim.
func TestPolicyOnShim(t *testing.T) {
	onlyV1(t)
	v := newest(t)
	v.name += " on the shim"
	policies(t, v, engine.Runtime{Name: "bailey", Path: "io.containerd.bailey.v2"})
}

func policies(t *testing.T, v version, r engine.Runtime) {
	bailey(t, "ids", "setup")
	setup := func(t *testing.T, r engine.Runtime) *daemon {
		engine.SetPolicy(t, "[[rule]]\nname = \"containers of Docker\"\nmatch.engine = \"docker\"\nuserns = \"auto\"\n")
		return newDaemon(t, v, r, nil)
	}
	engine.Run(t, v.name+", userns=auto", []engine.Runtime{r}, setup, func(t testing.TB, d *daemon) engine.Inventory { return d.left(t) }, guarded(slices.Clone(ownIDs)))

	t.Run("rules", func(t *testing.T) {
		d := newDaemon(t, v, r, nil)
		const probe = "unshare -U true 2>/dev/null && echo made || echo sealed"
		unconfined := func(args ...string) string {
			return d.run(t, append(append([]string{"--security-opt=seccomp=unconfined"}, args...), image, "sh", "-c", probe)...)
		}
		engine.SetPolicy(t, "[defaults]\nseal = \"auto\"\n")
		want(t, "seal=auto, Docker's capabilities", unconfined(), "made")
		want(t, "seal=auto, no capabilities", unconfined("--cap-drop=all"), "sealed")
		d.up(t, "sealed", "--cap-drop=all", "--security-opt=seccomp=unconfined", image, "sleep", "1000")
		want(t, "exec", d.exec(t, "sealed", "sh", "-c", probe), "sealed")
		d.down(t, "sealed")
		engine.SetPolicy(t, "[defaults]\nseal = \"always\"\n")
		want(t, "seal=always", unconfined(), "sealed")
		engine.SetPolicy(t, "[defaults]\nuserns = \"auto\"\nnamespaces.user = 0\n")
		want(t, "no nested user namespaces", unconfined(), "sealed")
		engine.SetPolicy(t, "[defaults]\ncapabilities = [\"CAP_CHOWN\"]\nno_new_privileges = \"set\"\n")
		out := d.run(t, "--cap-add=net_admin", image, "grep", "-E", "Cap(Eff|Bnd)|NoNew", "/proc/self/status")
		want(t, "a ceiling: "+out, strings.Count(out, "0000000000000001"), 2)
		has(t, "no new privileges", out, "NoNewPrivs:\t1")
		engine.SetPolicy(t, "[defaults]\nseccomp = \"require\"\n")
		d.run(t, image, "true")
		out, status := d.try("run", "--rm", "--network=none", "--security-opt=seccomp=unconfined", image, "true")
		want(t, "without a filter", status, 125)
		has(t, "without a filter", out, "/etc/bailey/policy.toml")
		engine.SetPolicy(t, "[[rule]]\nname = \"others\"\nmatch.engine = \"podman\"\nseccomp = \"require\"\n")
		d.run(t, "--security-opt=seccomp=unconfined", image, "true")
	})
}

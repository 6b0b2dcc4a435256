package docker

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// server is a daemon that a check starts as it needs it.
type server struct {
	version
	runtime engine.Runtime
}

func (s server) start(c *engine.C, settings map[string]any) *daemon {
	c.Helper()
	return newDaemon(c, s.version, s.runtime, settings)
}

var daemonChecks = []engine.Check[server]{
	{Name: "a daemon that is killed", Do: func(c *engine.C, s server) {
		d := s.start(c, nil)
		before := d.left(c)
		d.up(c, "web", image, "sh", "-c", "echo kept >> /file; exec sleep 1000")
		d.up(c, "always", "--restart=always", image, "sleep", "1000")
		pid := d.pid(c, "web")
		d.killed()
		d.start(c)
		d.becomes(c, "web", ".State.Status", "exited")
		d.becomes(c, "always", ".State.Status", "running")
		want(c, "the process", engine.Exists("/proc/"+pid), false)
		d.docker(c, "start", "web")
		engine.Eventually(c, "the files are there", func() error { return engine.Contains(d.exec(c, "web", "cat", "/file"), "kept\nkept") })
		d.down(c, "web", "always")
		before.Compare(c, func() engine.Inventory { return d.left(c) })
	}},
	{Name: "live-restore", Do: func(c *engine.C, s server) {
		d := s.start(c, map[string]any{"live-restore": true})
		before := d.left(c)
		for name, end := range map[string]func(){"killed": d.killed, "stopped": d.stop} {
			d.up(c, "web", image, "sh", "-c", "trap 'exit 7' TERM; while :; do echo tick; sleep 0.1; done")
			d.up(c, "ends", image, "sh", "-c", "sleep 0.6; exit 9")
			d.up(c, "paused", image, "sleep", "1000")
			d.docker(c, "pause", "paused")
			pid := d.pid(c, "web")
			end()
			engine.Eventually(c, "a container ends meanwhile", func() error {
				for what := range d.left(c) {
					if strings.Contains(what, "sleep 0.6") {
						return fmt.Errorf("%s", what)
					}
				}
				return nil
			})
			want(c, name+": it lives without a daemon", engine.Exists("/proc/"+pid), true)
			d.start(c)
			want(c, name+": process", d.pid(c, "web"), pid)
			d.becomes(c, "ends", ".State.Status", "exited")
			want(c, name+": exit status", d.inspect(c, "ends", ".State.ExitCode"), s.endedMeanwhile)
			want(c, name+": paused", d.inspect(c, "paused", ".State.Status"), "paused")
			d.docker(c, "unpause", "paused")
			want(c, name+": exec", d.exec(c, "web", "echo", "yes"), "yes")
			n := strings.Count(d.docker(c, "logs", "web"), "tick")
			engine.Eventually(c, "logs go on", func() error {
				if m := strings.Count(d.docker(c, "logs", "web"), "tick"); m <= n {
					return fmt.Errorf("%d lines", m)
				}
				return nil
			})
			d.docker(c, "stop", "web")
			want(c, name+": status of what is stopped", d.inspect(c, "web", ".State.ExitCode"), "7")
			d.down(c, "web", "ends", "paused")
			before.Compare(c, func() engine.Inventory { return d.left(c) })
		}
	}},
	{Name: "userns-remap", Do: func(c *engine.C, s server) {
		account(c, "dockremap", 500000)
		d := s.start(c, map[string]any{"userns-remap": "dockremap"})
		dir := c.TempDir()
		engine.Must(c, os.Chmod(dir, 0o777))
		d.up(c, "web", "-v", dir+":/bind", image, "sh", "-c", "touch /bind/file; exec sleep 1000")
		want(c, "user outside", outside(c, d.pid(c, "web")), "500000")
		want(c, "user inside", d.exec(c, "web", "id", "-u"), "0")
		want(c, "map", strings.Join(strings.Fields(d.exec(c, "web", "cat", "/proc/self/uid_map")), " "), "0 500000 65536")
		want(c, "what it writes", ownerOf(c, dir+"/file"), 500000)
		d.docker(c, "exec", "-d", "-u=7", "web", "sleep", "2222")
		engine.Eventually(c, "the user of an exec", func() error {
			return engine.Contains(d.docker(c, "top", "web", "-o", "pid,uid,args"), "500007              sleep 2222")
		})
		d.down(c, "web")
		has(c, "files of the image", d.run(c, image, "stat", "-c", "%u:%g", "/bin/busybox"), "0:0")
		want(c, "a volume", d.run(c, "-v", "data:/data", image, "sh", "-c", "touch /data/x && stat -c %u /data/x"), "0")
		d.docker(c, "volume", "rm", "data")
		want(c, "host", d.ns(c, "user", "--userns=host"), namespaceOf(c, "self", "user"))
		d.docker(c, "run", "-d", "--name=net", "-p", "127.0.0.1:8082:80", image, "sh", "-c", "echo remapped > /index.html; exec httpd -f -h /")
		engine.Serves(c, "http://127.0.0.1:8082/", "remapped")
		d.down(c, "net")
		has(c, "sysctl, tmpfs, read-only", d.run(c, "--read-only", "--tmpfs=/tmp", "--sysctl=net.core.somaxconn=77", image, "sh", "-c", "touch /tmp/x; cat /proc/sys/net/core/somaxconn"), "77")
		d.up(c, "limited", "--cap-drop=all", "--cap-add=chown", "--security-opt=no-new-privileges", image, "sleep", "1000")
		has(c, "exec", d.exec(c, "limited", "grep", "CapEff", "/proc/self/status"), "0000000000000001")
		d.down(c, "limited")
	}},
	{Name: "checkpoint", Do: func(c *engine.C, s server) {
		engine.Need(c, "criu")
		d := s.start(c, nil)
		d.up(c, "web", "--security-opt=seccomp=unconfined", image, "sh", "-c", loop)
		d.docker(c, "checkpoint", "create", "--leave-running", "web", "one")
		want(c, "it is left running", d.inspect(c, "web", ".State.Running"), "true")
		d.docker(c, "checkpoint", "create", "web", "two")
		d.becomes(c, "web", ".State.Status", "exited")
		if !s.restores {
			return
		}
		d.docker(c, "start", "--checkpoint=two", "web")
		first := d.exec(c, "web", "cat", "/count")
		engine.Eventually(c, "it goes on", func() error {
			if now := d.exec(c, "web", "cat", "/count"); len(now) < len(first) || now == first {
				return fmt.Errorf("%s after %s", now, first)
			}
			return nil
		})
	}},
	{Name: "BuildKit", Do: func(c *engine.C, s server) {
		s.env = append(s.env[:len(s.env):len(s.env)], "DOCKER_BUILDKIT_RUNC_COMMAND="+s.runtime.Path)
		d := s.start(c, nil)
		dir := c.TempDir()
		engine.Must(c, os.WriteFile(dir+"/Dockerfile", []byte("FROM "+image+"\nRUN id -u > /id && cat /proc/1/comm > /comm\nRUN --mount=type=cache,target=/cache touch /cache/x\n"), 0o644))
		cmd := d.command("build", "--progress=plain", "-t", "localhost/kit:1", dir)
		cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			c.Fatalf("%v: %s", err, out)
		}
		want(c, "what was built", d.run(c, "localhost/kit:1", "cat", "/id", "/comm"), "0\ncat")
	}},
}

// TestDaemons is about what is the daemon's: its end, its settings.
func TestDaemons(t *testing.T) {
	runDaemons(t, debian, engine.Runtimes(t))
}

// TestDaemonsNewest is the same with the newest.
func TestDaemonsNewest(t *testing.T) {
	onlyV1(t)
	runDaemons(t, newest(t), newestRuntimes(t))
}

// onlyV1 skips what the other view is not needed for.
func onlyV1(t *testing.T) {
	t.Helper()
	if engine.View() == "v2" {
		t.Skip("not about cgroups: done in the view v1")
	}
}

func runDaemons(t *testing.T, v version, runtimes []engine.Runtime) {
	t.Helper()
	engine.Run(t, v.name+", daemons", runtimes, func(_ *testing.T, r engine.Runtime) server { return server{v, r} }, nil, daemonChecks)
}

package docker

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

var execChecks = []check{
	{Name: "exec", Do: func(c *engine.C, d *daemon) {
		d.up(c, "web", "-e", "HERE=yes", image, "sleep", "1000")
		want(c, "user", d.exec(c, "-u=1000:1001", "web", "sh", "-c", "id -u; id -g"), "1000\n1001")
		want(c, "directory", d.exec(c, "-w=/tmp", "web", "pwd"), "/tmp")
		want(c, "environment", d.exec(c, "-e=A=b c", "web", "sh", "-c", `echo "$A" $HERE`), "b c yes")
		for script, status := range map[string]int{"exit 3": 3, "kill -KILL $$": 137, "kill -TERM $$": 143} {
			_, got := d.try("exec", "web", "sh", "-c", script)
			want(c, script, got, status)
		}
		for program, status := range map[string]int{"/bin/none": d.notFound, "none": d.notFound, "/etc/passwd": 126} {
			_, got := d.try("exec", "web", program)
			want(c, program, got, status)
		}
		_, status := d.try("exec", "-w=/none", "web", "pwd")
		want(c, "no such directory", status != 0, true)
		cmd := d.command("exec", "-i", "web", "wc", "-c")
		var out bytes.Buffer
		cmd.Stdin, cmd.Stdout = strings.NewReader(strings.Repeat("x", 1000000)), &out
		engine.Must(c, finish(cmd))
		want(c, "input", strings.TrimSpace(out.String()), "1000000")
		d.docker(c, "exec", "-d", "web", "sh", "-c", "sleep 0.2; echo done > /tmp/detached")
		engine.Eventually(c, "it has worked", func() error {
			out, _ := d.try("exec", "web", "cat", "/tmp/detached")
			return engine.Contains(out, "done")
		})
		d.down(c, "web")
	}},
	{Name: "exec is what the container is", Do: func(c *engine.C, d *daemon) {
		d.up(c, "same", "--cap-drop=all", "--cap-add=kill", "--security-opt=no-new-privileges", "--group-add=77", image, "sleep", "1000")
		const what = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)'"
		want(c, "status", d.exec(c, "same", "sh", "-c", what+" /proc/self/status"), d.exec(c, "same", "sh", "-c", what+" /proc/1/status"))
		want(c, "cgroups", d.exec(c, "same", "cat", "/proc/self/cgroup"), d.exec(c, "same", "cat", "/proc/1/cgroup"))
		want(c, "namespaces", d.exec(c, "same", "sh", "-c", "cd /proc/self/ns; for n in *; do readlink $n; done"), d.exec(c, "same", "sh", "-c", "cd /proc/1/ns; for n in *; do readlink $n; done"))
		want(c, "limits", d.exec(c, "same", "grep", "open files", "/proc/self/limits"), d.exec(c, "same", "grep", "open files", "/proc/1/limits"))
		d.down(c, "same")
	}},
	{Name: "exec on a terminal", Do: func(c *engine.C, d *daemon) {
		d.up(c, "tty", image, "sleep", "1000")
		p := engine.NewTerminal(c, 33, 99)
		p.Start(d.command("exec", "-it", "tty", "sh"))
		p.SaysSize(33, 99)
		p.Resize(44, 88)
		p.SaysSize(44, 88)
		p.Write("exit 5\n")
		want(c, "exit status", p.Wait(), 5)
		d.down(c, "tty")
	}},
	{Name: "exec, twenty at once", Do: func(c *engine.C, d *daemon) {
		d.up(c, "many", image, "sleep", "1000")
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				if out, status := d.try("exec", "many", "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i)); out != fmt.Sprint(i) || status != i {
					c.Errorf("%d: %q, exit status %d", i, out, status)
				}
			})
		}
		group.Wait()
		want(c, "processes that are left", len(strings.Split(d.docker(c, "top", "many"), "\n")), 2)
		d.down(c, "many")
	}},
	{Name: "exec where there is no process", Do: func(c *engine.C, d *daemon) {
		d.up(c, "gone", image, "true")
		d.docker(c, "wait", "gone")
		out, status := d.try("exec", "gone", "true")
		want(c, "exit status", status != 0, true)
		has(c, "words", out, "is not running")
		d.down(c, "gone")
	}},
	{Name: "healthcheck", Do: func(c *engine.C, d *daemon) {
		d.up(c, "health", "--health-cmd=test -e /tmp/well", "--health-interval=200ms", "--health-retries=2", image, "sleep", "1000")
		d.becomes(c, "health", ".State.Health.Status", "unhealthy")
		d.exec(c, "health", "touch", "/tmp/well")
		d.becomes(c, "health", ".State.Health.Status", "healthy")
		d.down(c, "health")
	}},
}

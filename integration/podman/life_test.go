package podman

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// life is what happens to a container from run to rm.
var life = []steps{
	{name: "programs that cannot be run", do: func(c *engine.C, p *podman) {
		for program, want := range map[string]int{"/bin/none": 127, "none": 127, "/etc/passwd": 126, "/etc": 126} {
			if out, status := p.runStatus(c, image, program); status != want {
				c.Errorf("%s: exit status %d, want %d: %s", program, status, want, out)
			}
		}
		if out, status := p.runStatus(c, "--none", image, "true"); status != 125 {
			c.Errorf("a wrong option: exit status %d: %s", status, out)
		}
	}},
	{name: "input", do: func(c *engine.C, p *podman) {
		big := strings.Repeat("0123456789\n", 20000)
		r := p.do(c, big, p.with([]string{"run", "--rm"}, "-i", image, "cat")...)
		if r.out != big || r.status != 0 {
			c.Errorf("%d bytes of %d, exit status %d: %s", len(r.out), len(big), r.status, r.err)
		}
	}},
	{name: "terminal", do: func(c *engine.C, p *podman) {
		term := engine.NewTerminal(c, 33, 77)
		term.Start(p.command(c, "podman", p.with([]string{"run", "--rm"}, "-it", image, "sh")...))
		term.Says("tty", "/dev/pts/0")
		term.SaysSize(33, 77)
		term.Resize(44, 88)
		term.SaysSize(44, 88)
		term.Says("stat -c %t:%T /dev/console /dev/pts/0", "88:0")
		term.Write("exit 6\n")
		same(c, "exit status", fmt.Sprint(term.Wait()), "6")
	}},
	{name: "logs", do: func(c *engine.C, p *podman) {
		for _, driver := range []string{"k8s-file", "json-file"} {
			p.start(c, driver, "--log-driver", driver, image, "sh", "-c", "echo first; echo second >&2; sleep 0.3; echo third; exec sleep 1000")
			engine.Eventually(c, "all is in the log", func() error {
				out, _ := p.status(c, "logs", driver)
				return engine.Contains(out, "third")
			})
			r := p.do(c, "", "logs", driver)
			same(c, "output", r.out, "first\nthird\n")
			same(c, "errors", r.err, "second\n")
			same(c, "the tail", p.ok(c, "logs", "--tail", "1", driver), "third")
			in(c, p.ok(c, "logs", "-t", "--tail", "1", driver), "T", "third")
			p.remove(c, driver)
		}
	}},
	{name: "attach", do: func(c *engine.C, p *podman) {
		p.start(c, "attached", "-i", image, "sh", "-c", "while read line; do echo got $line; [ $line != end ] || exit 5; done")
		cmd := p.command(c, "podman", "attach", "attached")
		input, err := cmd.StdinPipe() // open until it has ended
		engine.Must(c, err)
		defer input.Close()
		_, err = input.Write([]byte("one\nend\n"))
		engine.Must(c, err)
		r := finish(c, cmd)
		in(c, r.out, "got one\n", "got end\n")
		same(c, "exit status", p.ok(c, "wait", "attached"), "5")
		p.remove(c, "attached")
	}},
	{name: "inspect", do: func(c *engine.C, p *podman) {
		id := p.sleeper(c, "web", "--label", "a=b", "--memory-swappiness=-1")
		same(c, "status", p.inspect(c, "web", "State.Status"), "running")
		same(c, "ID", p.inspect(c, "web", "Id"), id)
		same(c, "runtime", p.inspect(c, "web", "OCIRuntime"), p.runtime.Path)
		if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid(c, "web"))); err != nil || string(comm) != "sleep\n" {
			c.Errorf("process %q, %v", comm, err)
		}
		if engine.View() == "v1" && !p.rootless || engine.View() == "v2" {
			path := p.inspect(c, "web", "State.CgroupPath")
			procs := "/sys/fs/cgroup" + path + "/cgroup.procs"
			if engine.View() == "v1" {
				procs = "/sys/fs/cgroup/memory" + path + "/cgroup.procs"
			}
			b, err := os.ReadFile(procs)
			if err != nil || !strings.Contains("\n"+string(b), fmt.Sprintf("\n%d\n", p.pid(c, "web"))) {
				c.Errorf("cgroup %s: %q, %v", path, b, err)
			}
		}
		in(c, p.ok(c, "info"), p.runtime.Path)
		p.remove(c, "web")
	}},
	{name: "top", do: func(c *engine.C, p *podman) {
		p.start(c, "web", image, "sh", "-c", "sleep 1000; true")
		engine.Eventually(c, "there are two processes", func() error {
			return engine.Contains(p.ok(c, "top", "web", "ppid", "args"), "1           sleep 1000")
		})
		out := p.ok(c, "top", "web", "user", "hpid", "capeff", "seccomp")
		in(c, out, "root", fmt.Sprint(p.pid(c, "web")), "KILL", "filter")
		p.remove(c, "web")
	}},
	{name: "stats", where: onlyV1, do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web", "--memory=64m")
		out := p.ok(c, "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "web")
		in(c, out, "web ", "/ 67.11MB", " 1")
		if strings.Contains(out, " 0B /") {
			c.Errorf("no memory is used: %s", out)
		}
		p.remove(c, "web")
	}},
	{name: "update", where: onlyV1, do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web", "--memory=64m")
		p.ok(c, "update", "--memory=128m", "--memory-swap=256m", "--cpus=0.25", "--cpu-shares=300", "--cpuset-cpus=1", "web")
		out := p.ok(c, "exec", "web", "sh", "-c", "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.shares cpuset/cpuset.cpus")
		same(c, "limits", out, "134217728\n25000\n300\n1")
		p.remove(c, "web")
	}},
	{name: "pause", do: func(c *engine.C, p *podman) {
		p.start(c, "web", image, "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.02; done")
		count := func() string { return p.ok(c, "cp", "web:/count", "-") }
		p.ok(c, "pause", "web")
		same(c, "status", p.inspect(c, "web", "State.Status"), "paused")
		before := count()
		time.Sleep(200 * time.Millisecond)
		same(c, "the count of one that is paused", count(), before)
		if out, status := p.status(c, "exec", "web", "true"); status == 0 {
			c.Errorf("exec works in one that is paused: %s", out)
		}
		p.ok(c, "unpause", "web")
		engine.Eventually(c, "it goes on", func() error {
			if count() == before {
				return fmt.Errorf("the count stays")
			}
			return nil
		})
		p.ok(c, "pause", "web")
		p.remove(c, "web")
	}},
	{name: "stop", do: func(c *engine.C, p *podman) {
		p.start(c, "polite", image, "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done")
		time.Sleep(200 * time.Millisecond)
		p.ok(c, "stop", "polite")
		same(c, "exit status", p.inspect(c, "polite", "State.ExitCode"), "3")
		p.sleeper(c, "rude")
		p.ok(c, "stop", "-t", "1", "rude")
		same(c, "exit status", p.inspect(c, "rude", "State.ExitCode"), "137")
		p.start(c, "other", "--stop-signal", "USR1", image, "sh", "-c", "trap 'exit 4' USR1; while :; do sleep 0.05; done")
		time.Sleep(200 * time.Millisecond)
		p.ok(c, "stop", "other")
		same(c, "exit status", p.inspect(c, "other", "State.ExitCode"), "4")
		p.remove(c, "polite", "rude", "other")
	}},
	{name: "kill", do: func(c *engine.C, p *podman) {
		p.start(c, "web", image, "sh", "-c", "trap 'echo usr1' USR1; trap 'echo hup; exit 9' HUP; echo ready; while :; do sleep 0.05; done")
		heard := func(what string) {
			engine.Eventually(c, what, func() error { return engine.Contains(p.ok(c, "logs", "web"), what) })
		}
		heard("ready")
		p.ok(c, "kill", "-s", "USR1", "web")
		heard("usr1")
		p.ok(c, "kill", "-s", "HUP", "web")
		same(c, "exit status", p.ok(c, "wait", "web"), "9")
		if out, status := p.status(c, "kill", "web"); status == 0 {
			c.Errorf("one that has ended is killed: %s", out)
		}
		p.remove(c, "web")
	}},
	{name: "start again", do: func(c *engine.C, p *podman) {
		p.ok(c, p.with([]string{"create", "--name", "web"}, image, "sh", "-c", "echo run; exit 4")...)
		for range 2 {
			if out, status := p.status(c, "start", "-a", "web"); status != 4 || out != "run\n" {
				c.Errorf("exit status %d: %q", status, out)
			}
		}
		p.ok(c, "rm", "web")
		p.sleeper(c, "web")
		before := p.pid(c, "web")
		p.ok(c, "restart", "-t", "0", "web")
		if p.pid(c, "web") == before {
			c.Error("it is the same process")
		}
		p.remove(c, "web")
	}},
	{name: "restart policy", do: func(c *engine.C, p *podman) {
		p.start(c, "web", "--restart", "on-failure:2", image, "sh", "-c", "echo run; exit 4")
		engine.Eventually(c, "it has been started three times", func() error {
			if got := p.inspect(c, "web", "RestartCount") + p.inspect(c, "web", "State.Status"); got != "2exited" {
				return fmt.Errorf("%s", got)
			}
			return nil
		})
		same(c, "output", p.ok(c, "logs", "web"), "run\nrun\nrun")
		p.remove(c, "web")
	}},
	{name: "health", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web", "--health-cmd", "test -e /tmp/ok", "--health-interval", "disable", "--health-retries", "1")
		if _, status := p.status(c, "healthcheck", "run", "web"); status != 1 {
			c.Errorf("exit status %d", status)
		}
		same(c, "health", p.inspect(c, "web", "State.Health.Status"), "unhealthy")
		p.ok(c, "exec", "web", "touch", "/tmp/ok")
		p.ok(c, "healthcheck", "run", "web")
		same(c, "health", p.inspect(c, "web", "State.Health.Status"), "healthy")
		p.remove(c, "web")
	}},
	{name: "files", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web")
		r := p.do(c, "", "exec", "web", "sh", "-c", "echo new >/root/new; rm /etc/passwd")
		same(c, "errors", r.err, "")
		engine.Must(c, os.WriteFile(p.home+"/file", []byte("outside\n"), 0o644))
		p.ok(c, "cp", p.home+"/file", "web:/tmp/file")
		same(c, "a file that has been copied", p.ok(c, "exec", "web", "cat", "/tmp/file"), "outside")
		in(c, p.ok(c, "cp", "web:/root/new", "-"), "new\n")
		in(c, p.ok(c, "diff", "web"), "A /root/new", "D /etc/passwd", "A /tmp/file")
		in(c, p.do(c, "", "export", "-o", "/dev/stdout", "web").err+p.ok(c, "ps"), "web")
		p.ok(c, "commit", "-q", "web", "localhost/committed:1")
		same(c, "a file of the image", p.run(c, "localhost/committed:1", "cat", "/root/new", "/tmp/file"), "new\noutside")
		p.ok(c, "rmi", "localhost/committed:1")
		if !p.rootless {
			dir := p.ok(c, "mount", "web")
			if b, err := os.ReadFile(dir + "/root/new"); err != nil || string(b) != "new\n" {
				c.Errorf("%q, %v", b, err)
			}
			p.ok(c, "umount", "web")
		} else {
			same(c, "a file of the mount", p.ok(c, "unshare", "sh", "-c", "cat $(podman mount web)/root/new; podman umount web >/dev/null"), "new")
		}
		p.remove(c, "web")
	}},
	{name: "export", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web")
		file := map[bool]string{false: p.home, true: aliceHome}[p.rootless] + "/exported.tar"
		defer os.Remove(file)
		p.ok(c, "export", "-o", file, "web")
		p.ok(c, "import", "-q", file, "localhost/imported:1")
		same(c, "a program of the image", p.run(c, "localhost/imported:1", "/bin/echo", "hi"), "hi")
		p.ok(c, "rmi", "localhost/imported:1")
		p.remove(c, "web")
	}},
	{name: "process trees", do: func(c *engine.C, p *podman) {
		p.start(c, "web", image, "sh", "-c", "for i in 1 2 3; do (sh -c 'setsid sleep 4711 & sleep 4711' &) ; done; echo ready; exec sleep 4711")
		engine.Eventually(c, "all are there", func() error {
			if n := strings.Count(p.ok(c, "top", "web", "args"), "sleep 4711\n") + strings.Count(p.ok(c, "top", "web", "args"), "sleep 4711"); n < 7 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
		p.ok(c, "stop", "-t", "0", "web")
		engine.Eventually(c, "all have ended", func() error {
			for what := range engine.TakeInventory(c, nil) {
				if strings.HasSuffix(what, " sleep 4711") {
					return fmt.Errorf("there is %s", what)
				}
			}
			return nil
		})
		p.ok(c, "rm", "web")
	}},
	{name: "descriptors", do: func(c *engine.C, p *podman) {
		f, err := os.Open(p.home + "/containers.conf")
		engine.Must(c, err)
		defer f.Close()
		p.sleeper(c, "web")
		for _, args := range [][]string{
			p.with([]string{"run", "--rm"}, "--preserve-fds", "2", image, "sh", "-c", "head -n1 <&4; ls /proc/self/fd | wc -l"),
			{"exec", "--preserve-fds", "2", "web", "sh", "-c", "head -n1 <&4; ls /proc/self/fd | wc -l"},
		} {
			cmd := p.command(c, "podman", args...)
			other, err := os.Open(p.home + "/containers.conf")
			engine.Must(c, err)
			cmd.ExtraFiles = []*os.File{f, other}
			r := finish(c, cmd)
			other.Close()
			// 0 to 4, and the directory.
			same(c, strings.Join(args[:2], " "), r.out, "[containers]\n6\n")
		}
		p.remove(c, "web")
	}},
	{name: "conmon killed", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web")
		pid := p.pid(c, "web")
		id := p.inspect(c, "web", "Id")
		p.kill9(c, p.inspect(c, "web", "State.ConmonPid"))
		if !engine.Exists(fmt.Sprintf("/proc/%d", pid)) {
			c.Error("the container has ended with conmon")
		}
		// Podman waits in vain for what conmon would have written, ends the container, and says so.
		if _, status := p.status(c, "rm", "-f", "-t", "0", "web"); status != 0 {
			p.remove(c, "web")
		}
		engine.Eventually(c, "it has ended", func() error {
			if engine.Exists(fmt.Sprintf("/proc/%d", pid)) {
				return fmt.Errorf("process %d lives", pid)
			}
			return nil
		})
		// conmon would have had the container deleted; Podman does not, and its runtime still can.
		if out, err := p.command(c, c.Runtime.Path, "delete", "--force", id).CombinedOutput(); err != nil {
			c.Errorf("%v: %s", err, out)
		}
	}},
	{name: "podman killed", do: func(c *engine.C, p *podman) {
		cmd := p.command(c, "podman", p.with([]string{"run", "--name", "web"}, image, "sleep", "1000")...)
		engine.Must(c, cmd.Start())
		engine.Eventually(c, "it runs", func() error {
			out, _ := p.status(c, "inspect", "--format", "{{.State.Status}}", "web")
			return engine.Contains(out, "running")
		})
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		same(c, "status", p.inspect(c, "web", "State.Status"), "running")
		same(c, "a command", p.ok(c, "exec", "web", "echo", "hi"), "hi")
		p.remove(c, "web")
	}},
}

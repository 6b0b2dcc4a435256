package podman

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// execs are processes in a container that runs.
var execs = []steps{
	{name: "exec", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web", "--cap-drop=NET_RAW", "--user", "7")
		for _, tc := range []struct {
			options, script, want string
			status                int
		}{
			{"", "id -u; cat /proc/1/comm; exit 3", "7\nsleep\n", 3},
			{"-u 1000:100", "id -u; id -g", "1000\n100\n", 0},
			{"-u 0", "grep -cE 'CapEff:.*(a80405fb|800405fb)' /proc/self/status", "1\n", 0},
			{"-u 0 --privileged", "grep CapEff /proc/self/status | cut -c 9-14", "000001\n", 0},
			{"-w /tmp", "pwd", "/tmp\n", 0},
			{"-e A=b", "echo $A", "b\n", 0},
			{"", "kill -KILL $$", "", 137},
			{"", "head -c 300000 /dev/zero | tr '\\0' x | wc -c", "300000\n", 0},
		} {
			args := append(append([]string{"exec"}, strings.Fields(tc.options)...), "web", "sh", "-c", tc.script)
			if r := p.do(c, "", args...); r.out != tc.want || r.status != tc.status {
				c.Errorf("%s %q: %q, exit status %d: %s", tc.options, tc.script, r.out, r.status, r.err)
			}
		}
		for program, want := range map[string]int{"/bin/none": 127, "none": 127, "/etc/passwd": 126} {
			if out, status := p.status(c, "exec", "web", program); status != want {
				c.Errorf("%s: exit status %d, want %d: %s", program, status, want, out)
			}
		}
		if out, status := p.status(c, "exec", "-w", "/none", "web", "true"); status != 127 {
			c.Errorf("no working directory: exit status %d: %s", status, out)
		}
		same(c, "input", p.do(c, "hello", "exec", "-i", "web", "cat").out, "hello")
		p.remove(c, "web")
	}},
	{name: "exec in the background", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web")
		p.ok(c, "exec", "-d", "web", "sh", "-c", "echo done >/tmp/done; exec sleep 1000")
		engine.Eventually(c, "it has worked", func() error {
			out, _ := p.status(c, "exec", "web", "cat", "/tmp/done")
			return engine.Contains(out, "done")
		})
		in(c, p.ok(c, "top", "web", "args"), "sleep 1000")
		p.remove(c, "web")
	}},
	{name: "exec with a terminal", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web")
		term := engine.NewTerminal(c, 33, 77)
		term.Start(p.command(c, "podman", "exec", "-it", "web", "sh"))
		term.Says("tty", "/dev/pts/0")
		term.SaysSize(33, 77)
		term.Resize(44, 88)
		term.SaysSize(44, 88)
		term.Write("exit 6\n")
		same(c, "exit status", fmt.Sprint(term.Wait()), "6")
		p.remove(c, "web")
	}},
	{name: "many execs", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web")
		engine.Parallel(40, func(i int) {
			r := p.do(c, "", "exec", "web", "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i))
			if r.status != i || r.out != strconv.Itoa(i)+"\n" {
				c.Errorf("exec %d: %q, exit status %d: %s", i, r.out, r.status, r.err)
			}
		})
		p.remove(c, "web")
	}},
}

// many is about many containers at once.
var many = []steps{
	{name: "fifty containers", do: func(c *engine.C, p *podman) {
		engine.Parallel(50, func(i int) {
			r := p.do(c, "", p.with([]string{"run", "--rm"}, image, "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i))...)
			if r.status != i || r.out != strconv.Itoa(i)+"\n" {
				c.Errorf("container %d: %q, exit status %d: %s", i, r.out, r.status, r.err)
			}
		})
	}},
}

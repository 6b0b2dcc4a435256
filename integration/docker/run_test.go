package docker

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

var runChecks = []check{
	{Name: "exit statuses", Do: func(c *engine.C, d *daemon) {
		for script, status := range map[string]int{"exit 0": 0, "exit 7": 7, `sh -c 'kill -KILL $$'; exit $?`: 137, `sh -c 'kill -TERM $$'; exit $?`: 143} {
			_, got := d.try("run", "--rm", "--network=none", image, "sh", "-c", script)
			want(c, script, got, status)
		}
	}},
	{Name: "what cannot be executed", Do: func(c *engine.C, d *daemon) {
		for _, tc := range []struct {
			program string
			status  int
			words   string
		}{
			{"/bin/none", 127, "no such file or directory"}, {"none", 127, "executable file not found in $PATH"},
			{"/etc/passwd", 126, "permission denied"}, {"/etc", 126, "permission denied"},
		} {
			out, status := d.try("run", "--rm", "--network=none", image, tc.program)
			want(c, tc.program, status, tc.status)
			has(c, tc.program, out, tc.words)
		}
		_, status := d.try("run", "--rm", "--network=none", "--user=nobody-at-all", image, "true")
		want(c, "an unknown user", status, 125)
		_, status = d.try("run", "--rm", "--network=none", "--sysctl=kernel.none=1", image, "true")
		want(c, "an unknown sysctl", status, 125)
	}},
	{Name: "what is in the way of a program", Do: func(c *engine.C, d *daemon) {
		dir := c.TempDir()
		for text, words := range map[string]string{"#!/bin/none\n": "no such file or directory", "text\n": "exec format error"} {
			engine.Must(c, os.WriteFile(dir+"/program", []byte(text), 0o755))
			out, status := d.try("run", "--rm", "--network=none", "-v", dir+":/dir", image, "/dir/program")
			want(c, text, status != 0, true)
			has(c, text, out, words)
		}
	}},
	{Name: "standard input, output and error", Do: func(c *engine.C, d *daemon) {
		data := bytes.Repeat([]byte("0123456789abcde\n"), 1<<16)
		cmd := d.command("run", "--rm", "-i", "--network=none", image, "sh", "-c", "sha256sum; echo err >&2")
		var out, errs bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(data), &out, &errs
		engine.Must(c, finish(cmd))
		want(c, "out", strings.Fields(out.String())[0], fmt.Sprintf("%x", sha256.Sum256(data)))
		want(c, "err", errs.String(), "err\n")
		want(c, "no input", d.run(c, image, "cat"), "")
	}},
	{Name: "environment, directory, entry point", Do: func(c *engine.C, d *daemon) {
		out := d.run(c, "-e", "A=b c", "-w", "/made/for/this", "--entrypoint=/bin/sh", "--label=x=y", image, "-c", `echo "$A" $HOSTNAME; pwd; hostname`)
		lines := strings.Split(out, "\n")
		want(c, "lines", len(lines), 3)
		want(c, "variable and name", lines[0], "b c "+lines[2])
		want(c, "directory", lines[1], "/made/for/this")
	}},
	{Name: "detached, logs, wait", Do: func(c *engine.C, d *daemon) {
		d.up(c, "logs", image, "sh", "-c", "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.1; done; exit 3")
		want(c, "logs -f", strings.Count(d.docker(c, "logs", "-f", "logs"), "out"), 3)
		want(c, "wait", d.docker(c, "wait", "logs"), "3")
		out, _ := d.try("logs", "logs")
		want(c, "both streams", len(strings.Split(out, "\n")), 6)
		last, _ := d.try("logs", "--tail=2", "logs")
		has(c, "the last lines", last, "out 3", "err 3")
		want(c, "status", d.inspect(c, "logs", ".State.Status"), "exited")
		d.down(c, "logs")
	}},
	{Name: "terminal", Do: func(c *engine.C, d *daemon) {
		p := engine.NewTerminal(c, 40, 100)
		p.Start(d.command("run", "--rm", "-it", "--network=none", "--name=tty", image, "sh"))
		p.SaysSize(40, 100)
		p.Says("test -t 0 && test -t 1 && test -t 2 && tty", "/dev/pts/0")
		p.Resize(50, 120)
		p.SaysSize(50, 120)
		p.Write("sleep 1000\n")
		time.Sleep(100 * time.Millisecond)
		p.Says("\x03echo interru''pted", "interrupted")
		p.Write("exit 9\n")
		want(c, "exit status", p.Wait(), 9)
	}},
	{Name: "terminal without a client, attach", Do: func(c *engine.C, d *daemon) {
		d.up(c, "detached", "-t", "-i", image, "sh", "-c", "tty; read x; echo got $x; exit 4")
		engine.Eventually(c, "it has a terminal", func() error { return engine.Contains(d.docker(c, "logs", "detached"), "/dev/pts/0") })
		p := engine.NewTerminal(c, 30, 90)
		p.Start(d.command("attach", "detached"))
		time.Sleep(200 * time.Millisecond)
		p.Says("wo''rd", "got wo''rd")
		want(c, "exit status", p.Wait(), 4)
		d.down(c, "detached")
	}},
	{Name: "signals of the client", Do: func(c *engine.C, d *daemon) {
		cmd := d.command("run", "--rm", "--network=none", image, "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")
		r, w, err := os.Pipe()
		engine.Must(c, err)
		defer r.Close()
		cmd.Stdout = w
		engine.Must(c, cmd.Start())
		w.Close()
		line := make([]byte, 6)
		_, err = r.Read(line)
		engine.Must(c, err)
		engine.Must(c, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait()
		want(c, "exit status", cmd.ProcessState.ExitCode(), 9)
	}},
	{Name: "init", Do: func(c *engine.C, d *daemon) {
		out := d.run(c, "--init", image, "sh", "-c", `sh -c 'sleep 0.1 & exit'; sleep 0.4; cat /proc/1/comm; grep -l Z.*zombie /proc/[0-9]*/status; echo $$`)
		has(c, "process 1", out, "docker-init")
		want(c, "zombies", strings.Contains(out, "/proc/"), false)
	}},
	{Name: "process tree gone after stop", Do: func(c *engine.C, d *daemon) {
		for _, flag := range []string{"--pid=private", "--pid=host"} {
			if flag == "--pid=private" {
				flag = "--init"
			}
			d.up(c, "tree", flag, image, "sh", "-c", "for i in 1 2 3 4 5; do sh -c 'sleep 7654 & setsid sleep 7654 & exec sleep 7654' & done; sleep 0.3; echo ready; exec sleep 7654")
			engine.Eventually(c, "the tree is there", func() error { return engine.Contains(d.docker(c, "logs", "tree"), "ready") })
			has(c, "top", d.docker(c, "top", "tree"), "sleep 7654")
			want(c, flag+": processes", strings.Count(d.docker(c, "top", "tree"), "sleep 7654") >= 16, true)
			d.docker(c, "stop", "-t", "0", "tree")
			engine.Eventually(c, "all have ended", func() error {
				for what := range d.left(c) {
					if strings.Contains(what, "7654") {
						return fmt.Errorf("%s", what)
					}
				}
				return nil
			})
			d.down(c, "tree")
		}
	}},
	{Name: "fifty containers, ten at a time", Do: func(c *engine.C, d *daemon) {
		engine.Parallel(50, func(i int) {
			// containerd's shim does not always read what comes last of all.
			out, status := d.try("run", "--rm", "--network=none", image, "sh", "-c", fmt.Sprintf("echo %d; sleep 0.2; exit %d", i, i))
			if out != fmt.Sprint(i) || status != i {
				c.Errorf("%d: %q, exit status %d", i, out, status)
			}
		})
	}},
}

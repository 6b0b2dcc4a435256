package containerd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// A terminal has the caller's size, follows it, and takes what is typed.
func terminal(t *engine.C, d *daemon) {
	p := engine.NewTerminal(t, 33, 77)
	p.Start(d.command(d.run("tty", "--rm", "-t", image, "tty", "/bin/sh")...))
	p.Says("tty", "/dev/pts/0")
	p.SaysSize(33, 77)
	p.Resize(44, 88)
	p.SaysSize(44, 88)
	p.Write("exit 6\n")
	if status := p.Wait(); status != 6 {
		t.Errorf("exit status %d", status)
	}
}

// So does that of a process that is executed later; and its size is set by the client.
func terminalOfExec(t *engine.C, d *daemon) {
	k := d.startTask("tty-exec", withArgs("/bin/sleep", "1000"))
	var out engine.Output
	in, typed := io.Pipe()
	p, err := k.Exec(d.ctx, "shell", &specs.Process{Args: []string{"/bin/sh"}, Cwd: "/", Env: []string{"PATH=/bin"}, Terminal: true},
		cio.NewCreator(cio.WithStreams(in, &out, nil), cio.WithTerminal))
	must(t, err)
	exit, err := p.Wait(d.ctx)
	must(t, err)
	must(t, p.Start(d.ctx))
	must(t, p.Resize(d.ctx, 91, 37))
	_, err = io.WriteString(typed, "tty; stty size; exit 4\n")
	must(t, err)
	if s := statusOf(t, exit); s != 4 {
		t.Errorf("exit status %d", s)
	}
	must(t, typed.Close())
	for _, want := range []string{"/dev/pts/", "37 91"} {
		engine.Eventually(t, "the answer comes", func() error { return engine.Contains(out.String(), want) })
	}
	_, err = p.Delete(d.ctx)
	must(t, err)
	k.end()
}

// ctr names the log as a URI.
func logURI(t *engine.C, d *daemon) {
	path := t.TempDir() + "/out"
	d.Ctr(d.run("uri", "--log-uri", "file://"+path, "-d", image, "uri", "/bin/echo", "hello")...)
	engine.Eventually(t, "it is logged", func() error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return engine.Contains(string(b), "hello\n")
	})
	d.eventually("it has ended", func() error { return engine.Contains(d.Ctr("tasks", "list"), "STOPPED") })
	d.Ctr("tasks", "delete", "uri")
	d.Ctr("containers", "delete", "uri")
}

// A client that goes away takes nothing with it, and one that attaches reads what comes then.
func attach(t *engine.C, d *daemon) {
	k := d.startTask("attached", shell("i=0; while :; do echo line $i; i=$((i+1)); sleep 0.05; done"))
	engine.Eventually(t, "it prints", func() error { return engine.Contains(k.out.String(), "line 3") })
	k.IO().Cancel()
	time.Sleep(200 * time.Millisecond)
	cmd := d.command("tasks", "attach", "attached")
	var out engine.Output
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	engine.Eventually(t, "it prints again", func() error { return engine.Contains(out.String(), "line 1") })
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	k.end()
}

// Input ends when the client says so.
func closeInput(t *engine.C, d *daemon) {
	var out engine.Output
	k := d.createWith("input", cio.NewCreator(cio.WithStreams(strings.NewReader(strings.Repeat("x", 300000)), &out, &out)), shell("wc -c"))
	must(t, k.Start(d.ctx))
	time.Sleep(200 * time.Millisecond)
	if s, err := k.Status(d.ctx); err != nil || s.Status != "running" {
		t.Errorf("before the input was closed: %v, %v", s, err)
	}
	must(t, k.CloseIO(d.ctx, client.WithStdinCloser))
	if s := k.status(); s != 0 {
		t.Errorf("exit status %d", s)
	}
	k.remove()
	if got := strings.TrimSpace(out.String()); got != "300000" {
		t.Errorf("%q bytes have arrived", got)
	}
}

// A process that has daemons leave its streams open does not keep its deletion waiting.
func TestDaemonHoldsStreams(t *testing.T) {
	withDaemons(t, func(t *testing.T, d *daemon) {
		k := d.startTask("holder", withArgs("/bin/sleep", "1000"))
		begin := time.Now()
		if out, status := k.exec("holds", "sleep 1000 & echo left"); out != "left" || status != 0 {
			t.Errorf("%q, %d", out, status)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		k.end()
	})
}

// Who is not root opens standard output by its name.
func streamsBelongToTheUser(t *engine.C, d *daemon) {
	k := d.startTask("user", shell("echo first > /dev/stdout && echo second > /proc/self/fd/2"+d.ending()), oci.WithUserID(1000))
	if s := k.status(); s != 0 {
		t.Errorf("exit status %d", s)
	}
	k.remove()
	for _, want := range []string{"first", "second"} {
		if err := engine.Contains(k.out.String(), want); err != nil {
			t.Error(err)
		}
	}
}

func logFile(t *engine.C, d *daemon) {
	path := t.TempDir() + "/logs/out"
	k := d.createWith("file", cio.LogFile(path), shell("echo out; echo err >&2"+d.ending()))
	must(t, k.Start(d.ctx))
	k.status()
	k.remove()
	if got, err := os.ReadFile(path); err != nil || engine.Contains(string(got), "out\n") != nil || engine.Contains(string(got), "err\n") != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func logProgram(t *engine.C, d *daemon) {
	dir := t.TempDir()
	program := dir + "/logger"
	script := "#!/bin/sh\nexec >" + dir + "/out\necho $CONTAINER_NAMESPACE $CONTAINER_ID \"$@\"\nexec 5>&-\ncat <&3\n"
	must(t, os.WriteFile(program, []byte(script), 0o755))
	k := d.createWith("logged", cio.BinaryIO(program, map[string]string{"key": "value"}), shell("echo hello"+d.ending()))
	must(t, k.Start(d.ctx))
	k.status()
	k.remove()
	engine.Eventually(t, "the program has logged", func() error {
		got, err := os.ReadFile(dir + "/out")
		if err == nil && string(got) != namespace+" logged key value\nhello\n" {
			err = fmt.Errorf("%q", got)
		}
		return err
	})
}

// Who waits for a process that was never started, or could not be, hears of its end when it is deleted.
func TestExecThatNeverStarts(t *testing.T) {
	withDaemons(t, func(t *testing.T, d *daemon) {
		k := d.startTask("never", withArgs("/bin/sleep", "1000"))
		for id, args := range map[string]string{"none": "", "bad": "/bin/none", "pipe": "/bin/true"} {
			p, err := k.Exec(d.ctx, id, &specs.Process{Args: []string{args}, Cwd: "/"}, func(id string) (cio.IO, error) {
				if id == "pipe" { // which nobody has made
					return cio.Load(cio.NewFIFOSet(cio.Config{Stdout: t.TempDir() + "/none"}, nil))
				}
				return cio.NullIO(id)
			})
			must(t, err)
			exit, err := p.Wait(d.ctx)
			must(t, err)
			if args != "" {
				if err := p.Start(d.ctx); err == nil {
					t.Errorf("%s starts", id)
				}
			}
			_, _ = p.Delete(d.ctx)
			select {
			case <-exit:
			case <-time.After(10 * time.Second):
				t.Errorf("%s: its end does not come", id)
			}
		}
		k.end()
	})
}

package docker

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/console"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// terminal is what a user sits at.
type terminal struct {
	t       testing.TB
	console console.Console
	slave   string
	cmd     *exec.Cmd
	mu      sync.Mutex
	shown   strings.Builder
}

// newTerminal returns a terminal of a size.
func newTerminal(t testing.TB, rows, columns uint16) *terminal {
	t.Helper()
	master, slave, err := console.NewPty()
	engine.Must(t, err)
	p := &terminal{t: t, console: master, slave: slave}
	t.Cleanup(func() { master.Close() })
	p.resize(rows, columns)
	return p
}

func (p *terminal) resize(rows, columns uint16) {
	p.t.Helper()
	engine.Must(p.t, p.console.Resize(console.WinSize{Height: rows, Width: columns}))
}

// start starts a command whose terminal it is.
func (p *terminal) start(cmd *exec.Cmd) {
	p.t.Helper()
	slave, err := os.OpenFile(p.slave, os.O_RDWR|syscall.O_NOCTTY, 0)
	engine.Must(p.t, err)
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	engine.Must(p.t, cmd.Start())
	p.cmd = cmd
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := p.console.Read(buf)
			p.mu.Lock()
			p.shown.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

func (p *terminal) write(text string) {
	p.t.Helper()
	_, err := p.console.Write([]byte(text))
	engine.Must(p.t, err)
}

// says writes a line and waits until a text is shown after it.
func (p *terminal) says(line, text string) {
	p.t.Helper()
	p.mu.Lock()
	p.shown.Reset()
	p.mu.Unlock()
	p.write(line + "\n")
	engine.Eventually(p.t, fmt.Sprintf("%q is answered with %q", line, text), func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		return engine.Contains(p.shown.String(), text)
	})
}

// wait returns the exit status of the command.
func (p *terminal) wait() int {
	p.t.Helper()
	defer time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() }).Stop()
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

package engine

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/console"
)

// Output collects what a process prints, and can be looked at meanwhile.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write is as that of bytes.Buffer, and so are the others.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Reset forgets what was printed.
func (o *Output) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Reset()
}

// Terminal is what a user sits at.
type Terminal struct {
	t       testing.TB
	console console.Console
	slave   string
	cmd     *exec.Cmd
	shown   Output
}

// NewTerminal returns a terminal of a size.
func NewTerminal(t testing.TB, rows, columns uint16) *Terminal {
	t.Helper()
	master, slave, err := console.NewPty()
	Must(t, err)
	p := &Terminal{t: t, console: master, slave: slave}
	t.Cleanup(func() { master.Close() })
	p.Resize(rows, columns)
	return p
}

// Resize gives it another size.
func (p *Terminal) Resize(rows, columns uint16) {
	p.t.Helper()
	Must(p.t, p.console.Resize(console.WinSize{Height: rows, Width: columns}))
}

// Start starts a command whose terminal it is; it is then its user's.
func (p *Terminal) Start(cmd *exec.Cmd) {
	p.t.Helper()
	slave, err := os.OpenFile(p.slave, os.O_RDWR|syscall.O_NOCTTY, 0)
	Must(p.t, err)
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if user := cmd.SysProcAttr.Credential; user != nil {
		Must(p.t, slave.Chown(int(user.Uid), -1))
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	Must(p.t, cmd.Start())
	p.cmd = cmd
	go func() { _, _ = io.Copy(&p.shown, p.console) }()
}

// Write types a text.
func (p *Terminal) Write(text string) {
	p.t.Helper()
	_, err := p.console.Write([]byte(text))
	Must(p.t, err)
}

// Says types a line and waits until a text is shown after it.
func (p *Terminal) Says(line, text string) {
	p.t.Helper()
	p.shown.Reset()
	p.Write(line + "\n")
	Eventually(p.t, fmt.Sprintf("%q is answered with %q", line, text), func() error {
		return Contains(p.shown.String(), text)
	})
}

// SaysSize waits until a shell there knows of the size, which it may be told a little later.
func (p *Terminal) SaysSize(rows, columns int) {
	p.t.Helper()
	p.Says(fmt.Sprintf("until stty size | grep %d; do sleep 0.1; done", columns), fmt.Sprintf("%d %d", rows, columns))
}

// Wait returns the exit status of the command.
func (p *Terminal) Wait() int {
	p.t.Helper()
	defer time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() }).Stop()
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

package podman

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// terminal is a terminal's master, and what has come out of it.
type terminal struct {
	master *os.File
	path   string
	mu     sync.Mutex
	out    bytes.Buffer
}

func openTerminal(t testing.TB, rows, columns uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	engine.Must(t, err)
	t.Cleanup(func() { master.Close() })
	engine.Must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	engine.Must(t, err)
	term := &terminal{master: master, path: "/dev/pts/" + strconv.Itoa(number)}
	term.resize(t, rows, columns)
	return term
}

func (term *terminal) resize(t testing.TB, rows, columns uint16) {
	t.Helper()
	engine.Must(t, unix.IoctlSetWinsize(int(term.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}))
}

// start starts a command on the terminal; the function that it returns types a last line and returns the exit status.
func (term *terminal) start(t testing.TB, cmd *exec.Cmd) func(last string) int {
	t.Helper()
	end, err := os.OpenFile(term.path, os.O_RDWR|syscall.O_NOCTTY, 0)
	engine.Must(t, err)
	defer end.Close()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if c := cmd.SysProcAttr.Credential; c != nil {
		engine.Must(t, os.Chown(term.path, int(c.Uid), -1))
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	cmd.Stdin, cmd.Stdout, cmd.Stderr = end, end, end
	engine.Must(t, cmd.Start())
	go func() { _, _ = io.Copy(term, term.master) }()
	return func(last string) int {
		_, _ = io.WriteString(term.master, last+"\n")
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
}

func (term *terminal) Write(b []byte) (int, error) {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.out.Write(b)
}

// say types a line until there is an answer.
func (term *terminal) say(t testing.TB, line, want string) {
	t.Helper()
	engine.Eventually(t, "the answer to "+line, func() error {
		_, _ = io.WriteString(term.master, line+"\n")
		time.Sleep(100 * time.Millisecond)
		term.mu.Lock()
		defer term.mu.Unlock()
		return engine.Contains(term.out.String(), want)
	})
}

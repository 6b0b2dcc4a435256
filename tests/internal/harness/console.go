package harness

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// PTY is a pseudo terminal.
type PTY struct {
	Master, Slave *os.File

	mu   sync.Mutex
	text strings.Builder
}

// NewPTY makes a pseudo terminal of the machine's and collects what is written to it.
func (e *Env) NewPTY() *PTY {
	e.T.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	e.Must(err)
	e.Must(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	e.Must(err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	e.Must(err)
	p := e.collect(fd)
	p.Slave = slave
	e.T.Cleanup(func() { slave.Close() })
	return p
}

// collect reads from a terminal's master until its other side is closed.
func (e *Env) collect(fd int) *PTY {
	e.Must(unix.SetNonblock(fd, true)) // a read ends when the file is closed
	p := &PTY{Master: os.NewFile(uintptr(fd), "master")}
	e.T.Cleanup(func() { p.Master.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := p.Master.Read(buf)
			p.mu.Lock()
			p.text.Write(buf[:n])
			p.mu.Unlock()
			// EIO: nobody has the other side open, which may still change.
			if err != nil && !errors.Is(err, unix.EIO) {
				return
			}
			if err != nil {
				unix.Poll(nil, 10)
			}
		}
	}()
	return p
}

// Text returns what was written to the terminal so far.
func (p *PTY) Text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// ConsoleSocket is what an engine passes as --console-socket.
type ConsoleSocket struct {
	Path string
	e    *Env
	got  chan int
}

// ConsoleSocket listens for a terminal.
func (e *Env) ConsoleSocket() *ConsoleSocket {
	e.T.Helper()
	f, err := os.CreateTemp(e.Dir, "c-")
	e.Must(err)
	f.Close()
	os.Remove(f.Name())
	s := &ConsoleSocket{Path: f.Name(), e: e, got: make(chan int, 1)}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	e.Must(err)
	e.Must(unix.Bind(fd, &unix.SockaddrUnix{Name: s.Path}))
	e.Must(unix.Listen(fd, 1))
	e.T.Cleanup(func() { unix.Shutdown(fd, unix.SHUT_RDWR); unix.Close(fd) })
	go func() { s.got <- receiveFD(fd) }()
	return s
}

// receiveFD returns the descriptor that the first caller sends, -1 if none comes.
func receiveFD(listener int) int {
	conn, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return -1
	}
	defer unix.Close(conn)
	data, control := make([]byte, 4096), make([]byte, 256)
	_, n, _, _, err := unix.Recvmsg(conn, data, control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1
	}
	return fds[0]
}

// Terminal returns the master that was sent.
func (s *ConsoleSocket) Terminal() *PTY {
	s.e.T.Helper()
	fd := s.Descriptor()
	return s.e.collect(fd)
}

// Descriptor returns the descriptor that was sent.
func (s *ConsoleSocket) Descriptor() int {
	s.e.T.Helper()
	fd := -1
	if !poll(func() bool {
		select {
		case fd = <-s.got:
			return true
		default:
			return false
		}
	}) || fd < 0 {
		s.e.T.Fatal("nothing was sent to the console socket")
	}
	return fd
}

package libruntime

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// checkTerminal refuses a terminal that nobody would serve (served: bailey itself stays and does), and a
// socket for one that would get none. With own, who has called serves it.
func checkTerminal(terminal, served bool, socket string, own func(*os.File) error) error {
	switch {
	case terminal && !served && socket == "" && own == nil:
		return &fault.Error{Step: "cannot allocate a terminal without a console socket", Origin: "/process/terminal",
			Cause:  "bailey does not stay to serve the terminal when it detaches",
			Remedy: "give --console-socket, or set process.terminal to false"}
	case socket != "" && (!terminal || served):
		return &fault.Error{Step: "cannot use a console socket", Origin: "--console-socket",
			Cause:  "it is for a process with a terminal that bailey detaches from",
			Remedy: "leave --console-socket out, or set process.terminal to true and detach"}
	}
	return nil
}

// takeConsole hands a terminal's master on to own or to the socket, or, where there is neither, returns it to be served.
func takeConsole(master *os.File, socket string, own func(*os.File) error) (*os.File, error) {
	if master == nil {
		return nil, fault.New("receive the terminal from the container's init", "/process/terminal")
	}
	if own != nil {
		return nil, own(master)
	}
	if socket == "" {
		return master, nil
	}
	defer master.Close()
	// The name is the one that receivers know from runc; they only show it.
	return nil, sendFile(socket, "--console-socket", "/dev/ptmx", int(master.Fd()))
}

// terminal connects a container's terminal with the one that bailey runs in.
type terminal struct {
	master *os.File
	// own is a descriptor of the caller's terminal, or -1 if there is none.
	own      int
	saved    *unix.Termios
	finished chan struct{}
	once     sync.Once
}

// drainTimeout is how long the output of a payload that has ended is waited for. A process that it left
// behind may hold the terminal for any time.
const drainTimeout = 500 * time.Millisecond

// serveTerminal passes on what is typed and what is printed until close. The caller's terminal, if it has
// one, is put into raw mode, so that every key reaches the container, and its size is passed on.
//
// typed, which may be nil, is shown every key once the container has it.
func serveTerminal(master *os.File, typed func(*terminal, []byte)) (*terminal, error) {
	if err := unix.SetNonblock(int(master.Fd()), true); err != nil {
		return nil, &fault.Error{Step: "serve the terminal", Syscall: "fcntl", Err: err}
	}
	// A new file, because only one made of a non-blocking descriptor can be closed under a reader.
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	master.Close()
	if err != nil {
		return nil, &fault.Error{Step: "serve the terminal", Syscall: "fcntl", Err: err}
	}
	t := &terminal{master: os.NewFile(uintptr(fd), "/dev/ptmx"), own: -1, finished: make(chan struct{})}
	for fd := range 3 {
		if saved, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			t.own, t.saved = fd, saved
			break
		}
	}
	if t.own >= 0 {
		if err := t.raw(); err != nil {
			t.master.Close()
			return nil, &fault.Error{Step: "put the terminal into raw mode", Syscall: "ioctl(TCSETS)", Err: err}
		}
		t.resize()
	}
	var input io.Writer = t.master
	if typed != nil {
		input = watched{t, typed}
	}
	go func() { _, _ = io.Copy(input, os.Stdin) }()
	go func() {
		// It ends with EIO when the last process has closed the terminal.
		_, _ = io.Copy(os.Stdout, t.master)
		close(t.finished)
	}()
	return t, nil
}

// watched is a terminal's input that somebody else sees, too.
type watched struct {
	t     *terminal
	typed func(*terminal, []byte)
}

func (w watched) Write(keys []byte) (int, error) {
	n, err := w.t.master.Write(keys)
	w.typed(w.t, keys[:n])
	return n, err
}

// raw switches off everything that a terminal does with input and output by itself: cfmakeraw(3).
func (t *terminal) raw() error {
	m := *t.saved
	m.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	m.Oflag &^= unix.OPOST
	m.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	m.Cflag = m.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	m.Cc[unix.VMIN], m.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(t.own, unix.TCSETS, &m)
}

// resize gives the container's terminal the size of the caller's. t may be nil.
func (t *terminal) resize() {
	if t == nil || t.own < 0 {
		return
	}
	size, err := unix.IoctlGetWinsize(t.own, unix.TIOCGWINSZ)
	if err != nil || size.Row == 0 && size.Col == 0 {
		return
	}
	conn, err := t.master.SyscallConn()
	if err == nil {
		_ = conn.Control(func(fd uintptr) { _ = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
	}
}

// close passes on the rest of the output and gives the caller its terminal back. Calling it twice is
// harmless.
func (t *terminal) close() {
	if t == nil {
		return
	}
	t.once.Do(func() {
		select {
		case <-t.finished:
		case <-time.After(drainTimeout):
		}
		if t.own >= 0 {
			err := unix.IoctlSetTermios(t.own, unix.TCSETS, t.saved)
			for errors.Is(err, unix.EINTR) {
				err = unix.IoctlSetTermios(t.own, unix.TCSETS, t.saved)
			}
		}
		t.master.Close()
	})
}

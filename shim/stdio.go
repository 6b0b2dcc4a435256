package shim

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/nsexec"
	"github.com/bailey-oci/bailey/shim/wire"
)

// stdio connects the standard streams of a process with what containerd has named for them.
type stdio struct {
	names wire.Stdio
	// logs starts a logging program.
	logs func(uri string) (stdout, stderr *os.File, err error)
	// child are the process's own ends, which are closed here once it has them. With a terminal they are empty.
	child nsexec.Streams
	// pipes are those of them whose owner is to be the process's user.
	pipes []*os.File

	mu sync.Mutex
	// keep is the FIFO for input, open for writing: without it, the input would end each time that a client goes away.
	keep *os.File
	// master is that of the terminal.
	master *os.File
	// ends are what is open for copying, to be closed if that does not end by itself.
	ends []*os.File

	inputs, outputs copies
}

// readerTimeout is how long a client may take to open what it is to read.
const readerTimeout = 5 * time.Second

// null says that a stream leads nowhere.
func null(f **os.File) (err error) {
	*f, err = os.OpenFile(os.DevNull, os.O_RDWR, 0)
	return err
}

// openStdio opens everything that a process with these streams needs. logs starts a logging program.
func openStdio(names wire.Stdio, logs func(uri string) (stdout, stderr *os.File, err error)) (_ *stdio, err error) {
	s := &stdio{names: names, logs: logs}
	defer func() {
		if err != nil {
			s.abort()
		}
	}()
	if names.Terminal {
		return s, nil // it is connected when there is a terminal
	}
	if names.Stdin == "" {
		err = null(&s.child[0])
	} else {
		err = s.openInput(names.Stdin)
	}
	if err != nil {
		return nil, fmt.Errorf("open standard input: %w", err)
	}
	if isLogger(names.Stdout) {
		s.child[1], s.child[2], err = logs(names.Stdout)
		s.pipes = append(s.pipes, s.child[1], s.child[2])
		return s, err
	}
	if err = s.openOutput(1, names.Stdout); err == nil {
		err = s.openOutput(2, names.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("open standard output: %w", err)
	}
	return s, nil
}

// isLogger reports whether a stream's name stands for a program.
func isLogger(name string) bool { return strings.HasPrefix(name, "binary://") }

// pipe makes a pipe of which one end is for the process and the other one for Go's poller.
func (s *stdio) pipe(stream int, read bool) (ours *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	theirs, own := fds[1], fds[0]
	if !read {
		theirs, own = own, theirs
	}
	s.child[stream] = os.NewFile(uintptr(theirs), "pipe")
	if err := unix.SetNonblock(own, true); err != nil {
		unix.Close(own)
		return nil, os.NewSyscallError("fcntl", err)
	}
	ours = os.NewFile(uintptr(own), "pipe")
	s.pipes = append(s.pipes, s.child[stream])
	s.ends = append(s.ends, ours)
	return ours, nil
}

func (s *stdio) openInput(path string) error {
	fifo, err := s.input(path)
	if err != nil {
		return err
	}
	pipe, err := s.pipe(0, false)
	if err != nil {
		return err
	}
	s.inputs.start(pipe, fifo)
	return nil
}

// input opens the FIFO for input, and keeps it from ending before CloseIO.
func (s *stdio) input(path string) (*os.File, error) {
	fifo, err := os.OpenFile(path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	s.ends = append(s.ends, fifo)
	s.keep, err = os.OpenFile(path, unix.O_WRONLY|unix.O_NONBLOCK, 0)
	return fifo, err
}

// output opens what a stream's name stands for.
func output(name string) (*os.File, error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "file":
		if err := os.MkdirAll(filepath.Dir(u.Path), 0o755); err != nil {
			return nil, err
		}
		return os.OpenFile(u.Path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	case "", "fifo":
		return outputFIFO(u.Path)
	}
	return nil, fmt.Errorf("unknown scheme %q", u.Scheme)
}

// outputFIFO opens a FIFO for output, when the client has begun to open it: one that has not, and hears of the process's end,
// does not read any more. It is open for reading as well, so that the process can go on, up to what a pipe holds, while
// the client is away.
func outputFIFO(path string) (*os.File, error) {
	for end := time.Now().Add(readerTimeout); ; time.Sleep(time.Millisecond) {
		reader, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err == nil {
			defer reader.Close()
			break
		}
		if !errors.Is(err, unix.ENXIO) {
			return nil, err
		}
		if time.Now().After(end) {
			break
		}
	}
	return os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
}

func (s *stdio) openOutput(stream int, name string) error {
	if name == "" {
		return null(&s.child[stream])
	}
	to, err := output(name)
	if err != nil {
		return err
	}
	s.ends = append(s.ends, to)
	pipe, err := s.pipe(stream, true)
	if err != nil {
		return err
	}
	s.outputs.start(to, pipe)
	return nil
}

// connect begins to pass on what is typed and printed at a terminal, whose master this is.
func (s *stdio) connect(received *os.File) error {
	fd, err := unix.FcntlInt(received.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	received.Close()
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	master := os.NewFile(uintptr(fd), "/dev/ptmx")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.master = master
	if s.names.Stdin != "" {
		fifo, err := s.input(s.names.Stdin)
		if err != nil {
			return err
		}
		s.inputs.keeping(master, fifo)
	}
	var to *os.File
	switch {
	case s.names.Stdout == "":
		err = null(&to)
	case isLogger(s.names.Stdout):
		var other *os.File
		if to, other, err = s.logs(s.names.Stdout); err == nil {
			other.Close() // a terminal has one output
		}
	default:
		to, err = output(s.names.Stdout)
	}
	if err != nil {
		return err
	}
	s.ends = append(s.ends, to)
	s.outputs.keeping(to, master)
	return nil
}

// own gives the pipes to the process's user, who may want to open /dev/stdout.
func (s *stdio) own(uid, gid int) error {
	for _, p := range s.pipes {
		if err := p.Chown(uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// started closes what only the process needs.
func (s *stdio) started() {
	for i, f := range s.child {
		if f != nil {
			f.Close()
		}
		s.child[i] = nil
	}
	s.pipes = nil
}

// closeInput lets the input end when everything has been passed on.
func (s *stdio) closeInput() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keep != nil {
		s.keep.Close()
		s.keep = nil
	}
}

// resize gives the terminal a size.
func (s *stdio) resize(width, height uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.master == nil {
		return precondition("the process has no terminal")
	}
	conn, err := s.master.SyscallConn()
	if err != nil {
		return err
	}
	size := unix.Winsize{Row: height, Col: width}
	ctlErr := conn.Control(func(fd uintptr) { err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &size) })
	return errors.Join(ctlErr, err)
}

// drain waits until what the process has written is passed on, at most for the given time: processes that it has left
// behind may hold its streams for any time.
func (s *stdio) drain(most time.Duration) {
	select {
	case <-s.outputs.finished():
	case <-time.After(most):
	}
}

// abort closes everything; what is being copied is left where it is.
func (s *stdio) abort() {
	s.started()
	s.closeInput()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.ends {
		f.Close()
	}
	if s.master != nil {
		s.master.Close()
	}
	s.ends = nil
}

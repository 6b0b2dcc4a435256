package criu

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// program is the name that CRIU is looked for on the PATH.
const program = "criu"

const (
	// socketFD and firstInherited are descriptors in CRIU.
	socketFD       = 3
	firstInherited = 4
)

// maxMessage is the size in bytes of the largest response: CRIU's own limit for requests is as much.
const maxMessage = 32 << 10

// Client is a running CRIU. It serves one request.
type Client struct {
	cmd  *exec.Cmd
	sock int
	// Await, which may be nil, waits until a descriptor can be read.
	Await func(fd int) error
}

// Start starts CRIU to dump. Should the caller be killed, it comes to an end by itself, because the processes that it works
// in must not be left as they are then. The caller closes the client.
func Start() (*Client, error) { return start(nil, 0) }

// StartWith starts CRIU to restore. It inherits the files in this order, lives in the namespaces of the calling thread and
// ends with that.
func StartWith(files []Inherited) (*Client, error) { return start(files, syscall.SIGKILL) }

func start(files []Inherited, atEnd syscall.Signal) (*Client, error) {
	path, err := exec.LookPath(program) //nolint:forbidigo // a tool of the caller's, as runc finds it; no configuration names it
	if err != nil {
		return nil, &fault.Error{Step: "find CRIU", Err: unix.ENOENT,
			Cause:  "checkpoints are made and restored by the program criu, which is not on the PATH",
			Remedy: "install CRIU (Debian and Ubuntu: apt install criu)"}
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &fault.Error{Step: "start CRIU", Syscall: "socketpair", Err: err}
	}
	theirs := os.NewFile(uintptr(pair[1]), "criu")
	defer theirs.Close()
	cmd := exec.Command(path, "swrk", strconv.Itoa(socketFD))
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	for _, f := range files {
		cmd.ExtraFiles = append(cmd.ExtraFiles, f.File)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: atEnd}
	if err := cmd.Start(); err != nil {
		unix.Close(pair[0])
		return nil, fault.Wrap(err, "start CRIU", "")
	}
	return &Client{cmd: cmd, sock: pair[0]}, nil
}

// PID returns CRIU's process ID.
func (c *Client) PID() int { return c.cmd.Process.Pid }

// Close has CRIU end, if it has not yet, and waits for that.
func (c *Client) Close() {
	unix.Close(c.sock)
	_ = c.cmd.Wait() // what it has to say it has said by the response
}

// Dump dumps a tree.
func (c *Client) Dump(o *Options) error {
	_, err := c.do(dump, o)
	return err
}

// PreDump dumps the memory of a tree that goes on.
func (c *Client) PreDump(o *Options) error {
	_, err := c.do(preDump, o)
	return err
}

// Restore restores a tree and returns the process ID of its root.
func (c *Client) Restore(o *Options) (pid int, err error) {
	r, err := c.do(restore, o)
	if err != nil {
		return 0, err
	}
	return r.pid, nil
}

// Features finds out which of the wanted features there are.
func (c *Client) Features(wanted Features) (Features, error) {
	var features, m message
	features.set(1, wanted.TrackMemory)
	features.set(2, wanted.LazyPages)
	m.number(1, uint64(featureCheck))
	m.inner(5, features)
	r, err := c.roundTrip(featureCheck, m)
	if err != nil {
		return Features{}, err
	}
	return r.features, r.err()
}

// do makes a request and answers notifications until its response comes.
func (c *Client) do(kind request, o *Options) (*response, error) {
	var m message
	m.number(1, uint64(kind))
	m.inner(2, o.encode())
	var refused error
	for {
		r, terminal, err := c.exchange(kind, m)
		if err != nil {
			return nil, err
		}
		if r.kind != notification {
			if terminal != nil {
				terminal.Close()
			}
			if refused != nil {
				return nil, refused
			}
			if err := r.err(); err != nil {
				return nil, err
			}
			return r, nil
		}
		if o.Notify != nil && refused == nil {
			refused = o.Notify(r.script, r.pid, terminal)
		} else if terminal != nil {
			terminal.Close()
		}
		m = nil
		m.number(1, uint64(notification))
		m.number(3, boolean(refused == nil))
	}
}

func boolean(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// roundTrip is exchange for requests that make no notifications.
func (c *Client) roundTrip(kind request, m message) (*response, error) {
	r, terminal, err := c.exchange(kind, m)
	if terminal != nil {
		terminal.Close()
	}
	return r, err
}

// exchange sends a message and receives the next, with the descriptor that may come along.
func (c *Client) exchange(kind request, m message) (*response, *os.File, error) {
	failed := func(call string, err error) error {
		return &fault.Error{Step: "ask CRIU for a " + kind.String(), Syscall: call, Err: err}
	}
	if err := unix.Sendmsg(c.sock, m, nil, nil, unix.MSG_NOSIGNAL); err != nil {
		return nil, nil, failed("sendmsg", err)
	}
	if c.Await != nil {
		if err := c.Await(c.sock); err != nil {
			return nil, nil, err
		}
	}
	b := make([]byte, maxMessage)
	rights := make([]byte, unix.CmsgSpace(4))
	n, rn, flags, _, err := unix.Recvmsg(c.sock, b, rights, unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR {
		n, rn, flags, _, err = unix.Recvmsg(c.sock, b, rights, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return nil, nil, failed("recvmsg", err)
	}
	f := received(rights[:rn])
	fail := func(err error) (*response, *os.File, error) {
		if f != nil {
			f.Close()
		}
		return nil, nil, err
	}
	if n == 0 {
		return fail(&fault.Error{Step: "ask CRIU for a " + kind.String(), Err: errors.New("it has ended without an answer")})
	}
	if flags&unix.MSG_TRUNC != 0 {
		return fail(failed("recvmsg", unix.EMSGSIZE))
	}
	r, err := decode(b[:n])
	if err != nil {
		return fail(&fault.Error{Step: "read the answer of CRIU", Err: err})
	}
	if r.kind != notification && r.kind != kind && r.success {
		return fail(&fault.Error{Step: "read the answer of CRIU", Err: errors.New("it answers another request")})
	}
	return r, f, nil
}

// received returns the descriptor in a control message, nil if there is none.
func received(rights []byte) *os.File {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) == 0 {
		return nil
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil
	}
	return os.NewFile(uintptr(fds[0]), "/dev/ptmx")
}

// FailedError is what CRIU says where it could not do what it was asked for.
type FailedError struct {
	// Message is the first error in its log, if it says.
	Message string
	// Errno may be 0.
	Errno syscall.Errno
}

func (f *FailedError) Error() string {
	text := "CRIU has failed"
	if f.Message != "" {
		text += ": " + strings.TrimSpace(f.Message)
	}
	if f.Errno != 0 {
		text += ": " + fault.Reason(f.Errno)
	}
	return text
}

// err returns the error that a response tells of.
func (r *response) err() error {
	if r.success {
		return nil
	}
	return &FailedError{Message: r.message, Errno: syscall.Errno(max(r.errno, -r.errno))}
}

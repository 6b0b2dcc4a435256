package systemd

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// callTimeout is how long the answer to a call may take, jobTimeout how long a job of systemd's.
const (
	callTimeout = 25 * time.Second
	jobTimeout  = 60 * time.Second
)

const (
	service   = "org.freedesktop.systemd1"
	root      = "/org/freedesktop/systemd1"
	manager   = "org.freedesktop.systemd1.Manager"
	busName   = "org.freedesktop.DBus"
	busObject = "/org/freedesktop/DBus"
)

// Conn is a connection to a service manager: the machine's or a user's. It is not safe for concurrent use.
type Conn struct {
	fd int
	// bus: a message bus is in between.
	bus    bool
	serial uint32
	// jobs are the results of jobs that have ended.
	jobs map[string]string
}

// Error is an error that systemd, or the message bus, has answered with.
type Error struct {
	// Name is the error's D-Bus name: "org.freedesktop.systemd1.UnitExists".
	Name string
	// Text is the explanation.
	Text string
}

func (e *Error) Error() string {
	if e.Text == "" {
		return e.Name
	}
	return e.Text
}

// Connect connects to the machine's service manager, or to the calling user's own, by way of the message bus or, where
// there is none, directly.
func Connect(user bool) (*Conn, error) {
	var errs []error
	bus, private := busAddress("DBUS_SYSTEM_BUS_ADDRESS", "/run/dbus/system_bus_socket"), "/run/systemd/private"
	if user {
		dir := os.Getenv("XDG_RUNTIME_DIR")
		if dir == "" {
			dir = "/run/user/" + strconv.Itoa(os.Geteuid())
		}
		bus, private = busAddress("DBUS_SESSION_BUS_ADDRESS", dir+"/bus"), dir+"/systemd/private"
	}
	for _, way := range []struct {
		path string
		bus  bool
	}{{bus, true}, {private, false}} {
		c := &Conn{bus: way.bus, jobs: make(map[string]string)}
		err := c.connect(way.path)
		if err == nil {
			return c, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", way.path, err))
	}
	f := &fault.Error{Step: "reach systemd", Err: errs[1], Cause: "tried before: " + errs[0].Error()}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		f.Cause = "systemd does not run this machine"
		f.Remedy = "use the cgroupfs driver (without --systemd-cgroup)"
	} else if user {
		f.Cause = "the user has no service manager of its own: it is started by a login, or by: loginctl enable-linger"
		f.Remedy = "log in (su and sudo are no logins), set XDG_RUNTIME_DIR, or use the cgroupfs driver"
	}
	return nil, f
}

// busAddress returns the path of a message bus: what a variable of the environment says, or the usual one.
func busAddress(variable, usual string) string {
	if p, ok := strings.CutPrefix(os.Getenv(variable), "unix:path="); ok {
		p, _, _ = strings.Cut(p, ",")
		return p
	}
	return usual
}

func (c *Conn) connect(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	c.fd = fd
	if err = unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		err = os.NewSyscallError("connect", err)
	} else if err = c.authenticate(); err == nil {
		err = c.begin()
	}
	if err != nil {
		c.Close()
	}
	return err
}

// authenticate says that we are who the kernel says we are (D-Bus Specification, "Authentication Protocol", EXTERNAL): a
// user ID of our own would be another outside of a user namespace.
func (c *Conn) authenticate() error {
	tv := unix.NsecToTimeval(int64(callTimeout))
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := c.write([]byte("\x00AUTH EXTERNAL\r\nDATA\r\n")); err != nil {
		return err
	}
	for _, want := range []string{"DATA", "OK "} {
		line, err := c.line()
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, want) {
			return fmt.Errorf("authentication was refused: %s", line)
		}
	}
	return c.write([]byte("BEGIN\r\n"))
}

// line reads a line of the authentication.
func (c *Conn) line() (string, error) {
	var line []byte
	for b := make([]byte, 1); !strings.HasSuffix(string(line), "\r\n"); line = append(line, b[0]) {
		if len(line) > 1024 {
			return "", errMalformed
		}
		if err := c.read(b); err != nil {
			return "", err
		}
	}
	return strings.TrimSpace(string(line)), nil
}

// begin makes the ends of jobs known to us.
func (c *Conn) begin() error {
	if c.bus {
		if _, err := c.call(busName, busObject, busName, "Hello", "", nil); err != nil {
			return err
		}
		const rule = "type='signal',sender='" + service + "',interface='" + manager + "',member='JobRemoved'"
		if _, err := c.call(busName, busObject, busName, "AddMatch", "s", func(w *writer) { w.string(rule) }); err != nil {
			return err
		}
	}
	_, err := c.manager("Subscribe", "", nil)
	return err
}

// Close ends the connection.
func (c *Conn) Close() { unix.Close(c.fd) }

// manager calls a method of the service manager.
func (c *Conn) manager(method, types string, args func(*writer)) (*message, error) {
	return c.call(service, root, manager, method, types, args)
}

// call calls a method and waits for the answer.
func (c *Conn) call(destination, path, iface, method, types string, args func(*writer)) (*message, error) {
	if !c.bus {
		destination = ""
	}
	c.serial++
	if err := c.write(call(c.serial, destination, path, iface, method, types, args)); err != nil {
		return nil, err
	}
	for {
		m, err := c.receive()
		switch {
		case err != nil:
			return nil, fmt.Errorf("%s: %w", method, err)
		case m.replyTo != c.serial:
		case m.kind == errorReply:
			e := &Error{Name: m.err}
			if strings.HasPrefix(m.types, "s") {
				e.Text = m.body.string()
			}
			return nil, e
		case m.kind == methodReturn:
			return m, nil
		}
	}
}

// receive reads a message. The end of a job is noted.
func (c *Conn) receive() (*message, error) {
	var fixed [16]byte
	if err := c.read(fixed[:]); err != nil {
		return nil, err
	}
	header, body, err := headerLength(fixed[:])
	if err != nil {
		return nil, err
	}
	b := make([]byte, header+body)
	copy(b, fixed[:])
	if err := c.read(b[len(fixed):]); err != nil {
		return nil, err
	}
	m, err := parse(b)
	if err == nil && m.kind == signalSent && m.member == "JobRemoved" && m.types == "uoss" {
		r := m.body
		r.uint32()
		job, _, result := r.string(), r.string(), r.string()
		if r.err != nil {
			return nil, r.err
		}
		c.jobs[job] = result
	}
	return m, err
}

// job waits for the end of the job that a message is about.
func (c *Conn) job(m *message) error {
	path := m.body.string()
	if m.body.err != nil || m.types != "o" {
		return errMalformed
	}
	for end := time.Now().Add(jobTimeout); ; {
		if result, ended := c.jobs[path]; ended {
			delete(c.jobs, path)
			if result != "done" {
				return fmt.Errorf("the job has ended with the result %q", result)
			}
			return nil
		}
		if time.Now().After(end) {
			return unix.ETIMEDOUT
		}
		if _, err := c.receive(); err != nil {
			return err
		}
	}
}

func (c *Conn) write(b []byte) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(c.fd, b, nil, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("sendmsg", err)
		}
		b = b[n:]
	}
	return nil
}

// read fills b.
func (c *Conn) read(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Read(c.fd, b)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return unix.ETIMEDOUT
		case err != nil:
			return os.NewSyscallError("read", err)
		case n == 0:
			return io.ErrUnexpectedEOF
		default:
			b = b[n:]
		}
	}
	return nil
}

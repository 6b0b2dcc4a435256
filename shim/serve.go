package shim

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

const (
	// flushTimeout is how long the end waits for containerd to take the last events.
	flushTimeout = 2 * time.Second
	// shutdownTimeout is how long it waits for the last responses to be sent.
	shutdownTimeout = 2 * time.Second
	// gcPercent is lower than usual: a shim has little garbage, and memory counts more than time.
	gcPercent = 40
)

// serve serves the task service until containerd or a signal ends it.
func (c *call) serve(version string) error {
	debug.SetGCPercent(gcPercent)
	if err := c.openLog(); err != nil {
		return err
	}
	// Processes that a container leaves behind, if it shares the pid namespace, come here and not to process 1.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	signals := make(chan os.Signal, 32)
	// SIGPIPE is caught and not ignored, because what is ignored would stay so in containers.
	signal.Notify(signals, unix.SIGCHLD, unix.SIGTERM, unix.SIGINT, unix.SIGPIPE)

	l, err := c.listener()
	if err != nil {
		return err
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	over := make(chan struct{})
	s := &service{
		namespace: c.namespace, version: version, containers: make(map[string]*container),
		events: newPublisher(os.Getenv(addressVariable), c.namespace), shutdown: sync.OnceFunc(func() { close(over) }),
	}
	s.oom.tell = s.tellOOM
	s.register(server)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(context.Background(), l) }()
	for {
		select {
		case sig := <-signals:
			switch sig {
			case unix.SIGCHLD:
				s.reaper.ended()
			case unix.SIGTERM, unix.SIGINT:
				s.shutdown()
			}
		case err := <-failed:
			if !errors.Is(err, ttrpc.ErrServerClosed) {
				return err
			}
		case <-over:
			s.events.flush(flushTimeout)
			c.removeSocket(l)
			ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
			defer cancel()
			_ = server.Shutdown(ctx)
			return nil
		}
	}
}

// openLog makes the FIFO that containerd reads standard error. It is open for reading as well, and does not block: a
// containerd that is away, or does not read, must not stop the shim, and what it misses is lost.
func (c *call) openLog() error {
	f, err := os.OpenFile("log", os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	ctlErr := conn.Control(func(fd uintptr) { err = unix.Dup3(int(fd), 2, unix.O_CLOEXEC) })
	if err := errors.Join(ctlErr, err); err != nil {
		return err
	}
	logrus.SetOutput(logWriter{})
	logrus.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	if c.debug {
		logrus.SetLevel(logrus.DebugLevel)
	}
	return nil
}

// logWriter writes to standard error without waiting for a reader.
type logWriter struct{}

func (logWriter) Write(b []byte) (int, error) {
	_, _ = unix.Write(2, b)
	return len(b), nil
}

// listener returns the socket to serve.
func (c *call) listener() (net.Listener, error) {
	if c.socket != "" {
		return net.Listen("unix", c.socket)
	}
	f := os.NewFile(servedFD, "socket")
	defer f.Close()
	return net.FileListener(f)
}

func (c *call) removeSocket(l net.Listener) {
	if path := l.Addr().String(); strings.HasPrefix(path, "/") {
		_ = os.Remove(path)
	}
}

package shim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/shim/wire"
)

const (
	// usualSocketDir is where the sockets of shims are.
	usualSocketDir = "/run/containerd/s"
	// addressFile has, in a bundle, the address of the shim that serves it; a containerd before 1.7 goes by it after a restart.
	addressFile = "address"
	// maxInput is how much of what containerd says at a start is read.
	maxInput = 10 << 20
	// addressVariable says where containerd takes events.
	addressVariable = "TTRPC_ADDRESS"
	// servedFD is the descriptor that the serving process inherits its socket as.
	servedFD = 3
)

// groups are the annotations by which containers share a shim: the first that is there counts.
var groups = []string{"io.containerd.bailey.v2.group", "io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"}

// start starts a process that serves the container, unless that of its pod is there already, and answers where it listens.
func (c *call) start(stdin io.Reader, stdout io.Writer) error {
	input, err := io.ReadAll(io.LimitReader(stdin, maxInput))
	if err != nil {
		return err
	}
	b := c.bootstrap(input)
	group, err := c.group()
	if err != nil {
		return err
	}
	path := c.socketPath(b.SocketDir, group)
	l, err := listen(path)
	if err != nil {
		return err
	}
	if l != nil {
		defer func() { _ = l.Close() }()
		pid, err := c.spawn(l, b.TTRPCAddress)
		if err == nil {
			if err = place(pid, b.options); err != nil {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		if err != nil {
			_ = os.Remove(path)
			return err
		}
	}
	address := "unix://" + path
	if err := os.WriteFile(addressFile, []byte(address), 0o600); err != nil {
		return err
	}
	_, err = stdout.Write(b.answer(address))
	return err
}

// group returns what the shim that serves the container is known by.
func (c *call) group() (string, error) {
	data, err := os.ReadFile("config.json")
	if err != nil {
		return "", err
	}
	var config struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return "", fmt.Errorf("read config.json: %w", err)
	}
	for _, g := range groups {
		if id := config.Annotations[g]; id != "" {
			return id, nil
		}
	}
	return c.id, nil
}

// socketPath returns a path for the group that no other containerd, namespace or group has. A socket's path has little room.
func (c *call) socketPath(dir, group string) string {
	if dir == "" {
		dir = usualSocketDir
	}
	sum := sha256.Sum256([]byte(filepath.Join(c.address, c.namespace, group) + "\x00bailey"))
	return dir + "/" + hex.EncodeToString(sum[:])
}

// listen makes the socket at path. The result is nil where somebody listens there already.
func listen(path string) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	for again := false; ; again = true {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err == nil {
			l.SetUnlinkOnClose(false) // it is only handed on
			return l, os.Chmod(path, 0o600)
		}
		if !errors.Is(err, syscall.EADDRINUSE) || again {
			return nil, err
		}
		conn, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			_ = conn.Close()
			return nil, nil
		}
		// Left behind by a shim that was killed.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
}

// spawn starts the process that serves. events is where events go, "" for where the environment says.
func (c *call) spawn(l *net.UnixListener, events string) (pid int, err error) {
	socket, err := l.File()
	if err != nil {
		return 0, err
	}
	defer socket.Close()
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	args := []string{self, "-namespace", c.namespace, "-id", c.id, "-address", c.address}
	if c.debug {
		args = append(args, "-debug")
	}
	// Two, as for this process: it is idle nearly always, and each costs memory.
	env := append(without(os.Environ(), "GOMAXPROCS"), "GOMAXPROCS=2")
	if events != "" {
		env = append(without(env, addressVariable), addressVariable+"="+events)
	}
	p, err := os.StartProcess(self, args, &os.ProcAttr{
		Env: env, Files: []*os.File{null, null, null, servedFD: socket}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, err
	}
	pid = p.Pid
	return pid, p.Release() // it outlives this process
}

func without(env []string, name string) []string {
	list := make([]string, 0, len(env)+1)
	for _, e := range env {
		if !strings.HasPrefix(e, name+"=") {
			list = append(list, e)
		}
	}
	return list
}

// started is how containerd has asked for the start.
type started struct {
	wire.Bootstrap
	options *wire.Options
	// current: by the protocol that containerd has had since 2.3.
	current bool
}

// bootstrap finds out how containerd asks: what older ones hand over are the options alone, which can be read as the other
// thing as well, but do not name the container.
func (c *call) bootstrap(input []byte) *started {
	b := new(started)
	if b.Decode(input) == nil && b.ID == c.id && b.Namespace == c.namespace {
		b.current = true
		c.debug = c.debug || b.Debug
	} else {
		b.Bootstrap = wire.Bootstrap{}
		if a, err := wire.DecodeAny(input); err == nil {
			b.Extensions = []wire.Any{a}
		}
	}
	for _, a := range b.Extensions {
		if o, err := decodeOptions(a); err == nil && o != nil {
			b.options = o
		}
	}
	return b
}

// answer says where the shim is in the words that containerd understands: those of 2.3 and later, those of 1.7, which tells by
// a variable that it knows them, or the address alone.
func (b *started) answer(address string) []byte {
	switch {
	case b.current:
		return (&wire.Bootstrapped{Version: 3, Address: address, Protocol: "ttrpc"}).Encode()
	case os.Getenv("MAX_SHIM_VERSION") != "":
		return []byte(`{"version":2,"address":` + strconv.Quote(address) + `,"protocol":"ttrpc"}`)
	}
	return []byte(address)
}

package shim

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/shim/wire"
)

// killed is the exit status of a process that nobody has seen end: that of SIGKILL, which ends it at the latest now.
const killed = 128 + int(unix.SIGKILL)

// delete removes what a shim has left that was killed, the container included. containerd calls this after every container,
// also where nothing is left.
func (c *call) delete(stdout io.Writer) error {
	warn := func(message string) { fmt.Fprintln(os.Stderr, message) }
	bundle := filepath.Join(filepath.Dir(c.bundle), c.id)
	r, err := readRecord(bundle)
	if err != nil {
		warn("the shim's record: " + err.Error())
	}
	exit := wire.Exit{Status: killed}
	if err := runtimeFor(c.namespace, &r.Options, warn).Delete(c.id, true); err != nil {
		warn(err.Error())
	}
	if exit.At = time.Now(); r.Exit != nil {
		exit = wire.Exit{PID: r.Exit.PID, Status: r.Exit.Status, At: r.Exit.At}
	}
	if err := unmountAll(filepath.Join(bundle, rootfsName)); err != nil {
		warn(err.Error())
	}
	removeDeadSocket(bundle)
	_, err = stdout.Write(wire.Deleted(exit).Encode())
	return err
}

// removeDeadSocket removes the socket of the shim that has served a bundle, if nobody listens there: others of its pod may
// have one that was started again.
func removeDeadSocket(bundle string) {
	address, err := os.ReadFile(filepath.Join(bundle, addressFile))
	if err != nil {
		return
	}
	path := strings.TrimPrefix(string(address), "unix://")
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
	} else if errors.Is(err, unix.ECONNREFUSED) {
		_ = os.Remove(path)
	}
}

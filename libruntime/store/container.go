package store

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
)

// Names in a container's directory.
const (
	stateFile  = "state.json"
	configFile = "config.json"
	socketFile = "start.sock"
)

// maxFile is the size in bytes above which a file of the store is refused unread: that of the largest
// config.json, whose copy and annotations are what can be large here.
const maxFile = 16 << 20

// Container is the open directory of one container.
type Container struct {
	// ID is the container's ID.
	ID string

	path string
	fd   int
}

// Close closes the directory and gives up the lock. Closing twice is harmless.
func (c *Container) Close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
		c.fd = -1
	}
}

// SocketPath returns the path of the socket that a created container waits on for its start.
func (c *Container) SocketPath() string { return c.path + "/" + socketFile }

// notifyDir is shown to the container; its socket is made when somebody listens.
const notifyDir = "notify"

// MakeNotify makes the directory of the container's notification socket and returns its path.
func (c *Container) MakeNotify() (string, error) {
	faultpoint.Here()
	path := c.path + "/" + notifyDir
	if err := unix.Mkdirat(c.fd, notifyDir, 0o755); err != nil {
		return "", &fault.Error{Step: "make the directory " + path, Syscall: "mkdirat", Err: err}
	}
	return path, nil
}

// NotifyPath returns the path of the directory of the container's notification socket, "" if it has none.
func (c *Container) NotifyPath() string {
	if unix.Faccessat(c.fd, notifyDir, unix.F_OK, 0) != nil {
		return ""
	}
	return c.path + "/" + notifyDir
}

// checkOwner refuses a directory that others than the caller could have filled.
func (c *Container) checkOwner() error {
	var st unix.Stat_t
	if err := unix.Fstat(c.fd, &st); err != nil {
		return &fault.Error{Step: "examine the state directory " + c.path, Syscall: "fstat", Err: err}
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return &fault.Error{
			Step: "use the state directory " + c.path,
			Err:  fmt.Errorf("it belongs to user %d and has mode %#o, so others can change what it says", st.Uid, st.Mode&0o7777),
			Remedy: fmt.Sprintf("give --root a directory that only user %d can write to",
				os.Geteuid()),
		}
	}
	return nil
}

// Lock waits until no other process changes the container. If the container was removed meanwhile, the
// error wraps ErrNotExist.
func (c *Container) Lock() error {
	for {
		err := unix.Flock(c.fd, unix.LOCK_EX)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &fault.Error{Step: "lock the state directory " + c.path, Syscall: "flock", Err: err}
		}
		return c.checkLinked()
	}
}

// Unlock gives up the lock; the container stays open.
func (c *Container) Unlock() { _ = unix.Flock(c.fd, unix.LOCK_UN) }

// LockWithin is Lock, but gives up after d. The error for that wraps ErrBusy.
func (c *Container) LockWithin(d time.Duration) error {
	for deadline := time.Now().Add(d); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(c.fd, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return c.checkLinked()
		case err != unix.EWOULDBLOCK && err != unix.EINTR:
			return &fault.Error{Step: "lock the state directory " + c.path, Syscall: "flock", Err: err}
		case !time.Now().Before(deadline):
			return &fault.Error{Step: "lock the state directory " + c.path, Err: ErrBusy}
		}
	}
}

// Busy reports whether another process holds the lock. It must not be called by the one that does.
func (c *Container) Busy() bool {
	if unix.Flock(c.fd, unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK {
		return true
	}
	_ = unix.Flock(c.fd, unix.LOCK_UN)
	return false
}

// ErrBusy says that another process is changing the container.
var ErrBusy = errors.New("another bailey process is working on the container")

// checkLinked fails if the directory is no longer the one of the container's name.
func (c *Container) checkLinked() error {
	var open, named unix.Stat_t
	if err := unix.Fstat(c.fd, &open); err != nil {
		return &fault.Error{Step: "examine the state directory " + c.path, Syscall: "fstat", Err: err}
	}
	err := unix.Lstat(c.path, &named)
	if err == unix.ENOENT || err == nil && (open.Ino != named.Ino || open.Dev != named.Dev) {
		return notExist(c.ID)
	}
	if err != nil {
		return &fault.Error{Step: "examine the state directory " + c.path, Syscall: "lstat", Err: err}
	}
	return nil
}

// Read returns the record. A directory without one, which is what a create leaves that was killed
// before it had done anything else, is an error that wraps ErrNotExist.
func (c *Container) Read() (*Record, error) {
	data, err := c.readFile(stateFile)
	if errors.Is(err, unix.ENOENT) {
		return nil, notExist(c.ID)
	}
	if err != nil {
		return nil, err
	}
	rec, err := decode(data)
	if err != nil {
		return nil, err
	}
	if rec.ID != c.ID {
		return nil, invalid("id", fmt.Sprintf("it is %q in the directory of container %s", shorten(rec.ID), c.ID))
	}
	return rec, nil
}

// Write replaces the record. The caller holds the lock.
func (c *Container) Write(rec *Record) error {
	data, err := rec.encode()
	if err != nil {
		return err
	}
	return c.replace(stateFile, data)
}

// WriteConfig stores the config.json that the container is made from.
func (c *Container) WriteConfig(data []byte) error { return c.replace(configFile, data) }

// ReadConfig returns what WriteConfig stored.
func (c *Container) ReadConfig() ([]byte, error) { return c.readFile(configFile) }

// Remove removes the directory with everything in it. The caller holds the lock, and keeps it until
// Close.
func (c *Container) Remove() error {
	for _, name := range []string{socketFile, configFile, stateFile} {
		faultpoint.Here()
		if err := unix.Unlinkat(c.fd, name, 0); err != nil && err != unix.ENOENT {
			break
		}
	}
	faultpoint.Here()
	err := unix.Rmdir(c.path)
	if err == unix.ENOTEMPTY {
		// The container's notification socket, or what a write that was killed half-way has left.
		err = os.RemoveAll(c.path)
	}
	if err != nil && err != unix.ENOENT {
		return fault.Wrap(err, "remove the state directory "+c.path, "")
	}
	return nil
}

// replace writes a file under a temporary name and renames it, so that a reader sees the old content
// or the new one and nothing in between.
func (c *Container) replace(name string, data []byte) error {
	tmp := "." + name
	failed := func(call string, err error) error {
		return &fault.Error{Step: "write " + c.path + "/" + name, Syscall: call, Err: err}
	}
	faultpoint.Here()
	fd, err := unix.Openat(c.fd, tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return failed("openat", err)
	}
	faultpoint.Here()
	for rest := data; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			unix.Close(fd)
			_ = unix.Unlinkat(c.fd, tmp, 0)
			return failed("write", err)
		}
		rest = rest[n:]
	}
	unix.Close(fd)
	// Exchanging the two and unlinking the old file instead of renaming over it: some file systems
	// (ext4) wait for the disk in the latter case, ten times as long as everything else here takes.
	faultpoint.Here()
	err = unix.Renameat2(c.fd, tmp, c.fd, name, unix.RENAME_EXCHANGE)
	if err == nil {
		faultpoint.Here()
		_ = unix.Unlinkat(c.fd, tmp, 0)
		return nil
	}
	// There is no old file, or the file system cannot exchange.
	if err := unix.Renameat(c.fd, tmp, c.fd, name); err != nil {
		return failed("renameat", err)
	}
	return nil
}

func (c *Container) readFile(name string) ([]byte, error) {
	failed := func(call string, err error) error {
		return &fault.Error{Step: "read " + c.path + "/" + name, Syscall: call, Err: err}
	}
	// O_NONBLOCK: the open of a FIFO must not hang.
	fd, err := unix.Openat(c.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, failed("openat", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, failed("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxFile {
		return nil, &fault.Error{Step: "read " + c.path + "/" + name,
			Err: fmt.Errorf("it is not a regular file of at most %d bytes", maxFile)}
	}
	data := make([]byte, st.Size)
	for n := 0; n < len(data); {
		m, err := unix.Read(fd, data[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, failed("read", err)
		}
		if m == 0 {
			return data[:n], nil
		}
		n += m
	}
	return data, nil
}

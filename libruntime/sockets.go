package libruntime

import (
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// sendFile sends a descriptor over the Unix stream socket at path, together with name, which is what the
// receiver may call it.
func sendFile(path, flag, name string, fd int) error {
	failed := func(call string, err error) error {
		return &fault.Error{Step: "send a descriptor to the socket " + path, Origin: flag, Syscall: call, Err: err}
	}
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return failed("socket", err)
	}
	defer unix.Close(sock)
	address := path
	if len(address) > maxSocketPath {
		// The way around the limit: the path of the directory's descriptor is short.
		dir, err := openHost(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return failed("open", err)
		}
		defer unix.Close(dir)
		address = "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(path)
	}
	if err := unix.Connect(sock, &unix.SockaddrUnix{Name: address}); err != nil {
		return failed("connect", err)
	}
	if err := unix.Sendmsg(sock, []byte(name), unix.UnixRights(fd), nil, 0); err != nil {
		return failed("sendmsg", err)
	}
	return nil
}

// maxSocketPath is the length in bytes of the longest path that a socket's address holds.
const maxSocketPath = 107

// sendPidfd sends a pidfd of the process.
func sendPidfd(path string, p process) error {
	fd, err := p.open()
	if err != nil {
		return &fault.Error{Step: "open the process for the socket " + path, Origin: "--pidfd-socket", Syscall: "pidfd_open", Err: err}
	}
	defer unix.Close(fd)
	return sendFile(path, "--pidfd-socket", "pidfd", fd)
}

// writePIDFile writes the process ID, without a newline as runc does, to the file at path, if there is one.
// Readers see all of it or nothing.
func writePIDFile(path string, pid int) error {
	if path == "" {
		return nil
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	f, err := createHost(tmp, 0o644)
	if os.IsExist(err) { // left by one that was killed
		_ = os.Remove(tmp)
		f, err = createHost(tmp, 0o644)
	}
	if err == nil {
		_, err = f.WriteString(strconv.Itoa(pid))
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err == nil {
			err = os.Rename(tmp, path)
		}
		if err != nil {
			_ = os.Remove(tmp)
		}
	}
	if err != nil {
		return fault.Wrap(reason(err), "write the process ID to "+path, "--pid-file")
	}
	return nil
}

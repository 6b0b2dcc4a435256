package nsexec

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// Listen makes the socket at path on which a created container waits for start. Who may connect is decided
// by the directory it lies in.
func Listen(path string) (*os.File, error) {
	var f *os.File
	err := withSocket(path, func(fd int, addr *unix.SockaddrUnix) error {
		if err := unix.Bind(fd, addr); err != nil {
			return os.NewSyscallError("bind", err)
		}
		if err := unix.Listen(fd, 8); err != nil {
			return os.NewSyscallError("listen", err)
		}
		f = os.NewFile(uintptr(fd), path)
		return nil
	})
	if err != nil {
		return nil, &fault.Error{Step: "make the start socket", Object: path, Err: err}
	}
	return f, nil
}

// Start lets the created container go whose init, the process pid, listens at path; see Init.Start.
func Start(path string, pid int, how Starting) error {
	var sock *os.File
	err := withSocket(path, func(fd int, addr *unix.SockaddrUnix) error {
		if err := unix.Connect(fd, addr); err != nil {
			return os.NewSyscallError("connect", err)
		}
		sock = os.NewFile(uintptr(fd), path)
		return nil
	})
	if err != nil {
		return &fault.Error{Step: "reach the container's init", Object: path, Err: err}
	}
	defer sock.Close()
	return start(sock, pid, how)
}

// withSocket hands f a new socket and path's address. A socket's address has room for 107 bytes, a path
// has none such limit; so the address goes by way of the directory's descriptor.
func withSocket(path string, f func(fd int, addr *unix.SockaddrUnix) error) error {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(dir)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	name := "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(path)
	if err := f(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		unix.Close(fd)
		return err
	}
	return nil
}

package libruntime

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// openHost opens a path of the caller's own mount namespace: one that the caller or config.json, which is
// the caller's, names, or one of the machine's procfs. It must not be given a path below a container's root
// beyond the root itself. Nothing is created, and no FIFO or terminal makes it hang or become bailey's own.
func openHost(path string, flags int) (int, error) {
	for {
		//nolint:forbidigo // the caller's paths mean what they mean to the caller, links included
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// createHost creates the file at path, which the caller has named, and must not exist.
func createHost(path string, mode os.FileMode) (*os.File, error) {
	//nolint:forbidigo // as openHost; O_EXCL does not follow a link either
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

// readStart reads the start of a file of procfs, whole if it fits into buf.
func readStart(path string, buf []byte) ([]byte, error) {
	fd, err := openHost(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}

// readProc returns a file of a process's directory in procfs. Those that are read this way have less than a
// page.
func readProc(pid, name string) ([]byte, error) {
	data, err := readStart("/proc/"+pid+"/"+name, make([]byte, 4096))
	if err != nil {
		return nil, &fault.Error{Step: "read /proc/" + pid + "/" + name, Err: err}
	}
	return data, nil
}

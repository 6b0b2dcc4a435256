package spec

import (
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// MaxSize is the size in bytes above which a configuration is refused unread. The largest that engines
// write are some hundred kilobytes; the limit keeps a hostile bundle from filling the memory of its caller.
const MaxSize = 16 << 20

// Load reads and decodes the config.json at path. It does not validate it. The file must be a regular
// file of at most MaxSize bytes; path may be a symbolic link.
func Load(path string) (*specs.Spec, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// LoadProcess reads and decodes the file at path as a process object, as given to exec --process,
// under the same rules as Load.
func LoadProcess(path string) (*specs.Process, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return ParseProcess(data)
}

// readFile returns the content of the regular file at path.
func readFile(path string) ([]byte, error) {
	name := printable(path)
	// Without O_NONBLOCK the open of a FIFO would hang until somebody writes to it. The flag has no
	// effect on the regular files that are accepted.
	fd, err := openRetry(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK)
	if err != nil {
		return nil, &fault.Error{Step: "read " + name, Syscall: "open", Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &fault.Error{Step: "read " + name, Syscall: "fstat", Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fault.New("read "+name+": it is not a regular file", "")
	}
	if st.Size > MaxSize {
		return nil, tooLarge(name, st.Size)
	}
	// One byte more than fstat said shows a file that grew, or one (in procfs) that has no size.
	data := make([]byte, 0, max(st.Size+1, 4096))
	for {
		n, err := unix.Read(fd, data[len(data):cap(data)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, &fault.Error{Step: "read " + name, Syscall: "read", Err: err}
		}
		if n <= 0 {
			return data, nil
		}
		data = data[:len(data)+n]
		if len(data) > MaxSize {
			return nil, tooLarge(name, int64(len(data)))
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

// openRetry opens path; network file systems interrupt an open when a signal arrives.
func openRetry(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

func tooLarge(name string, size int64) error {
	return fault.New(fmt.Sprintf("%s has %d bytes, at most %d are allowed", name, size, MaxSize), "")
}

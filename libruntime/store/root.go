package store

import (
	"errors"
	"os"
	"path/filepath"
	"sort"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
	"github.com/bailey-oci/bailey/internal/userns"
)

// ErrNotExist is what the error for an unknown container wraps; its text is what engines look for.
var ErrNotExist = errors.New("container does not exist")

// ErrExist is what the error for an ID that is in use wraps.
var ErrExist = errors.New("container with given ID already exists")

// Root is the directory that holds the containers' directories.
type Root string

// DefaultRoot returns the root where none is given: /run/bailey, or for an ordinary user the directory
// bailey below $XDG_RUNTIME_DIR. An ordinary user without that variable gets /run/bailey too, which
// fails with an error that says so instead of using a directory that others can write to. Who is root of a user namespace
// of an ordinary user's, as an engine that has made one for itself, is that user; $USER tells it from the root of a
// container.
func DefaultRoot() Root {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		if os.Geteuid() != 0 {
			return Root(dir + "/bailey")
		}
		if os.Getenv("USER") != "root" && userns.Other() {
			return Root(dir + "/bailey")
		}
	}
	return "/run/bailey"
}

// Make makes the root directory, with mode 0700, if it is not there.
func (r Root) Make() error {
	err := unix.Mkdir(string(r), 0o700)
	if err == unix.ENOENT {
		err = os.MkdirAll(string(r), 0o700)
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return r.failed(err, "make")
	}
	return nil
}

// failed returns the error for what could not be done with the root directory.
func (r Root) failed(err error, verb string) error {
	f := fault.Wrap(err, verb+" the state directory "+string(r), "--root")
	if errors.Is(err, unix.EACCES) && os.Getenv("XDG_RUNTIME_DIR") == "" && os.Geteuid() != 0 {
		f.Cause = "XDG_RUNTIME_DIR is not set, so the state directory of the system was used"
		f.Remedy = "set XDG_RUNTIME_DIR (usually /run/user/UID), or give --root"
	}
	return f
}

// path returns the directory of the container.
func (r Root) path(id string) string { return string(r) + "/" + id }

// Create makes the directory of a new container and locks it. An ID that is in use is an error that
// wraps ErrExist. The caller writes the first record.
func (r Root) Create(id string) (*Container, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	path := r.path(id)
	faultpoint.Here()
	err := unix.Mkdir(path, 0o700)
	if err == unix.ENOENT {
		if err := r.Make(); err != nil {
			return nil, err
		}
		err = unix.Mkdir(path, 0o700)
	}
	switch err {
	case nil:
	case unix.EEXIST:
		return nil, &fault.Error{Step: "make the state directory " + path, Err: ErrExist,
			Remedy: "use another ID, or remove the container with: bailey delete " + id}
	default:
		return nil, &fault.Error{Step: "make the state directory " + path, Origin: "--root", Syscall: "mkdir", Err: err}
	}
	c, err := r.open(id)
	if err != nil {
		_ = unix.Rmdir(path)
		return nil, err
	}
	// Between mkdir and here a delete --force can have taken the directory for what a killed create
	// left behind.
	if err := c.Lock(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Open opens the directory of a container without locking it. An unknown ID is an error that wraps
// ErrNotExist.
func (r Root) Open(id string) (*Container, error) {
	if err := CheckID(id); err != nil {
		return nil, err
	}
	return r.open(id)
}

func (r Root) open(id string) (*Container, error) {
	path := r.path(id)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, notExist(id)
	}
	if err != nil {
		return nil, &fault.Error{Step: "open the state directory " + path, Origin: "--root", Syscall: "open", Err: err}
	}
	c := &Container{ID: id, path: path, fd: fd}
	if err := c.checkOwner(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// IDs returns the IDs of all containers, sorted. What is in the root directory but cannot be a
// container is left out.
func (r Root) IDs() ([]string, error) {
	entries, err := os.ReadDir(string(r))
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, r.failed(err, "list")
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && CheckID(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	sort.Strings(ids)
	return ids, nil
}

func notExist(id string) error {
	return &fault.Error{Step: "find container " + id, Err: ErrNotExist}
}

// Absolute returns the root as an absolute path. A relative one counts from the working directory.
func (r Root) Absolute() (string, error) {
	path, err := filepath.Abs(string(r))
	if err != nil {
		return "", fault.Wrap(err, "find the state directory "+string(r), "--root")
	}
	return path, nil
}

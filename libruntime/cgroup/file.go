package cgroup

import (
	"strings"

	"golang.org/x/sys/unix"
)

// dir is an open cgroup directory. Control files are opened below it by descriptor with plain system
// calls: os.File would register every one of them with the poller first.
type dir struct {
	fd   int
	path string
}

// openDir opens a directory that must lie on a cgroup file system. Symbolic links are refused: there
// are none inside a cgroup file system, so one can only mean that the path leads elsewhere.
func openDir(path string) (dir, error) {
	fd, err := openOn(path, unix.O_PATH|unix.O_DIRECTORY)
	return dir{fd, path}, err
}

// openOn opens a file or directory by its absolute path, as [openDir] does. Where only one file of a
// cgroup is wanted, this saves opening the directory. The descriptor is -1 in case of an error.
func openOn(path string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags) | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := retryFD(func() (int, error) { return unix.Openat2(unix.AT_FDCWD, path, &how) })
	if err != nil {
		return -1, err
	}
	var st unix.Statfs_t
	if err = unix.Fstatfs(fd, &st); err == nil && !isCgroupFS(&st) {
		err = unix.EXDEV
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func isCgroupFS(st *unix.Statfs_t) bool {
	return st.Type == unix.CGROUP_SUPER_MAGIC || st.Type == unix.CGROUP2_SUPER_MAGIC
}

func (d dir) close() {
	if d.fd >= 0 {
		unix.Close(d.fd)
	}
}

// open opens a control file; name comes from this package or was checked to be a single component.
func (d dir) open(name string, flags int) (int, error) {
	return retryFD(func() (int, error) {
		return unix.Openat(d.fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
}

// write writes value to a control file in one call, as the kernel's parsers want it. failed names the
// system call that returned the error.
func (d dir) write(name, value string) (failed string, err error) {
	fd, err := d.open(name, unix.O_WRONLY)
	if err != nil {
		return "open", err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Write(fd, []byte(value))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return "write", err
		case n != len(value):
			return "write", unix.EIO
		}
		return "", nil
	}
}

// value returns the contents of a control file that has a short, single value or list of values: the
// kernel gives it in one piece, without the trailing newline here.
func (d dir) value(name string) (string, error) {
	fd, err := d.open(name, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var buf [4096]byte
	for {
		n, err := unix.Read(fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		return strings.TrimSuffix(string(buf[:n]), "\n"), nil
	}
}

// read returns the whole of a control file.
func (d dir) read(name string) (string, error) {
	fd, err := d.open(name, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return readAll(fd)
}

// readAll reads from fd to its end. Control files and those of procfs have no useful st_size.
func readAll(fd int) (string, error) {
	buf := make([]byte, 0, 512)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, cap(buf))...)[:len(buf)]
		}
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return "", err
		case n == 0:
			return string(buf), nil
		}
		buf = buf[:len(buf)+n]
	}
}

// readFile returns the whole of the file at path, which must be one of procfs or sysfs.
func readFile(path string) (string, error) {
	fd, err := retryFD(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return readAll(fd)
}

// retryFD repeats an open that a signal interrupted.
func retryFD(open func() (int, error)) (int, error) {
	for {
		fd, err := open()
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// gone reports whether err means that the cgroup, or the control file, does not exist (any more): a
// file of a removed cgroup that is still open gives ENODEV.
func gone(err error) bool { return err == unix.ENOENT || err == unix.ENODEV }

// denied reports whether err is a lack of permission in the widest sense.
func denied(err error) bool {
	return err == unix.EACCES || err == unix.EPERM || err == unix.EROFS
}

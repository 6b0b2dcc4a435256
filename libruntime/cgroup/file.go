package cgroup

import (
	"syscall"

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
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := retryFD(func() (int, error) { return unix.Openat2(unix.AT_FDCWD, path, &how) })
	if err != nil {
		return dir{fd: -1}, err
	}
	if !onCgroupFS(fd) {
		unix.Close(fd)
		return dir{fd: -1}, unix.EXDEV
	}
	return dir{fd, path}, nil
}

func onCgroupFS(fd int) bool {
	var st unix.Statfs_t
	err := unix.Fstatfs(fd, &st)
	return err == nil && (st.Type == unix.CGROUP_SUPER_MAGIC || st.Type == unix.CGROUP2_SUPER_MAGIC)
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

// errno returns err as an errno, or 0.
func errno(err error) syscall.Errno {
	e, _ := err.(syscall.Errno)
	return e
}

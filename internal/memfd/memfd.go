// Package memfd makes files in memory that nobody can change any more (memfd_create(2), F_ADD_SEALS).
package memfd

import (
	"os"

	"golang.org/x/sys/unix"
)

// Data returns b as a sealed file that cannot be executed, positioned at its beginning.
func Data(name string, b []byte) (*os.File, error) { return sealed(name, b, unix.MFD_NOEXEC_SEAL) }

// Program returns b as a sealed file to be executed, through /proc/self/fd or execveat(2).
func Program(name string, b []byte) (*os.File, error) { return sealed(name, b, unix.MFD_EXEC) }

func sealed(name string, b []byte, exec int) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|exec)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil {
			f.Close()
			return nil, os.NewSyscallError("write", err)
		}
		b = b[n:]
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err == nil {
		_, err = unix.Seek(fd, 0, 0)
	}
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError("fcntl(F_ADD_SEALS)", err)
	}
	return f, nil
}

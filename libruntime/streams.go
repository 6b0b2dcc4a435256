package libruntime

import "golang.org/x/sys/unix"

// givePipes gives the pipes among this process's standard streams, which the payload inherits, to the user that it runs as:
// who is not root could not open /dev/stdout otherwise. What else they may be is somebody's, and stays so. That it cannot be
// done, as by an ordinary user, is no error.
func givePipes(uid uint32) {
	for fd := range 3 {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO && st.Uid != uid {
			_ = unix.Fchown(fd, int(uid), -1)
		}
	}
}

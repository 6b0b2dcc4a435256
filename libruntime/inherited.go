package libruntime

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// firstInherited is the first descriptor after the standard streams.
const firstInherited = 3

// checkInherited refuses descriptors for the payload that the caller has not given: their numbers may be those
// of descriptors of bailey's own. listen of them come from a service manager, preserve from the command line.
func checkInherited(listen, preserve uint32) error {
	for i := uint64(0); i < uint64(listen)+uint64(preserve); i++ {
		fd := firstInherited + i
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC != 0 { // ours
			err = unix.EBADF
		}
		if err == nil {
			continue
		}
		f := &fault.Error{Step: "pass on descriptor " + strconv.FormatUint(fd, 10), Origin: "--preserve-fds", Err: err,
			Cause: "the caller has not opened it", Remedy: "open it before bailey is started, or pass on fewer"}
		if i < uint64(listen) {
			f.Origin = "$LISTEN_FDS"
		}
		return f
	}
	return nil
}

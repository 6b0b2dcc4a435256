package libruntime

import (
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/nsexec"
)

// firstInherited is the first descriptor after the standard streams.
const firstInherited = 3

// checkInherited refuses descriptors for the payload that the caller has not given: their numbers may be those
// of descriptors of bailey's own. listen of them come from a service manager, preserve from the command line. With streams
// that are not the caller's own there is nothing to pass on.
func checkInherited(listen, preserve uint32, streams *nsexec.Streams) error {
	if streams != nil && (listen != 0 || preserve != 0) {
		return &fault.Error{Step: "pass on descriptors beside given standard streams", Origin: "--preserve-fds", Err: unix.EINVAL}
	}
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

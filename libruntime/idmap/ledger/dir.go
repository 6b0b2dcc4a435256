package ledger

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
)

// openDir opens the ledger's directory, which is made if there is to be one.
func (l *Ledger) openDir(create bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir >= 0 {
		return nil
	}
	f := &fault.Error{Step: "open the directory of the ID ledger", Object: l.o.Dir}
	fd, err := unix.Open(l.o.Dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		if !create {
			return nil
		}
		faultpoint.Here()
		if err := os.MkdirAll(l.o.Dir, 0o700); err != nil {
			f.Step, f.Err = "make the directory of the ID ledger", err
			return f
		}
		fd, err = unix.Open(l.o.Dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		f.Err = err
		return f
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		unix.Close(fd)
		f.Err = fmt.Errorf("it belongs to user %d and has mode %#o, so others can change what it says", st.Uid, st.Mode&0o7777)
		f.Remedy = fmt.Sprintf("chown %d %s; chmod 700 %s", os.Geteuid(), l.o.Dir, l.o.Dir)
		return f
	}
	l.dir = fd
	return nil
}

// takeLock waits for the lock. A file of its own: the table's is replaced with every boot, and locks on directories
// do not work on NFS.
func (t *table) takeLock(exclusive bool) error {
	var err error
	t.lock, err = unix.Openat(t.l.dir, lockFile, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return t.failed("open the ledger's lock", "openat", err)
	}
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	for {
		if err = unix.Flock(t.lock, how); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return t.failed("lock the ledger", "flock", err)
	}
	return nil
}

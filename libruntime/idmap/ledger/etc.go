package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// patience is how long another program may have the accounts locked; shadow's programs wait as long.
const patience = 15 * time.Second

// appendLine adds a line to a file of /etc, as a new file in place of the old one.
func appendLine(file, line string) error {
	f := &fault.Error{Step: "add a line to " + file}
	unlock, err := lockAccounts(file)
	if err != nil {
		f.Err = err
		return f
	}
	defer unlock()
	text, err := os.ReadFile(file)
	mode, uid, gid := os.FileMode(0o644), 0, 0
	var st unix.Stat_t
	switch {
	case errors.Is(err, unix.ENOENT):
	case err == nil:
		if err := unix.Stat(file, &st); err != nil {
			f.Err = err
			return f
		}
		mode, uid, gid = os.FileMode(st.Mode&0o777), int(st.Uid), int(st.Gid)
	default:
		f.Err = err
		return f
	}
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	f.Err = replace(file, append(text, line...), mode, uid, gid)
	if f.Err != nil {
		return f
	}
	return nil
}

// replace writes a new file and renames it over the old one. "+" is what shadow calls the new one, too.
func replace(file string, data []byte, mode os.FileMode, uid, gid int) error {
	next := file + "+"
	out, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = out.Write(data)
	for _, do := range []func() error{
		func() error { return out.Chown(uid, gid) },
		func() error { return out.Chmod(mode) },
		out.Sync,
		func() error { return os.Rename(next, file) },
	} {
		if err == nil {
			err = do()
		}
	}
	if err != nil {
		_ = os.Remove(next)
	}
	return err
}

// lockAccounts takes the two locks that shadow takes before it changes a file of accounts: that of lckpwdf(3), and
// FILE.lock with the process ID in it.
func lockAccounts(file string) (unlock func(), err error) {
	fd, err := unix.Open(path.Dir(file)+"/.pwd.lock", unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(patience)
	for {
		err = unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		if err == nil {
			err = linkLock(file)
		}
		if err == nil {
			return func() { _ = os.Remove(file + ".lock"); unix.Close(fd) }, nil
		}
		if time.Now().After(deadline) {
			unix.Close(fd)
			return nil, fmt.Errorf("another program has %s locked: %w", file, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// linkLock makes FILE.lock if there is none, or none of a living process.
func linkLock(file string) error {
	own, lock := file+"."+strconv.Itoa(os.Getpid()), file+".lock"
	out, err := os.OpenFile(own, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(own) }()
	// With the zero at its end, as shadow has it.
	_, err = out.WriteString(strconv.Itoa(os.Getpid()) + "\x00")
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err = os.Link(own, lock); !errors.Is(err, unix.EEXIST) {
		return err
	}
	text, readErr := os.ReadFile(lock)
	pid, parseErr := strconv.ParseUint(strings.TrimRight(string(text), "\x00\n"), 10, 31)
	if readErr != nil || parseErr != nil || pid == 0 || unix.Kill(int(pid), 0) != unix.ESRCH {
		return err
	}
	if err := os.Remove(lock); err != nil {
		return err
	}
	return os.Link(own, lock)
}

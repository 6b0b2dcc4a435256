package ledger

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
)

// bootID tells one boot of the machine from all others.
type bootID [16]byte

func readBoot(file string) (boot bootID, err error) {
	text, err := os.ReadFile(file)
	if err == nil {
		var b []byte
		b, err = hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
		if err == nil && len(b) != len(boot) {
			err = errors.New("it is not a boot ID")
		}
		if err == nil {
			return bootID(b), nil
		}
	}
	return boot, fault.Wrap(err, "read which boot of the machine this is from "+file, "")
}

// afterBoot makes what an earlier boot has left into what there is now: nobody lives, and all that was in use rests.
// What did not reach the disk is as if it had never been.
func (t *table) afterBoot(boot bootID) {
	var rest []byte
	for i := range t.len() {
		s := t.slot(i)
		if s.check() != nil || s.state() != Held && s.state() != Resting {
			s = make(slot, slotSize) // in its place, because names go by it
		} else {
			t.note(s)
			s.set(Resting, t.now)
		}
		rest = append(rest, s...)
	}
	t.raw = rest
	t.setHead(newHeader(boot, 0, t.number, uint32(t.next[0].user)))
}

// begin writes the table of this boot, with a look at what is there already, and puts it in place.
func (t *table) begin() error {
	if t.fd >= 0 {
		unix.Close(t.fd)
		t.fd = -1
	}
	a, err := t.l.accounts()
	if err != nil {
		return err
	}
	faultpoint.Here()
	t.fd, err = unix.Openat(t.l.dir, nextFile, unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return t.failed("make "+nextFile, "openat", err)
	}
	if err := t.pwrite(t.fd, nextFile, append(append([]byte(nil), t.head...), t.raw...), 0); err != nil {
		return err
	}
	if _, err := t.look(a); err != nil {
		return err
	}
	// Once per boot: after a loss of power the table must not be there without the name of its boot.
	faultpoint.Here()
	if err := unix.Fsync(t.fd); err != nil {
		return t.failed("write "+nextFile+" to the disk", "fsync", err)
	}
	faultpoint.Here()
	if err := unix.Renameat(t.l.dir, nextFile, t.l.dir, tableFile); err != nil {
		return t.failed("put "+tableFile+" in place", "renameat", err)
	}
	if err := unix.Fsync(t.l.dir); err != nil && !errors.Is(err, unix.EINVAL) { // not every file system can
		return t.failed("write the ledger's directory to the disk", "fsync", err)
	}
	return nil
}

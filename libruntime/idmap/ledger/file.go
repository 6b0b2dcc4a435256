package ledger

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
)

// Names in the ledger's directory.
const (
	lockFile  = "lock"
	tableFile = "ids"
	nextFile  = ".ids" // becomes tableFile
	namesFile = "names"
)

// maxTable is the size in bytes above which a table is neither read nor made: as many slots as there are ranges of 1024 IDs.
const maxTable = 1 << 22 * slotSize

// mostNew is for how many slots that are added there is room without another copy of the table.
const mostNew = 64

// ErrCorrupt is what the error for a table that cannot be relied upon wraps.
var ErrCorrupt = errors.New("the ID ledger is damaged")

// read reads the table, if there is one, and checks its header.
func (t *table) read() error {
	var err error
	t.names, err = unix.Openat(t.l.dir, namesFile, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil && err != unix.ENOENT {
		return t.failed("open "+namesFile, "openat", err)
	}
	t.fd, err = unix.Openat(t.l.dir, tableFile, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		t.fd = -1
		return nil
	}
	if err != nil {
		return t.failed("open "+tableFile, "openat", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(t.fd, &st); err != nil {
		return t.failed("examine "+tableFile, "fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size < slotSize || st.Size > maxTable {
		return t.corrupt(0, fmt.Errorf("it is not a regular file of %d to %d bytes", slotSize, maxTable))
	}
	if err := t.reserve(int(st.Size)); err != nil {
		return t.failed("make room for "+tableFile, "mmap", err)
	}
	data := t.memory[:st.Size]
	n, err := pread(t.fd, data)
	if err != nil {
		return t.failed("read "+tableFile, "pread", err)
	}
	// What is behind the last whole slot was never written as a whole, so nobody counts on it.
	data = data[:n/slotSize*slotSize]
	if len(data) < slotSize {
		return t.corrupt(0, errors.New("it is empty"))
	}
	head := header(data[:slotSize])
	t.raw = data[slotSize:]
	if err := head.check(); err != nil {
		// Whoever is lenient takes it to be of this boot, so that what is held stays so.
		return t.corrupt(0, err)
	}
	t.setHead(head)
	return nil
}

// reserve makes memory for a table of that size and some slots more. Pages that the kernel makes all at once take a
// fifth of the time of those that are made one by one as Go's are touched, which is half of the time of an allocation.
// The table is not mapped itself: what shortened the file would end the program by a signal.
func (t *table) reserve(size int) (err error) {
	t.memory, err = unix.Mmap(-1, 0, size+mostNew*slotSize, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	return err
}

func pread(fd int, data []byte) (int, error) {
	n := 0
	for n < len(data) {
		m, err := unix.Pread(fd, data[n:], int64(n))
		if err == unix.EINTR {
			continue
		}
		if err != nil || m == 0 {
			return n, err
		}
		n += m
	}
	return n, nil
}

// corrupt returns the error for what is at an offset in bytes of the table, or nil where damage is no reason to give up.
func (t *table) corrupt(offset int, why error) error {
	err := &fault.Error{
		Step: "read the ID ledger", Object: t.l.o.Dir + "/" + tableFile,
		Err:    fmt.Errorf("%w: slot %d, at byte %d: %w", ErrCorrupt, offset/slotSize, offset, why),
		Cause:  "the file was changed by something other than bailey, or the disk is failing",
		Remedy: repairWith + " (while no container is being made)",
	}
	if !t.lenient {
		return err
	}
	t.damage = append(t.damage, err)
	return nil
}

func (t *table) checkSlots() error {
	for i := range t.len() {
		s := t.slot(i)
		if err := s.check(); err != nil {
			if err := t.corrupt((i+1)*slotSize, err); err != nil {
				return err
			}
			clear(s)
		}
		t.note(s)
	}
	return nil
}

// note keeps up number and next.
func (t *table) note(s slot) {
	n := s.number()
	t.number = max(t.number, n)
	if last := &t.next[class(s.size())]; n > last.number {
		last.user, last.number = s.uid()+s.size(), n
	}
}

// class returns which of the two places that a search goes on at is for ranges of that size.
func class(size uint64) int {
	if size < unit {
		return 1
	}
	return 0
}

func (t *table) setHead(h header) {
	t.head = h
	t.number = max(t.number, h.number())
	t.next[0].user, t.next[0].number = h.next(), h.number()
}

func (t *table) len() int        { return len(t.raw) / slotSize }
func (t *table) slot(i int) slot { return slot(t.raw[i*slotSize : (i+1)*slotSize]) }

// write writes a slot, which may be the one behind the last, with its name before it.
func (t *table) write(i int, s slot, k *key) error {
	if (i+2)*slotSize > maxTable {
		return t.failed("write "+tableFile, "", errors.New("it has as many ranges as there can be"))
	}
	if k != nil {
		if err := t.openNames(); err != nil {
			return err
		}
		if err := t.pwrite(t.names, namesFile, k.encode(s.number()), i*nameSize); err != nil {
			return err
		}
	}
	if err := t.pwrite(t.fd, tableFile, s, (i+1)*slotSize); err != nil {
		return err
	}
	if i == t.len() {
		t.raw = append(t.raw, s...)
	} else {
		copy(t.slot(i), s)
	}
	t.note(s)
	return nil
}

func (t *table) openNames() (err error) {
	if t.names >= 0 {
		return nil
	}
	faultpoint.Here()
	t.names, err = unix.Openat(t.l.dir, namesFile, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return t.failed("make "+namesFile, "openat", err)
	}
	return nil
}

func (t *table) pwrite(fd int, name string, data []byte, offset int) error {
	faultpoint.Here()
	for {
		n, err := unix.Pwrite(fd, data, int64(offset))
		switch {
		case err == unix.EINTR:
			continue
		case err == nil && n != len(data):
			err = unix.ENOSPC
		}
		if err != nil {
			return t.failed("write "+name, "pwrite", err)
		}
		return nil
	}
}

// name returns whose slot i is; for a slot of an earlier boot, whose name may not have reached the disk, a stand-in.
func (t *table) name(i int) (key, error) {
	s := t.slot(i)
	b := make([]byte, nameSize)
	n := 0
	if t.names >= 0 {
		var err error
		if n, err = unix.Pread(t.names, b, int64(i*nameSize)); err != nil {
			return key{}, t.failed("read "+namesFile, "pread", err)
		}
	}
	k, err := decodeName(b[:n], s.number())
	if err == nil && k.hash() != s.hash() {
		err = errors.New("it is another container's")
	}
	if err == nil || s.state() == Resting {
		if err != nil {
			k = key{id: "?"}
		}
		return k, nil
	}
	return key{}, &fault.Error{
		Step: "read the ID ledger", Object: t.l.o.Dir + "/" + namesFile,
		Err:    fmt.Errorf("%w: name %d, at byte %s: %w", ErrCorrupt, i, strconv.Itoa(i*nameSize), err),
		Remedy: repairWith + " (while no container is being made)",
	}
}

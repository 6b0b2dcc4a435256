package ledger

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

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

// table is the ledger while its lock is held.
type table struct {
	l    *Ledger
	lock int
	// fd and names are the two files, -1 where there are none yet.
	fd, names int
	head      header
	// raw are the slots, in memory or, where that is too small, in Go's.
	raw, memory []byte
	// number is that of the last allocation, next the user that follows the range of the last one of the usual size or
	// more, and of the last smaller one: see space.find.
	number uint64
	// damage is what was found where lenient is set.
	lenient bool
	damage  []error
	next    [2]struct{ user, number uint64 }
	pidns   uint32
	now     uint64 // milliseconds after boot
}

// purpose is what the ledger is opened for.
type purpose int

const (
	// toRead changes and makes nothing. Without a table there are no slots.
	toRead purpose = iota
	// toRelease changes slots of this boot only.
	toRelease
	// toAllocate makes what is missing: the directory, the table of this boot.
	toAllocate
	// toCheck is toRead, and toRepair toAllocate without the directory, for whom damage is no reason to give up.
	toCheck
	toRepair
)

// open locks the ledger and reads the table.
func (l *Ledger) open(why purpose) (*table, error) {
	t := &table{l: l, lock: -1, fd: -1, names: -1}
	if err := t.open(why); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *table) open(why purpose) error {
	l := t.l
	if err := l.openDir(why == toAllocate); err != nil {
		return err
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return fault.Wrap(err, "read the time", "")
	}
	t.now = uint64(ts.Nano() / 1e6)
	t.pidns = pidNamespace(l.o.Paths.Proc)
	boot, err := readBoot(l.o.Paths.BootID)
	if err != nil {
		return err
	}
	t.setHead(newHeader(boot, 0, 0, 0))
	if l.dir < 0 {
		return nil
	}
	if err := t.takeLock(why != toRead && why != toCheck); err != nil {
		return err
	}
	t.lenient = why == toCheck || why == toRepair
	if err := t.read(); err != nil {
		return err
	}
	if t.fd >= 0 && t.head.boot() == boot {
		return t.checkSlots()
	}
	t.afterBoot(boot)
	if why != toAllocate && why != toRepair {
		return nil
	}
	return t.begin()
}

func (t *table) close() {
	for _, fd := range []int{t.fd, t.names, t.lock} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if t.memory != nil {
		_ = unix.Munmap(t.memory)
	}
}

func (t *table) failed(step, call string, err error) error {
	f := &fault.Error{Step: step, Object: "ID ledger " + t.l.o.Dir, Syscall: call, Err: err}
	switch err {
	case unix.ENOSPC, unix.EDQUOT:
		f.Cause = "the file system that the ledger is on is full"
		f.Remedy = "make room on it"
	case unix.EROFS:
		f.Cause = "the file system that the ledger is on is read-only"
	}
	return f
}

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

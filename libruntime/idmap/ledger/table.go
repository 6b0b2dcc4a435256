package ledger

import (
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

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
	next   [2]struct{ user, number uint64 }
	// damage is what was found where lenient is set.
	lenient bool
	damage  []error
	pidns   uint32 // the caller's PID namespace
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

// openWithAccounts is open, and reads what is known of accounts.
func (l *Ledger) openWithAccounts(why purpose) (*table, *accounts, error) {
	t, err := l.open(why)
	if err != nil {
		return nil, nil, err
	}
	a, err := l.accounts()
	if err != nil {
		t.close()
		return nil, nil, err
	}
	return t, a, nil
}

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
	// Not before there is the lock: what is given back now must not look as if it had been before somebody's look.
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return fault.Wrap(err, "read the time", "")
	}
	t.now = uint64(ts.Nano() / 1e6)
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

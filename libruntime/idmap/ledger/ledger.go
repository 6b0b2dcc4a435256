package ledger

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Ledger is an open ledger. Any number of processes and goroutines may use it at once.
type Ledger struct {
	o Options

	mu  sync.Mutex
	dir int // -1 as long as there is none

	hasProcess func(user uint64) bool
}

// Open returns the ledger. The directory is made with the first allocation.
func Open(o Options) (*Ledger, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	return &Ledger{o: o, dir: -1, hasProcess: hasProcess}, nil
}

// Close closes the ledger. What was allocated stays so.
func (l *Ledger) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir >= 0 {
		unix.Close(l.dir)
		l.dir = -1
	}
}

// Account returns the account whose ranges are handed out, and Dir where the record of it is.
func (l *Ledger) Account() string { return l.o.Account }

// Dir returns the directory of the ledger.
func (l *Ledger) Dir() string { return l.o.Dir }

// Range is Size user IDs from UID on, and as many group IDs from GID on.
type Range struct {
	UID, GID, Size uint32
	// Early says that another container had some of them so shortly ago that they would have had to rest, were there
	// others. It is set by Allocate only.
	Early bool
}

func (r Range) users() span  { return span{uint64(r.UID), uint64(r.UID) + uint64(r.Size)} }
func (r Range) groups() span { return span{uint64(r.GID), uint64(r.GID) + uint64(r.Size)} }

// Mappings returns the maps of a user namespace with these IDs: from 0 on inside.
func (r Range) Mappings() (uids, gids []specs.LinuxIDMapping) {
	return []specs.LinuxIDMapping{{HostID: r.UID, Size: r.Size}}, []specs.LinuxIDMapping{{HostID: r.GID, Size: r.Size}}
}

// Request is what Allocate is asked for.
type Request struct {
	// ID is the container's, StateRoot the absolute path of the directory that its state directory is in.
	ID, StateRoot string
	// Size is the number of IDs; 0: DefaultSize.
	Size uint32
	// Creator is the process that makes the container. As long as it lives, the range is not taken back for the
	// lack of a state directory.
	Creator Process
}

// check refuses what could not be recorded.
func (q *Request) check() error {
	if q.Size == 0 {
		q.Size = DefaultSize
	}
	bad := func(why string) error {
		return &fault.Error{Step: "allocate IDs", Object: strconv.Quote(q.ID), Err: errors.New(why)}
	}
	switch {
	case q.ID == "" || len(q.ID) > maxID:
		return bad("a container ID has 1 to " + strconv.Itoa(maxID) + " bytes")
	case !path.IsAbs(q.StateRoot):
		return bad("the path of the state directory is not absolute")
	case len(q.StateRoot) > maxRoot:
		return bad("the path of the state directory has more than " + strconv.Itoa(maxRoot) + " bytes")
	}
	return nil
}

// ErrHeld is what the error for a container wraps that has a range while another process makes it.
var ErrHeld = errors.New("another process is making a container of that ID")

// Allocate gives a container a range of IDs. It is on record when Allocate returns, and stays the container's until
// Release. A container that has one already is being made anew: it gets another one, and the old one rests; only the
// same Creator is given the same again.
//
// The error wraps ErrExhausted if there is no room, ErrCorrupt if the record cannot be relied upon.
func (l *Ledger) Allocate(q Request) (Range, error) {
	if err := q.check(); err != nil {
		return Range{}, err
	}
	t, a, err := l.openWithAccounts(toAllocate)
	if err != nil {
		return Range{}, err
	}
	defer t.close()
	if len(a.blocks) == 0 {
		return Range{}, l.noRanges(a)
	}
	k := key{root: q.StateRoot, id: q.ID}
	held, err := t.find(k)
	if err != nil {
		return Range{}, err
	}
	for _, i := range held {
		s := t.slot(i)
		if by, _ := s.creator(); by == q.Creator && by.PID != 0 && s.size() == uint64(q.Size) {
			return Range{UID: uint32(s.uid()), GID: uint32(s.gid()), Size: q.Size}, nil
		}
		if t.creating(s) && !l.made(k) {
			return Range{}, &fault.Error{Step: "allocate IDs", Object: k.String(), Err: ErrHeld}
		}
		if err := t.rest(i); err != nil {
			return Range{}, err
		}
	}
	r, err := t.choose(a, uint64(q.Size))
	if err != nil {
		return Range{}, err
	}
	return r, t.hold(r, k, q.Creator)
}

// Release gives back what the container has. That it has nothing is no error.
func (l *Ledger) Release(id, stateRoot string) error {
	t, err := l.open(toRelease)
	if err != nil {
		return err
	}
	defer t.close()
	held, err := t.find(key{root: stateRoot, id: id})
	for _, i := range held {
		if err := t.rest(i); err != nil {
			return err
		}
	}
	return err
}

// Holder is a range that is not free, and whose it is.
type Holder struct {
	Range
	State State
	// ID and StateRoot name the container that has the range or, where it rests, had it; for Foreign ranges ID says
	// which process was seen with it.
	ID, StateRoot string
	// Since is when the range came into this State; Until when it has rested, zero in other States.
	Since, Until time.Time
	// Creator is the process that made the container.
	Creator Process
}

// Holders returns the ranges that are not free, in order of their users.
func (l *Ledger) Holders() ([]Holder, error) {
	t, err := l.open(toRead)
	if err != nil {
		return nil, err
	}
	defer t.close()
	return t.holders()
}

// find returns the slots that the container holds.
func (t *table) find(k key) ([]int, error) {
	var found []int
	hash := k.hash()
	for i := range t.len() {
		s := t.slot(i)
		if s.state() != Held || s.hash() != hash {
			continue
		}
		have, err := t.name(i)
		if err != nil {
			return nil, err
		}
		if have == k {
			found = append(found, i)
		}
	}
	return found, nil
}

// creating reports whether the process that allocated the range lives, or may do so.
func (t *table) creating(s slot) bool {
	p, ns := s.creator()
	if p.PID == 0 {
		return false
	}
	return ns != t.pidns || p.alive(t.l.o.Paths.Proc)
}

// made reports whether the container has a state directory, or may have one.
func (l *Ledger) made(k key) bool {
	if k.root == "" {
		return true // nobody knows what it is
	}
	err := unix.Faccessat(unix.AT_FDCWD, k.root+"/"+k.id, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW)
	return err != unix.ENOENT && err != unix.ENOTDIR
}

// rest has the range of a slot rest from now on.
func (t *table) rest(i int) error {
	s := append(slot(nil), t.slot(i)...)
	s.set(Resting, t.now)
	return t.write(i, s, nil)
}

// clear empties a slot.
func (t *table) clear(i int) error { return t.write(i, make(slot, slotSize), nil) }

// rested reports whether a Resting slot has done so for long enough.
func (t *table) rested(s slot) bool {
	since := min(s.since(), t.now) // clocks of time namespaces may be ahead
	return t.now-since >= milliseconds(t.l.o.Rest)
}

// hold writes the allocation down.
func (t *table) hold(r Range, k key, creator Process) error {
	pidns := uint32(0)
	if creator.PID != 0 {
		pidns = t.pidns
	}
	s := newSlot(Held, t.number+1, r, k, creator, pidns, t.now)
	at := t.vacant(r)
	if err := t.write(at, s, &k); err != nil {
		return err
	}
	// What else is on record about who had these IDs is of no use any more.
	for i := range t.len() {
		if o := t.slot(i); i != at && o.state() == Resting && s.users().contains(o.users()) && s.groups().contains(o.groups()) {
			if err := t.clear(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// vacant returns the slot to write a new allocation to. One that rests still says that its IDs were in use: it is
// taken only if the new allocation covers it, or the processes of the machine were looked at since.
func (t *table) vacant(r Range) int {
	for i := range t.len() {
		switch s := t.slot(i); s.state() {
		case empty:
			return i
		case Resting:
			if r.users().contains(s.users()) && r.groups().contains(s.groups()) || t.rested(s) && s.since() < t.head.scanned() {
				return i
			}
		}
	}
	return t.len()
}

// holders is Holders.
func (t *table) holders() ([]Holder, error) {
	boot := time.Now().Add(-time.Duration(t.now) * time.Millisecond)
	at := func(ms uint64) time.Time {
		return boot.Add(time.Duration(min(ms, t.now)) * time.Millisecond).Round(time.Second)
	}
	var list []Holder
	for i := range t.len() {
		s := t.slot(i)
		if s.state() == empty || s.state() == Resting && t.rested(s) {
			continue
		}
		k, err := t.name(i)
		if err != nil {
			return nil, err
		}
		h := Holder{Range: Range{UID: uint32(s.uid()), GID: uint32(s.gid()), Size: uint32(s.size())}, State: s.state(),
			ID: k.id, StateRoot: k.root, Since: at(s.since())}
		h.Creator, _ = s.creator()
		if h.State == Resting {
			h.Until = h.Since.Add(t.l.o.Rest)
		}
		list = append(list, h)
	}
	sortHolders(list)
	return list, nil
}

// String returns "UID-LAST" or, where the groups are others, "UID-LAST (groups GID-LAST)".
func (r Range) String() string {
	if r.UID == r.GID {
		return r.users().String()
	}
	return fmt.Sprintf("%v (groups %v)", r.users(), r.groups())
}

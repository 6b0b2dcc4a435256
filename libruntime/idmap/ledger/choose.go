package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/bailey-oci/bailey/internal/fault"
)

// mostSlots is how many more slots than ranges in use the table may have before the processes of the machine are
// looked at, so that slots of ranges that have rested can be used again.
const mostSlots = 1024

// choose returns the range to hand out. It looks at the machine's processes where it must, and takes garbage back
// where there is no room otherwise.
func (t *table) choose(a *accounts, size uint64) (Range, error) {
	var live []Live
	looked, collected := false, false
	look := func() (err error) {
		if !looked {
			live, err = t.look(a)
			looked = true
		}
		return err
	}
	if t.crowded() || a.spare { // IDs that no file grants to anybody anybody may be using
		if err := look(); err != nil {
			return Range{}, err
		}
	}
	for {
		r, ok := t.search(a, size)
		switch {
		case !ok && collected:
			return Range{}, t.exhausted(a, size)
		case !ok:
			if err := look(); err != nil {
				return Range{}, err
			}
			if err := t.collect(live); err != nil {
				return Range{}, err
			}
			collected = true
			continue
		}
		user, found := t.l.inhabited(r.users())
		switch {
		case !found && (looked || !t.dirty(r)):
			return r, t.doubleCheck(r)
		case !looked:
			if err := look(); err != nil {
				return Range{}, err
			}
		default: // without a map of its own
			one := Range{UID: uint32(user), GID: r.GID + uint32(user) - r.UID, Size: 1}
			if err := t.add(one, fmt.Sprintf("processes of user %d", user)); err != nil {
				return Range{}, err
			}
		}
	}
}

// crowded reports whether the table has grown much larger than what is in use.
func (t *table) crowded() bool {
	used := 0
	for i := range t.len() {
		if s := t.slot(i); s.state() != empty && (s.state() != Resting || !t.rested(s)) {
			used++
		} else if s.state() == empty || s.since() < t.head.scanned() {
			return false // there is one to use
		}
	}
	return t.len() > 2*used+mostSlots
}

// search looks for a free range, and where there is none for the one that has rested longest.
func (t *table) search(a *accounts, size uint64) (Range, bool) {
	s := newSpace(a.blocks, t.len())
	var resting []slot
	for i := range t.len() {
		switch o := t.slot(i); o.state() {
		case Held, Foreign:
			s.take(o.users(), o.groups())
		case Resting:
			if !t.rested(o) {
				resting = append(resting, o)
			}
		}
	}
	from := s.position(t.next[class(size)].user)
	// after returns what there is once the first n of the resting ones count as free.
	taken := slices.Clip(s.taken)
	after := func(n int) (Range, bool) {
		s.taken = taken
		for _, o := range resting[n:] {
			s.take(o.users(), o.groups())
		}
		return s.find(size, from)
	}
	r, ok := after(0)
	if ok || t.l.o.Strict || len(resting) == 0 {
		return r, ok
	}
	slices.SortFunc(resting, func(a, b slot) int { return cmp.Compare(a.since(), b.since()) })
	if _, ok := after(len(resting)); !ok {
		return Range{}, false
	}
	// As few as will do, and nearly always that is one.
	least, most := 0, 1 // too few, enough
	for most < len(resting) {
		if _, ok := after(most); ok {
			break
		}
		least, most = most, min(2*most, len(resting))
	}
	for least+1 < most {
		mid := (least + most) / 2
		if _, ok := after(mid); ok {
			most = mid
		} else {
			least = mid
		}
	}
	r, ok = after(most)
	r.Early = true
	return r, ok
}

// dirty reports whether some of the IDs were in use since the processes of the machine were looked at last.
func (t *table) dirty(r Range) bool {
	for i := range t.len() {
		s := t.slot(i)
		if s.state() == Resting && s.since() >= t.head.scanned() && (s.users().overlaps(r.users()) || s.groups().overlaps(r.groups())) {
			return true
		}
	}
	return false
}

// doubleCheck compares a range that is about to be handed out with all that is held, without any of what the
// search makes use of. That two containers never share an ID is what this package is for.
func (t *table) doubleCheck(r Range) error {
	for i := range t.len() {
		s := t.slot(i)
		if (s.state() == Held || s.state() == Foreign) && (s.users().overlaps(r.users()) || s.groups().overlaps(r.groups())) {
			return &fault.Error{Step: "allocate IDs", Object: r.String(),
				Err: fmt.Errorf("slot %d of the ledger has some of them; this is a bug of bailey", i+1)}
		}
	}
	return nil
}

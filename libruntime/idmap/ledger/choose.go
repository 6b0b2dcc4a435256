package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
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
	// without returns what there is once the first n of the resting ones count as free.
	taken := slices.Clip(s.taken)
	without := func(n int) (Range, bool) {
		s.taken = taken
		for _, o := range resting[n:] {
			s.take(o.users(), o.groups())
		}
		return s.find(size, from)
	}
	r, ok := without(0)
	if ok || t.l.o.Strict || len(resting) == 0 {
		return r, ok
	}
	slices.SortFunc(resting, func(a, b slot) int { return cmp.Compare(a.since(), b.since()) })
	if _, ok := without(len(resting)); !ok {
		return Range{}, false
	}
	most := 1
	for ; most < len(resting); most *= 2 {
		if _, ok := without(most); ok {
			break
		}
	}
	most = min(most, len(resting))
	least := most / 2
	for least+1 < most {
		if mid := (least + most) / 2; second(without(mid)) {
			most = mid
		} else {
			least = mid
		}
	}
	r, ok = without(most)
	r.Early = true
	return r, ok
}

func second(_ Range, ok bool) bool { return ok }

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

// look reads the ID maps of all processes and brings the Foreign slots up to date.
func (t *table) look(a *accounts) ([]Live, error) {
	live, err := t.l.live()
	if err != nil {
		return nil, err
	}
	strangers := t.strangers(a, live)
	for i := range t.len() {
		s := t.slot(i)
		if s.state() != Foreign {
			continue
		}
		j := slices.IndexFunc(strangers, func(o stranger) bool { return o.users() == s.users() && o.groups() == s.groups() })
		switch {
		case j >= 0:
			strangers = slices.Delete(strangers, j, j+1)
		case s.size() == 1 && t.l.hasProcess(s.uid()):
		default:
			if err := t.clear(i); err != nil {
				return nil, err
			}
		}
	}
	for _, o := range strangers {
		if err := t.add(o.Range, o.what); err != nil {
			return nil, err
		}
	}
	// Last: had it been written before and the rest not, nobody would look again.
	h := append(header(nil), t.head...)
	h.setScanned(t.now)
	if err := t.pwrite(t.fd, tableFile, h, 0); err != nil {
		return nil, err
	}
	t.head = h
	return live, nil
}

// add writes down a range that the ledger has not handed out.
func (t *table) add(r Range, what string) error {
	k := key{id: what[:min(len(what), maxID)]}
	return t.write(t.vacant(r), newSlot(Foreign, 0, r, k, Process{}, 0, t.now), &k)
}

// stranger is a range of the account's that somebody uses without having been given it.
type stranger struct {
	Range
	what string
}

// strangers returns what of the account's IDs live processes map that no container holds. Maps inside of what
// one holds are those of namespaces in it. An ordinary user's account is what engines give the user's own
// namespace as a whole, which holds nothing that is not the user's: were that in the way, there would be nothing to hand out.
func (t *table) strangers(a *accounts, live []Live) []stranger {
	var users, groups []span
	for i := range t.len() {
		if s := t.slot(i); s.state() == Held {
			users, groups = append(users, s.users()), append(groups, s.groups())
		}
	}
	users, groups = merged(users), merged(groups)
	ordinary := ordinaryUser()
	var out []stranger
	add := func(p Live, user, group, size uint64) {
		r := Range{UID: uint32(user), GID: uint32(group), Size: uint32(size)}
		if !slices.ContainsFunc(out, func(o stranger) bool { return o.users().contains(r.users()) && o.groups().contains(r.groups()) }) {
			out = append(out, stranger{r, fmt.Sprintf("process %d (%s)", p.PID, p.Command)})
		}
	}
	for _, p := range live {
		for _, b := range a.blocks {
			if ordinary && b.users().in(p.users) && b.groups().in(p.groups) {
				continue
			}
			for _, s := range without(both(p.users, []span{b.users()}), users) {
				add(p, s.first, s.first-b.user+b.group, s.size())
			}
			for _, s := range without(both(p.groups, []span{b.groups()}), groups) {
				add(p, s.first-b.group+b.user, s.first, s.size())
			}
		}
	}
	return out
}

// collect takes back the ranges of containers of which nothing is left.
func (t *table) collect(live []Live) error {
	for i := range t.len() {
		garbage, err := t.garbage(i, live)
		if err != nil {
			return err
		}
		if garbage {
			if err := t.rest(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// garbage reports whether slot i is held by a container without a state directory, whose creator has ended, and whose
// IDs nobody uses. The latter is also for state directories that are there, but not in this mount namespace.
func (t *table) garbage(i int, live []Live) (bool, error) {
	s := t.slot(i)
	if s.state() != Held || t.creating(s) {
		return false, nil
	}
	k, err := t.name(i)
	if err != nil || t.l.made(k) {
		return false, err
	}
	for _, p := range live {
		if s.users().hits(p.users) || s.groups().hits(p.groups) {
			return false, nil
		}
	}
	_, found := t.l.inhabited(s.users())
	return !found, nil
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

package ledger

import (
	"fmt"
	"slices"
)

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

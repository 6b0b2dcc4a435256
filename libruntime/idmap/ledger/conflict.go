package ledger

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ConflictKind says whose IDs a map takes.
type ConflictKind string

// The kinds, the worst first.
const (
	// WithContainer is for IDs that the ledger has given to another container.
	WithContainer ConflictKind = "container"
	// WithLive is for IDs that a process in another user namespace has.
	WithLive ConflictKind = "live"
	// WithName is for IDs of users and groups of the machine.
	WithName ConflictKind = "name"
	// WithAccount is for IDs of root's ledger's account that were not given to the container, and for those of another
	// account where the map goes beyond that account's.
	WithAccount ConflictKind = "account"
	// WithResting is for IDs that another container had shortly ago.
	WithResting ConflictKind = "resting"
)

// Conflict is an overlap of a map with somebody else's IDs.
type Conflict struct {
	Kind ConflictKind
	// Origin is the line of the map: a JSON pointer into config.json.
	Origin string
	// First and Size are the IDs that both have: group IDs if Origin is about gidMappings.
	First, Size uint32
	// With is whose they are, in words.
	With string
}

// String returns the conflict in words.
func (c Conflict) String() string {
	return fmt.Sprintf("%s: the IDs %v are those of %s", c.Origin, span{uint64(c.First), uint64(c.First) + uint64(c.Size)}, c.With)
}

// Against says what maps are compared with by Conflicts.
type Against struct {
	// ID and StateRoot name the container that the maps are for: what it holds itself is no conflict.
	ID, StateRoot string
	// Live is also to read the ID maps of all processes, which takes microseconds for each. Containers for which an
	// engine uses one range on purpose are in conflict with each other by that.
	Live bool
}

// Conflicts compares ID maps that somebody else has made up with what is known of the machine: the ledger, the
// accounts in /etc/subuid and /etc/subgid, the names in passwd and group, and live namespaces. What to do about it is the
// caller's choice. A map of one's own ID is never in conflict with one's name, and a map that lies within another
// account's ranges is taken to be that account's.
func (l *Ledger) Conflicts(uids, gids []specs.LinuxIDMapping, o Against) ([]Conflict, error) {
	t, a, err := l.openWithAccounts(toRead)
	if err != nil {
		return nil, err
	}
	defer t.close()
	var live []Live
	if o.Live {
		if live, err = l.live(); err != nil {
			return nil, err
		}
	}
	var out []Conflict
	for _, m := range []struct {
		origin string
		maps   []specs.LinuxIDMapping
		side   *side
		ids    func(slot) span
		live   func(Live) []span
		own    int
		word   string
	}{
		{"/linux/uidMappings/", uids, &a.users, slot.users, func(p Live) []span { return p.users }, os.Geteuid(), "user "},
		{"/linux/gidMappings/", gids, &a.groups, slot.groups, func(p Live) []span { return p.groups }, os.Getegid(), "group "},
	} {
		for i, line := range m.maps {
			c := comparison{ids: span{uint64(line.HostID), uint64(line.HostID) + uint64(line.Size)}, origin: m.origin + strconv.Itoa(i)}
			if err := c.slots(t, key{root: o.StateRoot, id: o.ID}, m.ids); err != nil {
				return nil, err
			}
			for _, p := range live {
				for _, s := range m.live(p) {
					c.add(WithLive, s, fmt.Sprintf("process %d (%s)", p.PID, p.Command))
				}
			}
			c.names(m.side, m.own, m.word)
			c.accounts(m.side, l.o.Account)
			out = append(out, c.found...)
		}
	}
	return out, nil
}

// comparison is that of one line of a map.
type comparison struct {
	ids    span
	origin string
	// own are the IDs of the line that the container has been given.
	own   []span
	found []Conflict
}

func (c *comparison) add(kind ConflictKind, ids span, with string) {
	if both := c.ids.common(ids); !both.empty() {
		c.found = append(c.found, Conflict{Kind: kind, Origin: c.origin, First: uint32(both.first), Size: uint32(both.size()), With: with})
	}
}

// slots compares with the ledger.
func (c *comparison) slots(t *table, k key, ids func(slot) span) error {
	for i := range t.len() {
		s := t.slot(i)
		if s.state() == empty || s.state() == Resting && t.rested(s) || !ids(s).overlaps(c.ids) {
			continue
		}
		have, err := t.name(i)
		if err != nil {
			return err
		}
		switch s.state() {
		case Held:
			if have == k {
				c.own = append(c.own, ids(s))
				continue
			}
			c.add(WithContainer, ids(s), "container "+have.String())
		case Foreign:
			c.add(WithLive, ids(s), have.id)
		case Resting:
			if have != k {
				c.add(WithResting, ids(s), "container "+have.String()+", which is gone")
			}
		}
	}
	return nil
}

// names compares with passwd or group. Of many names in a range a few stand for all.
func (c *comparison) names(s *side, own int, word string) {
	var ids []uint64
	for id := range s.named {
		if c.ids.first <= id && id < c.ids.end && int64(id) != int64(own) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for i, id := range ids {
		with := word + s.named[id]
		if more := len(ids) - i; i == mostNames && more > 1 {
			c.add(WithName, span{id, ids[len(ids)-1] + 1}, fmt.Sprintf("%s and %d more", with, more-1))
			return
		}
		c.add(WithName, span{id, id + 1}, with)
	}
}

// accounts compares with the ranges of accounts.
func (c *comparison) accounts(s *side, account string) {
	for _, rest := range without([]span{c.ids}, merged(c.own)) {
		if ordinaryUser() {
			break // the user's own: engines hand them out by themselves
		}
		for _, own := range s.own {
			c.add(WithAccount, own.common(rest), "account "+account+", which only its ledger hands out")
		}
	}
	for _, g := range s.grants {
		if g.ids.in(s.own) || !g.ids.overlaps(c.ids) {
			continue
		}
		var all []span
		for _, o := range s.grants {
			if o.account == g.account {
				all = append(all, o.ids)
			}
		}
		if !c.ids.in(merged(all)) {
			c.add(WithAccount, g.ids, "account "+g.account+", which has not all of the map's")
		}
	}
}

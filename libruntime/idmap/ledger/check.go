package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Problem is something about the machine's IDs that is not as it should be.
type Problem struct {
	// Kind is one of damage, line, overlap, name, stale, live, lost.
	Kind string `json:"kind"`
	// Where is the file, the container or the process that it is about.
	Where string `json:"where"`
	// What is the problem in words; Remedy what to do about it.
	What   string `json:"what"`
	Remedy string `json:"remedy,omitempty"`
	// Repaired says that it was one.
	Repaired bool `json:"repaired"`
}

const repairWith = "bailey ids check --repair"

// Check looks for what keeps containers from having IDs of their own: damage to the ledger, lines of /etc/subuid and
// /etc/subgid that overlap with each other or with users and groups of the machine, live namespaces with IDs of the
// account that nobody has been given, ranges of containers that no longer exist. With repair the table is made
// anew from what of it is sound, with a look at what lives, and what nobody uses is taken back.
func (l *Ledger) Check(repair bool) ([]Problem, error) {
	why := toCheck
	if repair {
		why = toRepair
	}
	t, a, err := l.openWithAccounts(why)
	if err != nil {
		return nil, err
	}
	defer t.close()
	c := &check{t: t, a: a, repair: repair && l.dir >= 0}
	if c.live, err = l.live(); err != nil {
		return nil, err
	}
	for _, s := range []*side{&a.users, &a.groups} {
		c.lines(s)
	}
	if err := c.damage(); err != nil {
		return nil, err
	}
	if err := c.slots(); err != nil {
		return nil, err
	}
	return c.found, c.strangers()
}

type check struct {
	t      *table
	a      *accounts
	live   []Live
	repair bool
	found  []Problem
}

func (c *check) add(p Problem) { c.found = append(c.found, p) }

// lines compares the lines of a file with each other and with names.
func (c *check) lines(s *side) {
	for _, m := range s.malformed {
		c.add(Problem{Kind: "line", Where: s.file, What: "the line " + strconv.Quote(m) + " means nothing, so it grants nothing",
			Remedy: "the form is NAME:FIRST:COUNT"})
	}
	list := slices.Clone(s.grants)
	slices.SortStableFunc(list, func(a, b grant) int { return a.ids.compare(b.ids) })
	for i, g := range list {
		for _, o := range list[i+1:] {
			if !g.ids.overlaps(o.ids) {
				break // they are in order
			}
			who := g.account + " and " + o.account
			if g.account == o.account {
				who = g.account + " twice"
			}
			c.add(Problem{Kind: "overlap", Where: s.file, What: fmt.Sprintf("the IDs %v are granted to %s", g.ids.common(o.ids), who),
				Remedy: "give one of the lines another range; until then bailey hands none of them out"})
		}
		var ids []uint64
		for id := range s.named {
			if g.ids.first <= id && id < g.ids.end {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		for _, id := range ids {
			c.add(Problem{Kind: "name", Where: s.file, What: fmt.Sprintf("%s is granted the ID %d, which is that of %s in %s",
				g.account, id, s.named[id], s.names), Remedy: "give the line another range; until then bailey does not hand the ID out"})
		}
	}
}

// damage reports what could not be read, and makes the table anew without it.
func (c *check) damage() error {
	t := c.t
	for i := range t.len() {
		s := t.slot(i)
		if s.state() != Held && s.state() != Foreign {
			continue
		}
		if _, err := t.name(i); err != nil {
			t.damage = append(t.damage, err)
			// Whoever it is: what lives of it is found among the strangers.
			clear(s)
		}
	}
	for _, err := range t.damage {
		var f *fault.Error
		if !errors.As(err, &f) {
			return err
		}
		c.add(Problem{Kind: "damage", Where: f.Object, What: strings.TrimPrefix(f.Err.Error(), ErrCorrupt.Error()+": "), Remedy: repairWith, Repaired: c.repair})
	}
	if len(t.damage) > 0 && c.repair {
		return t.begin()
	}
	return nil
}

// slots looks for ranges that their containers do not need, and for those that are not the account's.
func (c *check) slots() error {
	t := c.t
	var before slot
	for _, i := range t.inOrder() {
		s := t.slot(i)
		k, err := t.name(i)
		if err != nil {
			return err
		}
		r := Range{UID: uint32(s.uid()), GID: uint32(s.gid()), Size: uint32(s.size())}
		if before != nil && before.users().overlaps(s.users()) {
			c.add(Problem{Kind: "damage", Where: k.String(), What: fmt.Sprintf("its IDs %v are also held by the container before it", r),
				Remedy: "delete one of the two containers"})
		}
		before = s
		garbage, err := t.garbage(i, c.live)
		if err != nil {
			return err
		}
		switch {
		case garbage:
			if c.repair {
				if err := t.rest(i); err != nil {
					return err
				}
			}
			c.add(Problem{Kind: "stale", Where: k.String(), What: fmt.Sprintf("it has no state directory and no process, but holds the IDs %v", r),
				Remedy: repairWith, Repaired: c.repair})
		case s.users().in(preferred[:1]) && s.groups().in(preferred[:1]) && !s.users().hits(c.a.users.others) && !s.groups().hits(c.a.groups.others):
			// Handed out as nobody's (Options.Spare), which they still are.
		case !s.users().in(c.a.users.own) || !s.groups().in(c.a.groups.own):
			c.add(Problem{Kind: "lost", Where: k.String(), What: fmt.Sprintf("its IDs %v are not account %s's any more", r, t.l.o.Account),
				Remedy: "delete the container, or put the account's line back"})
		}
	}
	return nil
}

// inOrder returns the slots that are held, in order of their users.
func (t *table) inOrder() []int {
	var list []int
	for i := range t.len() {
		if t.slot(i).state() == Held {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(i, j int) int { return t.slot(i).users().compare(t.slot(j).users()) })
	return list
}

// strangers reports live namespaces with IDs of the account that nobody was given.
func (c *check) strangers() error {
	if c.repair {
		if _, err := c.t.look(c.a); err != nil {
			return err
		}
	}
	for _, s := range c.t.strangers(c.a, c.live) {
		c.add(Problem{Kind: "live", Where: s.what, What: fmt.Sprintf("it maps the IDs %v of account %s, which were not handed out to it", s.Range, c.t.l.o.Account),
			Remedy: "end it, or give whoever started it ranges of its own; until then bailey does not hand them out"})
	}
	return nil
}

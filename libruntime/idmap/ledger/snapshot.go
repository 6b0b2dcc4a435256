package ledger

import "slices"

// Snapshot is all that is known of the machine's IDs at one moment.
type Snapshot struct {
	// Account is whose ranges are handed out.
	Account string
	// Grants are the lines of /etc/subuid, SubGIDs those of /etc/subgid, in order of their IDs.
	Grants, SubGIDs []Grant
	// Holders are the account's ranges that are not free.
	Holders []Holder
	// Shared are the account's user IDs that are somebody else's as well, so that they are not handed out.
	Shared []IDs
}

// IDs are the IDs from First on.
type IDs struct{ First, Size uint32 }

// Grant is a line of /etc/subuid or /etc/subgid.
type Grant struct {
	IDs
	Account string
	// Own says that the ledger hands it out.
	Own bool
}

// Snapshot returns what is known now. It reads no ID maps.
func (l *Ledger) Snapshot() (*Snapshot, error) {
	t, a, err := l.openWithAccounts(toRead)
	if err != nil {
		return nil, err
	}
	defer t.close()
	s := &Snapshot{Account: l.o.Account, Grants: a.users.list(), SubGIDs: a.groups.list()}
	if s.Holders, err = t.holders(); err != nil {
		return nil, err
	}
	for _, o := range without(a.users.own, a.users.usable) {
		s.Shared = append(s.Shared, IDs{uint32(o.first), uint32(o.size())})
	}
	return s, nil
}

// list returns the lines of a side.
func (s *side) list() []Grant {
	var list []Grant
	for _, g := range s.grants {
		list = append(list, Grant{IDs{uint32(g.ids.first), uint32(g.ids.size())}, g.account, g.ids.in(s.own)})
	}
	slices.SortStableFunc(list, func(a, b Grant) int { return int(int64(a.First) - int64(b.First)) })
	return list
}

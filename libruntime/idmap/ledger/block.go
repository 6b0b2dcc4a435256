package ledger

import "math"

// preferred are the IDs where the ranges of an account are looked for, in this order. systemd's table of IDs
// (https://systemd.io/UIDS-GIDS) has no use for those between its containers and its foreign IDs, and shadow gives none of them to users by
// itself (SUB_UID_MAX). From 2^31 on programs that count in signed numbers fail.
var preferred = []span{
	{0x70000000, 0x7FFE0000},
	{0x80000, 0x70000000},
	{100000, 0x80000},
}

// block returns a free stretch for the lines of an account: that no line of any account has, no name, and no live
// map. With shrink it may be smaller than asked for, down to a unit.
func (l *Ledger) block(a *accounts, live []Live, size uint64, shrink bool) (first, got uint64, ok bool) {
	var taken []span
	for _, s := range []side{a.users, a.groups} {
		for _, g := range s.grants {
			taken = append(taken, g.ids)
		}
		for id := range s.named {
			taken = append(taken, span{id, id + 1})
		}
	}
	for _, p := range live {
		taken = append(append(taken, p.users...), p.groups...)
	}
	taken = append(taken, span{math.MaxUint32, math.MaxUint32 + 1})
	taken = merged(taken)
	exist := []span{{0, math.MaxUint32}}
	if a.users.exist != nil {
		exist = both(a.users.exist, a.groups.exist)
	}
	for {
		for _, where := range preferred {
			for _, gap := range without(both([]span{where}, exist), taken) {
				if first = roundUp(gap.first, unit); first+size <= gap.end {
					return first, size, true
				}
			}
		}
		if !shrink || size <= unit {
			return 0, 0, false
		}
		size = max(size/2, unit)
	}
}

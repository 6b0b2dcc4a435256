package ledger

import (
	"cmp"
	"slices"
	"strconv"
)

// span is the IDs from first to before end.
type span struct{ first, end uint64 }

func (s span) empty() bool          { return s.first >= s.end }
func (s span) overlaps(o span) bool { return s.first < o.end && o.first < s.end }
func (s span) contains(o span) bool { return s.first <= o.first && o.end <= s.end }
func (s span) common(o span) span   { return span{max(s.first, o.first), min(s.end, o.end)} }
func (s span) size() uint64         { return s.end - min(s.first, s.end) }
func (s span) compare(o span) int   { return cmp.Compare(s.first, o.first) }
func (s span) in(list []span) bool {
	return slices.ContainsFunc(list, func(o span) bool { return o.contains(s) })
}
func (s span) hits(list []span) bool { return slices.ContainsFunc(list, s.overlaps) }

// String returns "first-last".
func (s span) String() string {
	switch s.size() {
	case 0:
		return "none"
	case 1:
		return strconv.FormatUint(s.first, 10)
	}
	return strconv.FormatUint(s.first, 10) + "-" + strconv.FormatUint(s.end-1, 10)
}

// merged returns the same IDs in order, each once. It changes the list.
func merged(list []span) []span {
	slices.SortFunc(list, span.compare)
	out := list[:0]
	for _, s := range list {
		switch {
		case s.empty():
		case len(out) > 0 && s.first <= out[len(out)-1].end:
			out[len(out)-1].end = max(out[len(out)-1].end, s.end)
		default:
			out = append(out, s)
		}
	}
	return out
}

// without returns what is in a and not in b. Both are merged.
func without(a, b []span) []span {
	var out []span
	for _, s := range a {
		// There may be thousands of holes, and as many calls.
		at, _ := slices.BinarySearchFunc(b, s.first, func(hole span, first uint64) int { return cmp.Compare(hole.end, first+1) })
		for _, hole := range b[at:] {
			if hole.first >= s.end {
				break
			}
			if s.first < hole.first {
				out = append(out, span{s.first, hole.first})
			}
			s.first = hole.end
			if s.empty() {
				break
			}
		}
		if !s.empty() {
			out = append(out, s)
		}
	}
	return out
}

// both returns what is in a and in b, which are merged.
func both(a, b []span) []span {
	var out []span
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if c := a[i].common(b[j]); !c.empty() {
			out = append(out, c)
		}
		if a[i].end < b[j].end {
			i++
		} else {
			j++
		}
	}
	return out
}

// block is a stretch of the account in which users and groups run in parallel: user+i goes with group+i.
type block struct{ user, group, size uint64 }

func (b block) users() span  { return span{b.user, b.user + b.size} }
func (b block) groups() span { return span{b.group, b.group + b.size} }

// pair matches users with groups, which are merged: the same numbers where both have them, and what remains in
// its order.
func pair(users, groups []span) []block {
	var out []block
	same := both(users, groups)
	for _, s := range same {
		out = append(out, block{s.first, s.first, s.size()})
	}
	users, groups = without(users, same), without(groups, same)
	for len(users) > 0 && len(groups) > 0 {
		u, g := &users[0], &groups[0]
		size := min(u.size(), g.size())
		out = append(out, block{u.first, g.first, size})
		if u.first += size; u.empty() {
			users = users[1:]
		}
		if g.first += size; g.empty() {
			groups = groups[1:]
		}
	}
	slices.SortFunc(out, func(a, b block) int { return cmp.Compare(a.user, b.user) })
	return out
}

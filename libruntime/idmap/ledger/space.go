package ledger

import "slices"

// unit is the size that ranges are lined up to. Smaller ones share a unit, so that those of the usual size still find
// whole ones.
const unit = DefaultSize

// space is the account's IDs as one line of positions: its blocks one behind the other, with a position between them that is
// always taken, so that no range lies in two.
type space struct {
	blocks []block
	bases  []uint64 // position of each block
	end    uint64
	taken  []uint64 // position<<32 | size
}

// newSpace returns a space in which nothing is taken, with room for n ranges.
func newSpace(blocks []block, n int) *space {
	s := &space{taken: make([]uint64, 0, n+len(blocks))}
	for _, b := range blocks {
		// Positions have 32 bits; all IDs there are and the places between the blocks would just not fit.
		if b.size = min(b.size, 1<<32-1-s.end); b.size == 0 {
			break
		}
		s.blocks, s.bases = append(s.blocks, b), append(s.bases, s.end)
		s.end += b.size
		s.taken = append(s.taken, s.end<<32|1)
		s.end++
	}
	return s
}

// take marks a range of users and groups, wherever in the blocks they are.
func (s *space) take(users, groups span) {
	for i, b := range s.blocks {
		u, g := users.common(b.users()), groups.common(b.groups())
		if !u.empty() {
			s.taken = append(s.taken, (s.bases[i]+u.first-b.user)<<32|u.size())
		}
		if !g.empty() && (u.empty() || g.first-b.group != u.first-b.user || g.size() != u.size()) {
			s.taken = append(s.taken, (s.bases[i]+g.first-b.group)<<32|g.size())
		}
	}
}

// gaps returns the free positions, in order.
func (s *space) gaps() []span {
	var out []span
	next := uint64(0)
	for _, t := range sorted(s.taken) {
		first := t >> 32
		if first > next {
			out = append(out, span{next, first})
		}
		next = max(next, first+t&(1<<32-1))
	}
	return out
}

// sorted returns taken in order of the positions. Thousands of ranges in no order are ten times as quickly sorted by
// digits as by comparison, which would be half of the time of an allocation.
func sorted(taken []uint64) []uint64 {
	const bits, digits = 11, 3
	if len(taken) < 256 || slices.IsSorted(taken) {
		slices.Sort(taken)
		return taken
	}
	from, to := taken, make([]uint64, len(taken))
	for d := range digits {
		shift := 32 + d*bits
		var at [1<<bits + 1]uint32
		for _, t := range from {
			at[t>>shift&(1<<bits-1)+1]++
		}
		for i := range 1 << bits {
			at[i+1] += at[i]
		}
		for _, t := range from {
			digit := t >> shift & (1<<bits - 1)
			to[at[digit]] = t
			at[digit]++
		}
		from, to = to, from
	}
	return from
}

// position returns where a user ID is, 0 if it is nowhere.
func (s *space) position(user uint64) uint64 {
	for i, b := range s.blocks {
		if b.user <= user && user <= b.user+b.size {
			return s.bases[i] + user - b.user
		}
	}
	return 0
}

// at returns the range at a position.
func (s *space) at(position, size uint64) Range {
	i := s.block(position)
	off := position - s.bases[i]
	return Range{UID: uint32(s.blocks[i].user + off), GID: uint32(s.blocks[i].group + off), Size: uint32(size)}
}

// block returns in which block a position is.
func (s *space) block(position uint64) int {
	i := len(s.bases) - 1
	for s.bases[i] > position {
		i--
	}
	return i
}

// find returns a free range of the size. The search goes round, from the position on. Small ranges go where others
// have broken a unit, then everything to the beginning of a unit, then anywhere.
func (s *space) find(size, from uint64) (Range, bool) {
	var gaps []span
	if size < unit {
		fine := uint64(1)
		for fine < size {
			fine <<= 1
		}
		gaps = s.gaps()
		if p, ok := s.round(gaps, from, func(gap span) (uint64, bool) { return s.inBroken(gap, size, fine) }); ok {
			return s.at(p, size), true
		}
	}
	if p, ok := s.units(size, from); ok {
		return s.at(p, size), true
	}
	if gaps == nil {
		gaps = s.gaps()
	}
	p, ok := s.round(gaps, from, func(gap span) (uint64, bool) { return gap.first, size <= gap.size() })
	if !ok {
		return Range{}, false
	}
	return s.at(p, size), true
}

// units returns the first position, from one on, of so many whole units that are free. It is what nearly always finds
// something, and does without sorting what is taken.
func (s *space) units(size, from uint64) (uint64, bool) {
	// The units of all blocks, with one between them that is taken, and where they are.
	var used []bool
	var firsts []int
	for _, b := range s.blocks {
		firsts = append(firsts, len(used))
		used = append(used, make([]bool, b.size/unit+1)...)
		used[len(used)-1] = true
	}
	index := func(position uint64) (i, at int) {
		i = s.block(position)
		return i, firsts[i] + int((position-s.bases[i])/unit)
	}
	for _, t := range s.taken {
		first := t >> 32
		i, at := index(first)
		_, last := index(first + t&(1<<32-1) - 1)
		for ; at <= last && at < firsts[i]+int(s.blocks[i].size/unit); at++ {
			used[at] = true
		}
	}
	i, start := index(from)
	if (from-s.bases[i])%unit != 0 {
		start++
	}
	need, free := int((size+unit-1)/unit), 0
	for n := range len(used) + need {
		at := (start + n) % len(used)
		if at == 0 {
			free = 0
		}
		if free++; used[at] {
			free = 0
		}
		if free < need {
			continue
		}
		at -= need - 1
		i := len(firsts) - 1
		for firsts[i] > at {
			i--
		}
		return s.bases[i] + uint64(at-firsts[i])*unit, true
	}
	return 0, false
}

// round tries the gaps from a position on, then those before it.
func (s *space) round(gaps []span, from uint64, try func(span) (uint64, bool)) (uint64, bool) {
	start, _ := slices.BinarySearchFunc(gaps, from, func(g span, from uint64) int {
		if g.end <= from {
			return -1
		}
		return 1
	})
	for i := 0; len(gaps) > 0 && i <= len(gaps); i++ {
		gap := gaps[(start+i)%len(gaps)]
		if i == 0 {
			gap.first = max(gap.first, from)
		}
		if gap.empty() {
			continue
		}
		if position, ok := try(gap); ok {
			return position, true
		}
	}
	return 0, false
}

// inBroken returns the first position in the gap that is a multiple of align from the block's beginning, and in a
// unit, at either end of the gap, that is not free as a whole.
func (s *space) inBroken(gap span, size, align uint64) (uint64, bool) {
	base := s.bases[s.block(gap.first)]
	head, tail := roundUp(gap.first-base, unit), (gap.end-base)/unit*unit
	if first := roundUp(gap.first-base, align); head != gap.first-base && first+size <= min(head, gap.end-base) {
		return base + first, true
	}
	first := max(tail, roundUp(gap.first-base, align))
	return base + first, tail != gap.end-base && first+size <= gap.end-base
}

func roundUp(n, to uint64) uint64 { return (n + to - 1) / to * to }

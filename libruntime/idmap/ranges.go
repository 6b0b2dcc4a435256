package idmap

import (
	"slices"
	"strconv"
	"strings"
)

// span is a range of IDs: first to first+size-1.
type span struct{ first, size uint64 }

// parse returns the IDs inside the namespace that a map file describes: the first and third number of
// each line.
func parse(text string) []span {
	var spans []span
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(f[0], 10, 32)
		size, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil {
			spans = append(spans, span{first, size})
		}
	}
	return spans
}

// parseSubIDs returns the ranges of a user in the text of /etc/subuid or /etc/subgid, whose lines are
// "name-or-uid:first:size".
func parseSubIDs(text, name, uid string) []span {
	var spans []span
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != uid && (name == "" || f[0] != name) {
			continue
		}
		first, err1 := strconv.ParseUint(f[1], 10, 32)
		size, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil {
			spans = append(spans, span{first, size})
		}
	}
	return spans
}

// covered reports whether every ID of first to first+size-1 is in one of the spans, which may adjoin
// or overlap.
func covered(spans []span, first, size uint64) bool {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b span) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	next, end := first, first+size
	for _, s := range spans {
		if s.first <= next && next < s.first+s.size {
			next = s.first + s.size
		}
		if next >= end {
			return true
		}
	}
	return size == 0
}

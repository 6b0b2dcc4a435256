// Package picture draws who has which IDs: as text for a terminal, and as SVG.
//
// It draws what ledger.Snapshot says, and knows nothing else.
package picture

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/bailey-oci/bailey/libruntime/idmap/ledger"
)

// columns is how many cells a row has.
const columns = 64

// mostRows is how many rows a range of the account has at most; smallest is how many IDs a cell stands for at least.
const (
	mostRows = 16
	smallest = 1024
)

// kind is what a stretch of IDs is.
type kind int

const (
	free kind = iota
	held
	resting
	shared // with another account or a name, so never handed out
	foreign
)

var words = [...]string{
	free: "free", held: "held by a container", resting: "resting", shared: "somebody else's as well, so not handed out",
	foreign: "in use by processes that were not given it",
}

// run is IDs from first to before end with one kind and, where they are held or rest, one container.
type run struct {
	first, end uint64
	kind       kind
	who        string // for people
	id         string // the container's
	nth        int    // among those that are held
}

// grid is a range of the account as rows of cells.
type grid struct {
	first, end uint64
	cell       uint64 // IDs
	rows       int
	runs       []run // not free, in order
}

// grids returns the account's own ranges. The containers go by their user IDs.
func grids(s *ledger.Snapshot) []grid {
	var list []grid
	for _, g := range own(s) {
		g.cell = smallest
		for (g.end-g.first+g.cell*columns-1)/(g.cell*columns) > mostRows {
			g.cell *= 2
		}
		g.rows = int((g.end - g.first + g.cell*columns - 1) / (g.cell * columns))
		g.fill(s)
		list = append(list, g)
	}
	return list
}

// own returns the account's ranges, those that adjoin as one.
func own(s *ledger.Snapshot) []grid {
	var list []grid
	for _, o := range s.Grants {
		first, end := uint64(o.First), uint64(o.First)+uint64(o.Size)
		switch last := len(list) - 1; {
		case !o.Own:
		case last >= 0 && first <= list[last].end:
			list[last].end = max(end, list[last].end)
		default:
			list = append(list, grid{first: first, end: end})
		}
	}
	return list
}

func (g *grid) fill(s *ledger.Snapshot) {
	add := func(first, size uint32, k kind, id, who string) {
		r := run{first: max(uint64(first), g.first), end: min(uint64(first)+uint64(size), g.end), kind: k, id: id, who: who}
		if r.first < r.end {
			g.runs = append(g.runs, r)
		}
	}
	for _, h := range s.Holders {
		k, who := held, h.ID+" ("+h.StateRoot+")"
		switch h.State {
		case ledger.Resting:
			k, who = resting, "rests until "+h.Until.Format("15:04:05")+"; was "+who
		case ledger.Foreign:
			k, who = foreign, h.ID
		}
		add(h.UID, h.Size, k, h.ID, who)
	}
	for _, o := range s.Shared {
		add(o.First, o.Size, shared, "", words[shared])
	}
	slices.SortStableFunc(g.runs, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	n := 0
	for i := range g.runs {
		if g.runs[i].kind == held {
			g.runs[i].nth = n
			n++
		}
	}
}

// total returns how many IDs of a kind there are.
func (g *grid) total(k kind) uint64 {
	n := uint64(0)
	for _, r := range g.runs {
		if r.kind == k {
			n += r.end - r.first
		}
	}
	return n
}

// summary is one line about all of the account.
func summary(s *ledger.Snapshot, list []grid) string {
	all, used := uint64(0), uint64(0)
	for i := range list {
		all += list[i].end - list[i].first
		for k := held; k <= foreign; k++ {
			used += list[i].total(k)
		}
	}
	var n [4]int
	for _, h := range s.Holders {
		n[h.State]++
	}
	text := []string{fmt.Sprintf("%d ranges held", n[ledger.Held]), fmt.Sprintf("%d resting", n[ledger.Resting])}
	if n[ledger.Foreign] > 0 {
		text = append(text, fmt.Sprintf("%d in use by others", n[ledger.Foreign]))
	}
	percent := 0.0
	if all > 0 {
		percent = 100 * float64(all-min(all, used)) / float64(all)
	}
	return fmt.Sprintf("account %s: %d user IDs, %.1f%% free; %s", s.Account, all, percent, strings.Join(text, ", "))
}

package picture

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/bailey-oci/bailey/libruntime/idmap/ledger"
)

// glyphs are the cells of each kind. partly is one that is held in part.
var glyphs = [...]string{free: "·", held: "█", resting: "▒", shared: "x", foreign: "!"}

const partly = "▄"

// colours are SGR parameters; those of what is held alternate, so that neighbours can be told apart.
var (
	colours = [...]string{free: "2", resting: "33", shared: "35", foreign: "1;31"}
	shades  = [...]string{"36", "34"}
)

// Text writes the picture for a terminal, with colour if asked for. It is less than 80 columns wide but for the names of
// containers at the end of lines.
func Text(w io.Writer, s *ledger.Snapshot, colour bool) error {
	p := &painter{colour: colour}
	list := grids(s)
	p.line(summary(s, list))
	p.line("")
	p.overview(s)
	for i := range list {
		p.line("")
		p.grid(&list[i])
	}
	p.line("")
	p.legend(list)
	_, err := io.WriteString(w, p.String())
	return err
}

type painter struct {
	strings.Builder
	colour bool
}

func (p *painter) line(s string) { p.WriteString(s + "\n") }

func (p *painter) paint(s, sgr string) {
	if p.colour && sgr != "" {
		s = "\x1b[" + sgr + "m" + s + "\x1b[0m"
	}
	p.WriteString(s)
}

// overview is one line for all IDs that there are.
func (p *painter) overview(s *ledger.Snapshot) {
	const column = 1 << 32 / columns
	p.line(fmt.Sprintf("%-11s%-*s%s", "", columns-9, "0", "4294967295"))
	fmt.Fprintf(p, "%-11s", "all IDs")
	for i := range uint64(columns) {
		mark, sgr := glyphs[free], colours[free]
		for _, g := range s.Grants {
			if uint64(g.First) < (i+1)*column && uint64(g.First)+uint64(g.Size) > i*column {
				if mark, sgr = "o", ""; g.Own {
					mark, sgr = "B", "1;36"
					break
				}
			}
		}
		p.paint(mark, sgr)
	}
	p.line("")
	others := 0
	for _, g := range s.Grants {
		mark := "B"
		if !g.Own {
			if others++; others > mostRows {
				continue
			}
			mark = "o"
		}
		p.line(fmt.Sprintf("%12s %-22s %10d  %s", mark, fmt.Sprintf("%d-%d", g.First, uint64(g.First)+uint64(g.Size)-1), g.Size, clean(g.Account)))
	}
	if others > mostRows {
		p.line(fmt.Sprintf("%12s %d more", "o", others-mostRows))
	}
}

// grid is the rows of a range, each with the first of its user IDs and the containers that begin in it.
func (p *painter) grid(g *grid) {
	p.line(fmt.Sprintf("%d-%d, one cell is %d IDs", g.first, g.end-1, g.cell))
	at, skipped := 0, 0 // the runs that may reach into the next cell; free rows that were left out
	skip := func() {
		if skipped > 0 {
			p.line(fmt.Sprintf("%-11s(%d more like this)", "", skipped))
		}
		skipped = 0
	}
	for row := range uint64(g.rows) {
		first := g.first + row*columns*g.cell
		if row > 0 && row+1 < uint64(g.rows) && g.empty(first-columns*g.cell, first) && g.empty(first, first+columns*g.cell) {
			skipped++
			continue
		}
		skip()
		fmt.Fprintf(p, "%-11d", first)
		for i := range uint64(columns) {
			from := first + i*g.cell
			if from >= g.end {
				p.WriteString(" ")
				continue
			}
			for at < len(g.runs) && g.runs[at].end <= from {
				at++
			}
			p.cell(g.runs[at:], from, min(from+g.cell, g.end))
		}
		if ids := names(g.runs, first, first+columns*g.cell); ids != "" {
			p.WriteString(" " + ids)
		}
		p.line("")
	}
}

// empty reports whether all IDs from first to before end are free.
func (g *grid) empty(first, end uint64) bool {
	return !slices.ContainsFunc(g.runs, func(r run) bool { return r.first < end && first < r.end })
}

// cell is the worst of what is in it.
func (p *painter) cell(runs []run, from, to uint64) {
	worst, nth, full := free, 0, uint64(0)
	for _, r := range runs {
		if r.first >= to {
			break
		}
		if r.end <= from {
			continue
		}
		if r.kind == held {
			full += min(r.end, to) - max(r.first, from)
			nth = r.nth
		}
		if r.kind != resting || worst == free {
			worst = max(worst, r.kind)
		}
		if r.kind == held && worst == resting {
			worst = held
		}
	}
	switch {
	case worst != held:
		p.paint(glyphs[worst], colours[worst])
	case full < to-from:
		p.paint(partly, shades[nth%len(shades)])
	default:
		p.paint(glyphs[held], shades[nth%len(shades)])
	}
}

// names returns the first of the containers whose range begins in a row.
func names(runs []run, from, to uint64) string {
	const most, length = 2, 16
	var list []string
	more := 0
	for _, r := range runs {
		if r.kind != held || r.first < from || r.first >= to {
			continue
		}
		if len(list) == most {
			more++
			continue
		}
		id := clean(r.id)
		if len(id) > length {
			id = id[:length] + "…"
		}
		list = append(list, id)
	}
	if more > 0 {
		list = append(list, "+"+strconv.Itoa(more))
	}
	return strings.Join(list, " ")
}

// legend explains the glyphs that are there.
func (p *painter) legend(list []grid) {
	there := map[kind]bool{free: true, held: true}
	for i := range list {
		for _, r := range list[i].runs {
			there[r.kind] = true
		}
	}
	for k, word := range words {
		if !there[kind(k)] {
			continue
		}
		sgr := shades[0]
		if kind(k) != held {
			sgr = colours[k]
		}
		p.paint(glyphs[k], sgr)
		p.line(" " + word)
	}
	p.paint(partly, shades[0])
	p.line(" held in part")
	p.line("B the account's IDs; o those of other accounts")
}

// clean keeps control characters, which a file of accounts may hold, from the terminal, and what is no text from a picture.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || c == unicode.ReplacementChar {
			return '?'
		}
		return c
	}, s)
}

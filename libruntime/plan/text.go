package plan

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Text returns the plan for reading: one numbered line per operation with who executes it, what is done, and
// the place in config.json that asked for it. Numbers start at 0, as in error reports.
func (p *Plan) Text() string {
	var b strings.Builder
	_ = p.WriteText(&b) // a Builder does not fail
	return b.String()
}

// maxAligned is the width up to which the longest text decides where the origins stand, in columns.
const maxAligned = 72

// WriteText writes Text to w. The error is w's.
func (p *Plan) WriteText(w io.Writer) error {
	lines := make([]string, len(p.Ops))
	width := 0
	for i, op := range p.Ops {
		lines[i] = printable(op.String())
		if n := utf8.RuneCountInString(lines[i]); n > width && n <= maxAligned {
			width = n
		}
	}
	for i, op := range p.Ops {
		line := fmt.Sprintf("%3d  %-6s  %-*s", i, op.Where(), width, lines[i])
		if op.Origin != "" {
			line += "  " + printable(op.Origin)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	for _, d := range p.Decided {
		if _, err := fmt.Fprintf(w, "%s = %s: %s\n", d.Setting, printable(d.Value), printable(d.By)); err != nil {
			return err
		}
	}
	return nil
}

// printable returns s with control characters, which a config.json may hold and a terminal would obey,
// written as escapes.
func printable(s string) string {
	clean := true
	for _, r := range s {
		clean = clean && r >= ' ' && r != 0x7f && !(r >= 0x80 && r < 0xa0) && r != utf8.RuneError
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r < ' ' || r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

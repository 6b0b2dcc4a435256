package runtimetools

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// allViews are the views of scripts/cgroup-view.
var allViews = []string{"hybrid", "v1", "v2"}

// The kinds of expectation; expected.txt explains them.
const (
	kindPass    = "pass"
	kindSilent  = "silent"
	kindPartial = "partial"
	kindRacy    = "racy"
	kindNeeds   = "needs:"

	needSysResource = "sys_resource"
	needAppArmor    = "apparmor"
)

// expectation is one entry of expected.txt.
type expectation struct {
	program string
	views   []string // nil: all
	kind    string
	needs   string // kindNeeds only
	reason  string
	defects []string // sorted; kindPartial only
}

// perPageSize stands in the list before a defect that a program shows once for each size of huge pages that
// the machine has.
const perPageSize = "P× "

// parseExpected reads the list, for a machine with so many sizes of huge pages. It is strict: a list that is
// misread is a test that passes for nothing.
func parseExpected(r io.Reader, pageSizes int) ([]expectation, error) {
	var list []expectation
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
			continue
		case line[0] == '\t':
			if len(list) == 0 || list[len(list)-1].kind != kindPartial {
				return nil, fmt.Errorf("line %d: a defect below no partial entry", n)
			}
			e := &list[len(list)-1]
			defect := strings.TrimSpace(line)
			if once, ok := strings.CutPrefix(defect, perPageSize); ok {
				defect = counted(once, pageSizes)
			}
			e.defects = append(e.defects, defect)
			slices.Sort(e.defects)
			continue
		}
		e, err := parseEntry(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		for _, other := range list {
			if other.program == e.program && overlap(other.views, e.views) {
				return nil, fmt.Errorf("line %d: second entry for %s", n, e.program)
			}
		}
		list = append(list, e)
	}
	for _, e := range list {
		if e.kind == kindPartial && len(e.defects) == 0 {
			return nil, fmt.Errorf("%s: partial, but no defect is named", e.program)
		}
	}
	return list, sc.Err()
}

// parseEntry reads "PROGRAM VIEWS KIND [REASON]".
func parseEntry(line string) (expectation, error) {
	f := strings.Fields(line)
	if len(f) < 3 {
		return expectation{}, fmt.Errorf("want PROGRAM VIEWS KIND [REASON], not %q", line)
	}
	e := expectation{program: f[0], kind: f[2], reason: strings.Join(f[3:], " ")}
	if f[1] != "*" {
		e.views = strings.Split(f[1], ",")
	}
	for _, v := range e.views {
		if !slices.Contains(allViews, v) {
			return e, fmt.Errorf("unknown view %q", v)
		}
	}
	if what, ok := strings.CutPrefix(e.kind, kindNeeds); ok {
		if what != needSysResource && what != needAppArmor {
			return e, fmt.Errorf("unknown need %q", what)
		}
		e.kind, e.needs = kindNeeds, what
	}
	switch e.kind {
	case kindPass, kindSilent, kindNeeds:
	case kindPartial, kindRacy:
		if e.reason == "" {
			return e, fmt.Errorf("%s needs a reason", e.kind)
		}
	default:
		return e, fmt.Errorf("unknown kind %q", e.kind)
	}
	return e, nil
}

func overlap(a, b []string) bool {
	if a == nil || b == nil {
		return true
	}
	return slices.ContainsFunc(a, func(v string) bool { return slices.Contains(b, v) })
}

// find returns the entry for a program in a view.
func find(list []expectation, program, view string) (expectation, bool) {
	for _, e := range list {
		if e.program == program && overlap(e.views, []string{view}) {
			return e, true
		}
	}
	return expectation{}, false
}

// judge compares what was seen with what was expected; the empty string means that they agree.
func (e expectation) judge(out outcome) string {
	got := "\n\t" + strings.Join(out.defects, "\n\t")
	switch {
	case e.kind == kindPartial && len(out.defects) == 0:
		return "passes, but the list says that it cannot: update the list"
	case e.kind == kindPartial && !slices.Equal(e.defects, out.defects):
		return "fails otherwise than the list says; seen:" + got + "\nlisted:\n\t" + strings.Join(e.defects, "\n\t")
	case e.kind == kindPartial:
		return ""
	case len(out.defects) > 0:
		return "fails:" + got
	case (e.kind == kindPass || e.kind == kindNeeds) && out.passed == 0:
		return "asserted nothing"
	case e.kind == kindSilent && out.passed > 0:
		return fmt.Sprintf("made %d assertions where none were expected: update the list", out.passed)
	}
	return ""
}

package explained

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// path is that of the document, from this directory.
const path = "../../docs/errors.md"

const preface = `# Errors, and what is behind them

The failures that users of container runtimes meet most often around user namespaces, capabilities and mounts; what bailey
says; how it finds out; and where others have met them. Nothing of this is guessed from an errno: bailey looks, after the
failure, and says nothing where it finds nothing. The last lines on standard error and the last entry of the JSON log
carry all of it.

This file is made from what the tests see (` + "`go test ./tests/explained -update`" + `), which make each failure happen; they fail
if bailey says something else.

`

// document is docs/errors.md as it is, and as it should be.
type document struct {
	is string
	mu sync.Mutex
	// sections are those that were seen now, by the failure's name.
	sections map[string]string
}

func newDocument(t *testing.T) *document {
	b, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Error(err)
	}
	return &document{is: string(b), sections: make(map[string]string)}
}

// heading is that of a failure's section.
func (f *failure) heading() string { return fmt.Sprintf("### %d: %s\n", f.row, f.name) }

// saw notes what was said.
func (d *document) saw(f *failure, command, said string) {
	if said == "" {
		return
	}
	var b strings.Builder
	b.WriteString(f.heading())
	fmt.Fprintf(&b, "\n```\n$ %s\n%s\n```\n\n", command, said)
	fmt.Fprintf(&b, "**How bailey finds out:** %s\n\n", f.finds)
	if f.imitated != "" {
		fmt.Fprintf(&b, "(%s)\n\n", f.imitated)
	}
	fmt.Fprintf(&b, "**Met in:** %s\n\n", f.met)
	d.mu.Lock()
	d.sections[f.name] = b.String()
	d.mu.Unlock()
}

// old returns a section of the document as it is.
func (d *document) old(heading string) string {
	_, rest, found := strings.Cut(d.is, heading)
	if !found {
		return ""
	}
	if end := strings.Index(rest, "\n### "); end >= 0 {
		rest = rest[:end+1]
	}
	return heading + rest
}

// finish compares the document with what was seen, or writes it. What could not be seen here stays as it is.
func (d *document) finish(t *testing.T) {
	var b strings.Builder
	b.WriteString(preface)
	b.WriteString("| | failure | how bailey finds out |\n|---|---|---|\n")
	list := slices.Clone(failures)
	slices.SortStableFunc(list, func(a, b failure) int { return a.row - b.row })
	for i := range list {
		f := &list[i]
		anchor := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(strings.TrimSpace(f.heading()[4:])), "")
		fmt.Fprintf(&b, "| %d | [%s](#%s) | %s |\n", f.row, f.name, strings.ReplaceAll(anchor, " ", "-"), f.finds)
	}
	b.WriteString("\n")
	for i := range list {
		section := d.sections[list[i].name]
		if section == "" {
			section = d.old(list[i].heading())
		}
		b.WriteString(section)
	}
	want := strings.TrimRight(b.String(), "\n") + "\n"
	switch {
	case want == d.is:
	case *update:
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Error(err)
		}
	case flagRun():
		// Some of it was not run at all.
	default:
		t.Errorf("docs/errors.md is not what bailey says (go test ./tests/explained -update):\n%s", difference(d.is, want))
	}
}

// difference returns the lines of one text that the other does not have.
func difference(is, want string) string {
	var b strings.Builder
	have := strings.Split(is, "\n")
	for _, line := range strings.Split(want, "\n") {
		if !slices.Contains(have, line) {
			b.WriteString("+ " + line + "\n")
		}
	}
	return b.String()
}

// flagRun reports whether only some tests were asked for.
func flagRun() bool {
	for _, a := range os.Args {
		if strings.HasPrefix(a, "-test.run") {
			return true
		}
	}
	return false
}

// shown returns a command as the user would have typed it.
func shown(r *harness.Result) string {
	var args []string
	skip := 0
	for _, a := range r.Args {
		switch {
		case skip > 0:
			skip--
		case a == "--root", a == "--log", a == "--log-format":
			skip = 1
		case strings.HasSuffix(a, "/bailey"):
			args = append(args, "bailey")
		case strings.ContainsAny(a, " >$&"):
			args = append(args, "'"+a+"'")
		default:
			args = append(args, a)
		}
	}
	return again(args)
}

// again writes a command that starts itself many times over as such.
func again(args []string) string {
	for width := 1; width <= 4 && len(args) > 8*width; width++ {
		n := 1
		for (n+1)*width <= len(args) && slices.Equal(args[:width], args[n*width:(n+1)*width]) {
			n++
		}
		if n > 4 {
			return fmt.Sprintf("%s ... %s", strings.Join(args[:width], " "), strings.Join(args[n*width:], " "))
		}
	}
	return strings.Join(args, " ")
}

// neutral returns a text without what is different in every run.
func (p *place) neutral(text string) string {
	text = regexp.MustCompile(regexp.QuoteMeta(p.ID)+`-\d+`).ReplaceAllString(text, "web")
	text = strings.ReplaceAll(text, p.Dir, "/srv")
	text = strings.ReplaceAll(text, filepath.Dir(p.Dir), "/srv")
	text = regexp.MustCompile(`/proc/\d+/`).ReplaceAllString(text, "/proc/PID/")
	return strings.ReplaceAll(text, p.ID, "bt")
}

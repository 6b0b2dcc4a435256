package guides

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// A step is a command of a page, and what it prints.
type step struct {
	line    int
	root    bool
	command string
	output  []string
}

// steps returns the commands of a page.
func steps(t *testing.T, page string) []step {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []step
	inside, n := false, 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSuffix(line, "\n")
		switch {
		case !inside:
			inside = line == "```console"
		case line == "```":
			inside = false
		case strings.HasPrefix(line, "# "), strings.HasPrefix(line, "$ "):
			all = append(all, step{line: n, root: line[0] == '#', command: line[2:]})
		case len(all) == 0:
			t.Fatalf("%s:%d: output of no command", page, n)
		case strings.HasPrefix(line, "> "):
			all[len(all)-1].command += "\n" + line[2:]
		default:
			all[len(all)-1].output = append(all[len(all)-1].output, line)
		}
	}
	if inside {
		t.Fatalf("%s: a block has no end", page)
	}
	return all
}

// pattern returns what matches the output of a step.
func (s *step) pattern() *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for _, line := range s.output {
		if line == "…" {
			b.WriteString(`(?:.*\n)*?`)
			continue
		}
		var parts []string
		for _, part := range strings.Split(line, "…") {
			parts = append(parts, regexp.QuoteMeta(part))
		}
		b.WriteString(strings.Join(parts, ".*") + `[ \t]*\n`)
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

func TestPattern(t *testing.T) {
	for _, tc := range []struct {
		output  string
		matches []string
		not     []string
	}{
		{"a.c", []string{"a.c\n"}, []string{"abc\n", "a.c\nd\n", ""}},
		{"a … c", []string{"a b c\n", "a  c\n"}, []string{"a c\n", "a b\nb c\n"}},
		{"a\n…\nz", []string{"a\nz\n", "a\nb\nc\nz\n"}, []string{"a\nb\n"}},
	} {
		p := (&step{output: strings.Split(tc.output, "\n")}).pattern()
		for _, text := range tc.matches {
			if !p.MatchString(text) {
				t.Errorf("%q does not match %q", tc.output, text)
			}
		}
		for _, text := range tc.not {
			if p.MatchString(text) {
				t.Errorf("%q matches %q", tc.output, text)
			}
		}
	}
}

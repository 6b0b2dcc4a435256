// Package guide reads the commands of a page of the documentation, and what they are to print.
//
// A block that begins with ```console is a dialogue. In it "# " is the prompt of root, "$ " that of an ordinary user, "> "
// goes on with the command of the line before, and everything else is output. "…" stands for any text within a line, and for
// any number of lines where it is all of one.
package guide

import (
	"fmt"
	"os"
	"regexp"
	"strings"
)

// A Step is a command of a page, and what it prints.
type Step struct {
	Line    int
	Root    bool
	Command string
	Output  []string
}

// Read returns the commands of a page. A page without a command, or with a block that has no end, is an error.
func Read(page string) ([]Step, error) {
	b, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	var all []Step
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
			all = append(all, Step{Line: n, Root: line[0] == '#', Command: line[2:]})
		case len(all) == 0:
			return nil, fmt.Errorf("%s:%d: output of no command", page, n)
		case line == ">", strings.HasPrefix(line, "> "):
			all[len(all)-1].Command += "\n" + strings.TrimPrefix(line[1:], " ")
		default:
			all[len(all)-1].Output = append(all[len(all)-1].Output, line)
		}
	}
	if inside {
		return nil, fmt.Errorf("%s: a block has no end", page)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no commands", page)
	}
	return all, nil
}

// Pattern returns what matches the output of a step.
func (s *Step) Pattern() *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for _, line := range s.Output {
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

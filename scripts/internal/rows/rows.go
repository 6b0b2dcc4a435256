// Package rows reads the table of what bailey does (docs/spec-conformance.txt), in which every row names the tests that
// show it, and writes it as docs/spec-conformance.md.
package rows

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Row is one line of the table.
type Row struct {
	Section, Feature string
	// Tests are names of tests, "lifecycle.TestMatrix", all of which have to pass; VM those that have to pass in the
	// virtual machines of `make test-vm`.
	Tests, VM []string
	// Missing says why there are none, for what is not supported.
	Missing string
}

// Parse reads the table. A line is "= SECTION", or "FEATURE | TESTS", where TESTS are names separated by blanks, "vm:"
// before those for virtual machines, or "no: " and a reason. Empty lines, and those that begin with "#", are skipped.
func Parse(r io.Reader) ([]Row, error) {
	var all []Row
	section := ""
	for s, n := bufio.NewScanner(r), 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "= "); ok {
			section = name
			continue
		}
		feature, tests, ok := strings.Cut(line, " | ")
		row := Row{Section: section, Feature: feature}
		if why, missing := strings.CutPrefix(tests, "no: "); missing {
			row.Missing = why
		} else {
			for _, name := range strings.Fields(tests) {
				if vm, isVM := strings.CutPrefix(name, "vm:"); isVM {
					row.VM = append(row.VM, vm)
				} else {
					row.Tests = append(row.Tests, name)
				}
			}
		}
		if !ok || section == "" || row.Missing == "" && len(row.Tests)+len(row.VM) == 0 {
			return nil, fmt.Errorf("line %d is no row: %q", n, line)
		}
		all = append(all, row)
	}
	return all, nil
}

// Markdown returns the table as a page.
func Markdown(all []Row) string {
	var b strings.Builder
	b.WriteString("# What bailey does\n\nMade from spec-conformance.txt: each row is supported only if the tests that it names pass, which `make test`\n" +
		"checks (for those marked *vm*, `make test-vm`). Each of them drives real containers and reads the effect back from the\nkernel.\n")
	section, supported := "", 0
	for _, r := range all {
		if r.Section != section {
			section = r.Section
			fmt.Fprintf(&b, "\n## %s\n\n| | | shown by |\n|---|---|---|\n", section)
		}
		if r.Missing != "" {
			fmt.Fprintf(&b, "| %s | **no** | %s |\n", r.Feature, r.Missing)
			continue
		}
		supported++
		tests := append([]string(nil), r.Tests...)
		for _, t := range r.VM {
			tests = append(tests, t+" (*vm*)")
		}
		fmt.Fprintf(&b, "| %s | yes | %s |\n", r.Feature, strings.Join(tests, ", "))
	}
	fmt.Fprintf(&b, "\n%d of %d rows.\n", supported, len(all))
	return b.String()
}

// Claim is one test that a row names.
type Claim struct{ Feature, Test string }

func (c Claim) String() string { return c.Feature + ": " + c.Test }

// In reports whether the test is among names of packages and tests, "github.com/…/tests/lifecycle.TestMatrix".
func (c Claim) In(names map[string]bool) bool {
	for name := range names {
		if name == c.Test || strings.HasSuffix(name, "/"+c.Test) {
			return true
		}
	}
	return false
}

// Unproven returns the rows' claims that are not among the tests that have passed.
func Unproven(all []Row, vm bool, passed map[string]bool) []Claim {
	var missing []Claim
	for _, r := range all {
		tests := r.Tests
		if vm {
			tests = r.VM
		}
		for _, t := range tests {
			if c := (Claim{r.Feature, t}); !c.In(passed) {
				missing = append(missing, c)
			}
		}
	}
	return missing
}

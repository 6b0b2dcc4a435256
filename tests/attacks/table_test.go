package attacks

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

const (
	page  = "docs/attacks.md"
	begin = "<!-- measured: make attacks ATTACKS=-update -->\n"
	end   = "<!-- end -->\n"
)

// tables are the outcomes by payload, attack and column.
type tables map[string]map[string]map[string]string

// render writes what was measured as the page has it.
func render(t testing.TB, cells map[string][]*cell) string {
	var b strings.Builder
	var peers []string
	seen := make(map[string]bool)
	for _, col := range columns {
		if !col.bailey() && col.available() && !seen[col.peer] {
			seen[col.peer] = true
			peers = append(peers, version(t, col.peer))
		}
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	release := regexp.MustCompile(`^\d+\.\d+`).FindString(unix.ByteSliceToString(u.Release[:]))
	fmt.Fprintf(&b, "Measured on Linux %s, cgroup view %s, with %s.\n", release, view(), strings.Join(peers, " and "))
	b.WriteString("\nHow many of the attacks work:\n\n| payload |" + header(cells[payloads[0].title]))
	for _, p := range payloads {
		b.WriteString("| " + p.title + " |")
		for _, c := range cells[p.title] {
			fmt.Fprintf(&b, " %d of %d |", c.successes(), len(c.order))
		}
		b.WriteString("\n")
	}
	for _, p := range payloads {
		row := cells[p.title]
		if len(row) == 0 {
			continue
		}
		works, refused := "", ""
		for _, name := range row[0].order {
			line, any := "| "+name+" |", false
			for _, c := range row {
				outcome := c.outcome[name]
				if outcome == "works" {
					outcome, any = "**works**", true
				}
				line += " " + outcome + " |"
			}
			if any {
				works += line + "\n"
			} else {
				refused += line + "\n"
			}
		}
		fmt.Fprintf(&b, "\n### %s\n\n| attack |%s%s\nNone of these works:\n\n| attack |%s%s", p.title, header(row), works, header(row), refused)
	}
	return b.String()
}

// header is the rest of a table's head.
func header(row []*cell) string {
	names, line := "", "|---|"
	for _, c := range row {
		names += " " + c.col.name + " |"
		line += "---|"
	}
	return names + "\n" + line + "\n"
}

// successes returns how many attacks work.
func (c *cell) successes() int {
	n := 0
	for _, outcome := range c.outcome {
		if outcome == "works" {
			n++
		}
	}
	return n
}

// parse reads the page.
func parse(text string) tables {
	all := make(tables)
	title := ""
	var names []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "### "); ok {
			title = heading
			all[title] = make(map[string]map[string]string)
			continue
		}
		if !strings.HasPrefix(line, "| ") || title == "" {
			continue
		}
		fields := strings.Split(strings.Trim(line, "|"), "|")
		for i := range fields {
			fields[i] = strings.Trim(strings.TrimSpace(fields[i]), "*")
		}
		if fields[0] == "attack" {
			names = fields
			continue
		}
		row := make(map[string]string)
		for i, f := range fields[1:] {
			row[names[i+1]] = f
		}
		all[title][fields[0]] = row
	}
	return all
}

// elsewhere has what is as good on machines that have less to attack: without cgroup v1, sysrq, 32-bit programs, or handles of
// namespaces. None of it is a success.
var elsewhere = map[string][]string{
	"process of another container: ptrace":   {"EPERM"}, // Yama
	"user namespace: x32":                    {"EPERM", "ENOSYS"},
	"user namespace: i386":                   {"ENOSYS"},
	"network of the machine, by file handle": {"not applicable", "EPERM"}, // older kernels
	"release_agent written (cgroup v1)":      {"not applicable"},
	"own memory limit written (cgroup v1)":   {"not applicable"},
}

// alike has what has to come to the same as something else, and may be missing where the page was written.
var alike = map[string]string{"sysrq-trigger opened for writing": "core_pattern written"}

// measured returns the part of the page that is measured, and what is around it.
func measured(t testing.TB) (before, tables, after string) {
	t.Helper()
	b, err := os.ReadFile(harness.Source(t, page))
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	tables, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s: there is no place for the tables", page)
	}
	return before + begin, tables, end + after
}

// Testsum runs `go test` and ends with one line that counts everything:
//
//	N passed, N failed, N skipped
//
// Usage: testsum ARGS [-- ARGS]...; each group of arguments is one `go test` run, one after the other. The group "-"
// is none: it stands for the events of a run elsewhere, in the form of test2json, on standard input. With -rows FILE
// before the groups, each test that a row of the table FILE names must have passed, with -rows-vm FILE each that it names
// for virtual machines; what was skipped is named as not shown. With -tell FILE, what the tests have written to FILE comes
// before the line.
// Tests and subtests count alike. What cannot be counted as a test but is broken (a package that does not
// compile, a test binary that dies, a go command that fails) counts as one failure each. The exit status
// is 1 if anything failed or if nothing passed.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/bailey-oci/bailey/scripts/internal/rows"
)

// event is what `go test -json` prints, one per line; see go doc test2json.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// sum counts, and keeps the output of what still runs so that only failures are printed.
type sum struct {
	passed, failed, skipped int
	// names and skips are the tests that have passed, and those that were skipped: "PACKAGE.TEST".
	names, skips map[string]bool

	out       io.Writer
	output    map[[2]string]*strings.Builder
	hasFailed map[string]bool // packages with a failed test
}

func main() {
	s := newSum(os.Stdout)
	args, table, vm, told := os.Args[1:], "", false, ""
options:
	for len(args) > 1 {
		switch args[0] {
		case "-tell":
			told = args[1]
		case "-rows", "-rows-vm":
			table, vm = args[1], args[0] == "-rows-vm"
		default:
			break options
		}
		args = args[2:]
	}
	for _, args := range groups(args) {
		s.run(args)
	}
	if table != "" {
		s.compare(table, vm)
	}
	if b, err := os.ReadFile(told); told != "" && err == nil {
		fmt.Printf("%s", b)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	if s.failed > 0 || s.passed == 0 {
		os.Exit(1)
	}
}

func newSum(out io.Writer) *sum {
	return &sum{out: out, output: map[[2]string]*strings.Builder{}, hasFailed: map[string]bool{},
		names: map[string]bool{}, skips: map[string]bool{}}
}

// compare compares the tests that have passed with those that the table's rows name.
func (s *sum) compare(table string, vm bool) {
	f, err := os.Open(table)
	var all []rows.Row
	if err == nil {
		all, err = rows.Parse(f)
		f.Close()
	}
	if err != nil {
		fmt.Fprintln(s.out, err)
		s.failed++
		return
	}
	for _, missing := range rows.Unproven(all, vm, s.names) {
		if missing.In(s.skips) {
			fmt.Fprintf(s.out, "not shown here, because it was skipped: %s\n", missing)
			continue
		}
		fmt.Fprintf(s.out, "%s: no passing test: %s\n", table, missing)
		s.failed++
	}
}

func groups(args []string) [][]string {
	list := [][]string{nil}
	for _, arg := range args {
		if arg == "--" {
			list = append(list, nil)
			continue
		}
		last := len(list) - 1
		list[last] = append(list[last], arg)
	}
	return list
}

func (s *sum) run(args []string) {
	if len(args) == 1 && args[0] == "-" {
		if err := s.read(os.Stdin); err != nil {
			fmt.Fprintln(s.out, err)
			s.failed++
		}
		return
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	failed := s.failed
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		if err = cmd.Start(); err == nil {
			err = s.read(pipe)
			if wait := cmd.Wait(); err == nil {
				err = wait
			}
		}
	}
	if err != nil && s.failed == failed {
		fmt.Fprintf(s.out, "go test %s: %v\n", strings.Join(args, " "), err)
		s.failed++
	}
}

func (s *sum) read(r io.Reader) error {
	for dec := json.NewDecoder(r); ; {
		var e event
		if err := dec.Decode(&e); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading go test -json: %w", err)
		}
		s.count(e)
	}
}

// fullName is the test's name; what stands in parentheses behind the package's is about the machine.
func fullName(e event) string {
	pkg, _, _ := strings.Cut(e.Package, " (")
	return pkg + "." + e.Test
}

func (s *sum) count(e event) {
	key := [2]string{e.Package + e.ImportPath, e.Test}
	if s.output[key] == nil {
		s.output[key] = &strings.Builder{}
	}
	switch e.Action {
	case "output", "build-output":
		s.output[key].WriteString(e.Output)
		return
	case "pass", "skip", "fail", "build-fail":
	default:
		return
	}
	switch {
	case e.Action == "fail" && e.Test != "":
		s.failed++
		s.hasFailed[e.Package] = true
		fmt.Fprint(s.out, s.output[key])
	case e.Action == "build-fail":
		fmt.Fprint(s.out, s.output[key])
	case e.Action == "fail":
		if !s.hasFailed[e.Package] {
			s.failed++
		}
		fmt.Fprint(s.out, s.output[key])
		fmt.Fprintf(s.out, "FAIL\t%s\n", e.Package)
	case e.Action == "pass" && e.Test != "":
		s.passed++
		s.names[fullName(e)] = true
	case e.Action == "pass":
		fmt.Fprintf(s.out, "ok\t%s\n", e.Package)
	case e.Test != "": // skip; a package's own skip is "no test files"
		s.skipped++
		s.skips[fullName(e)] = true
		for _, line := range strings.Split(s.output[key].String(), "\n") {
			if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "=== ") {
				fmt.Fprintf(s.out, "    %s\n", text)
			}
		}
	}
	delete(s.output, key)
}

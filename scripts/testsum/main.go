// Testsum runs `go test` and ends with one line that counts everything:
//
//	N passed, N failed, N skipped
//
// Usage: testsum ARGS [-- ARGS]...; each group of arguments is one `go test` run, one after the other. The group "-"
// is none: it stands for the events of a run elsewhere, in the form of test2json, on standard input.
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
)

// event is what `go test -json` prints, one per line; see go doc test2json.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// sum counts, and keeps the output of what still runs so that only failures are printed.
type sum struct {
	passed, failed, skipped int

	out       io.Writer
	output    map[[2]string]*strings.Builder
	hasFailed map[string]bool // packages with a failed test
}

func main() {
	s := newSum(os.Stdout)
	for _, args := range groups(os.Args[1:]) {
		s.run(args)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	if s.failed > 0 || s.passed == 0 {
		os.Exit(1)
	}
}

func newSum(out io.Writer) *sum {
	return &sum{out: out, output: map[[2]string]*strings.Builder{}, hasFailed: map[string]bool{}}
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
	case e.Action == "pass":
		fmt.Fprintf(s.out, "ok\t%s\n", e.Package)
	case e.Test != "": // skip; a package's own skip is "no test files"
		s.skipped++
		for _, line := range strings.Split(s.output[key].String(), "\n") {
			if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "=== ") {
				fmt.Fprintf(s.out, "    %s\n", text)
			}
		}
	}
	delete(s.output, key)
}

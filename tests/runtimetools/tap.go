package runtimetools

import (
	"bufio"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// outcome is what one validation program said.
type outcome struct {
	passed  int      // assertions that held, skipped ones not counted
	skipped int      // assertions marked "# SKIP"
	defects []string // everything that kept the program from passing, sorted
}

var (
	planLine   = regexp.MustCompile(`^1\.\.(\d+)$`)
	assertLine = regexp.MustCompile(`^(not )?ok\b(?: (\d+))?(?: (- )?(.*))?$`)
	errorLine  = regexp.MustCompile(`^ +"error": "(.*)",?$`)
	pointer    = regexp.MustCompile(`0x[0-9a-f]{6,}`)
)

// parseTAP reads a program's standard output and exit status. The suite has several ways to report a
// failure, and all of them count: a "not ok" line, a plan that does not fit, an exit status, and (the
// programs about hooks) an error in a diagnostic block below no assertion at all.
func parseTAP(stdout, stderr string, exit int) outcome {
	var out outcome
	count := map[string]int{}
	plan, ran, planned := 0, 0, false
	sc := bufio.NewScanner(strings.NewReader(stdout))
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		line := sc.Text()
		if m := planLine.FindStringSubmatch(line); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				count["bad plan "+m[1]]++
			}
			plan, planned = plan+n, true // linux_cgroups_cpus prints two plans
			continue
		}
		if m := assertLine.FindStringSubmatch(line); m != nil {
			ran++
			switch {
			case m[1] != "":
				count["not ok "+pointer.ReplaceAllString(m[4], "0x…")]++
			case strings.Contains(line, "# SKIP"):
				out.skipped++
			default:
				out.passed++
			}
			continue
		}
		if m := errorLine.FindStringSubmatch(line); m != nil && ran == 0 {
			text, _, _ := strings.Cut(m[1], `\n`)
			count["error "+text]++
		}
	}
	if err := sc.Err(); err != nil {
		count["unreadable output: "+err.Error()]++
	}
	if planned && plan != ran {
		count[fmt.Sprintf("planned %d, ran %d", plan, ran)]++
	}
	if exit != 0 {
		// The suite's own first line; the runtime's message comes after it and is not compared.
		first, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
		count[fmt.Sprintf("exit %d: %s", exit, first)]++
	}
	for text, n := range count {
		out.defects = append(out.defects, counted(text, n))
	}
	sort.Strings(out.defects)
	return out
}

// counted is the list's form of a defect that was seen n times.
func counted(defect string, n int) string {
	if n == 1 {
		return defect
	}
	return fmt.Sprintf("%d× %s", n, defect)
}

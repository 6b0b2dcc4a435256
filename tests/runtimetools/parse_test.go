package runtimetools

import (
	"slices"
	"strings"
	"testing"
)

func TestParseTAP(t *testing.T) {
	for name, tc := range map[string]struct {
		stdout, stderr string
		exit           int
		passed, skips  int
		defects        []string
	}{
		"pass":          {stdout: "TAP version 13\nok 1 - a\nok 2 # SKIP b\n1..2\n", passed: 1, skips: 1},
		"not ok":        {stdout: "ok 1 - a\nnot ok 2 - b at 0xc000123456\n1..2\n", passed: 1, defects: []string{"not ok b at 0x…"}},
		"not ok, bare":  {stdout: "not ok\n1..1\n", defects: []string{"not ok "}},
		"counted":       {stdout: "not ok 1 - a\nnot ok 2 - a\n1..2\n", defects: []string{"2× not ok a"}},
		"short":         {stdout: "ok 1 - a\n1..2\n", passed: 1, defects: []string{"planned 2, ran 1"}},
		"hook error":    {stdout: "  ---\n  {\n    \"error\": \"late\\nRefer to\"\n  }\n1..0\n", defects: []string{"error late"}},
		"error of ok":   {stdout: "ok 1 - a\n  ---\n  {\n    \"error\": \"exit status 1\",\n  }\n1..1\n", passed: 1},
		"died":          {stderr: "failed to create the container\nbailey: …\n", exit: 1, defects: []string{"exit 1: failed to create the container"}},
		"nested stdout": {stdout: "  ---\n    \"stdout\": \"not ok 1\\n\"\nok 1 - a\n1..1\n", passed: 1},
	} {
		out := parseTAP(tc.stdout, tc.stderr, tc.exit)
		if out.passed != tc.passed || out.skipped != tc.skips || !slices.Equal(out.defects, tc.defects) {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

func TestJudge(t *testing.T) {
	seen := outcome{passed: 3, defects: []string{"not ok a"}}
	clean := outcome{passed: 3}
	partial := expectation{kind: kindPartial, defects: []string{"not ok a"}}
	for name, tc := range map[string]struct {
		e     expectation
		out   outcome
		agree bool
	}{
		"pass":              {expectation{kind: kindPass}, clean, true},
		"pass fails":        {expectation{kind: kindPass}, seen, false},
		"pass hollow":       {expectation{kind: kindPass}, outcome{}, false},
		"silent":            {expectation{kind: kindSilent}, outcome{}, true},
		"silent speaks":     {expectation{kind: kindSilent}, clean, false},
		"silent fails":      {expectation{kind: kindSilent}, seen, false},
		"partial":           {partial, seen, true},
		"partial passes":    {partial, clean, false},
		"partial otherwise": {partial, outcome{defects: []string{"not ok a", "not ok b"}}, false},
	} {
		if why := tc.e.judge(tc.out); (why == "") != tc.agree {
			t.Errorf("%s: %q", name, why)
		}
	}
}

func TestParseExpectedRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"kind":           "a * maybe",
		"view":           "a v3 pass",
		"reason":         "a * partial\n\tnot ok b",
		"no defect":      "a * partial why",
		"stray defect":   "a * pass\n\tnot ok b",
		"twice":          "a * pass\na v1 pass",
		"missing fields": "a pass",
	} {
		if _, err := parseExpected(strings.NewReader(text), 1); err == nil {
			t.Errorf("%s: %q accepted", name, text)
		}
	}
}

func TestParseExpectedPageSizes(t *testing.T) {
	for sizes, want := range map[int]string{1: "not ok a", 2: "2× not ok a"} {
		list, err := parseExpected(strings.NewReader("p * partial why\n\tP× not ok a"), sizes)
		if err != nil || len(list) != 1 || !slices.Equal(list[0].defects, []string{want}) {
			t.Errorf("%d sizes: %+v, %v", sizes, list, err)
		}
	}
}

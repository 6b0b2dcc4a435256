package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	for name, tc := range map[string]struct {
		events                  string
		passed, failed, skipped int
		print                   string
	}{
		"pass and skip": {
			`{"Action":"pass","Package":"p","Test":"A"}{"Action":"skip","Package":"p","Test":"B"}{"Action":"pass","Package":"p"}`,
			1, 0, 1, "ok\tp\n",
		},
		"fail": {
			`{"Action":"output","Package":"p","Test":"A","Output":"why\n"}{"Action":"fail","Package":"p","Test":"A"}{"Action":"fail","Package":"p"}`,
			0, 1, 0, "why\nFAIL\tp\n",
		},
		"died": {
			`{"Action":"pass","Package":"p","Test":"A"}{"Action":"output","Package":"p","Output":"exit 2\n"}{"Action":"fail","Package":"p"}`,
			1, 1, 0, "exit 2\nFAIL\tp\n",
		},
		"does not compile": {
			`{"ImportPath":"p","Action":"build-output","Output":"undefined\n"}{"ImportPath":"p","Action":"build-fail"}{"Action":"fail","Package":"p"}`,
			0, 1, 0, "undefined\nFAIL\tp\n",
		},
		"no test files": {`{"Action":"skip","Package":"p"}`, 0, 0, 0, ""},
	} {
		var out strings.Builder
		s := newSum(&out)
		if err := s.read(strings.NewReader(tc.events)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.passed != tc.passed || s.failed != tc.failed || s.skipped != tc.skipped || out.String() != tc.print {
			t.Errorf("%s: %d %d %d %q", name, s.passed, s.failed, s.skipped, &out)
		}
	}
}

// A test that was skipped is named as such, whatever the feature is called; one that neither passed nor was skipped fails.
func TestCompare(t *testing.T) {
	table := filepath.Join(t.TempDir(), "rows")
	if err := os.WriteFile(table, []byte("= s\nmounts: one | x.TestA x.TestB\nmounts: two | x.TestC\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	s := newSum(&out)
	s.names["m/x.TestA"], s.skips["m/x.TestB"] = true, true
	s.compare(table, false)
	want := "not shown here, because it was skipped: mounts: one: x.TestB\n" + table + ": no passing test: mounts: two: x.TestC\n"
	if s.failed != 1 || out.String() != want {
		t.Errorf("%d failed, %q", s.failed, out.String())
	}
}

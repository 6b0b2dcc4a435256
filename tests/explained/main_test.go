package explained

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

var update = flag.Bool("update", false, "write docs/errors.md")

func TestMain(m *testing.M) { harness.Main(m) }

// failure is a way to fail.
type failure struct {
	// row and name are the heading in docs/errors.md.
	row  int
	name string
	// finds says how bailey finds out; met where users have met it.
	finds, met string
	// run makes it happen.
	run func(p *place) *harness.Result
	// line, cause and try are texts that must be in the three parts of the message.
	line, cause, try string
	// view is the cgroup view that it takes; "" any.
	view harness.View
	// warning: it is no error but a warning, and all of it is in line.
	warning bool
	// imitated says what this machine cannot show and is imitated.
	imitated string
}

// place is an Env with what failures are made of.
type place struct{ *harness.Env }

// as runs a command of bailey's.
func (p *place) as(o harness.Options, args ...string) *harness.Result {
	p.T.Helper()
	return p.Run(o, args...)
}

// message is what bailey has said.
type message struct{ line, cause, try string }

func (m message) String() string {
	text := "bailey: " + m.line
	if m.cause != "" {
		text += "\n  cause: " + m.cause
	}
	if m.try != "" {
		text += "\n  try:   " + m.try
	}
	return text
}

func parse(stderr string) message {
	var m message
	for _, line := range strings.Split(stderr, "\n") {
		if v, ok := strings.CutPrefix(line, "bailey: "); ok {
			m = message{line: v}
		} else if v, ok := strings.CutPrefix(line, "  cause: "); ok {
			m.cause = v
		} else if v, ok := strings.CutPrefix(line, "  try:   "); ok {
			m.try = v
		}
	}
	return m
}

// TestExplained makes each failure happen and compares what is said with what should be, and with docs/errors.md.
func TestExplained(t *testing.T) {
	harness.NeedRoot(t)
	d := newDocument(t)
	t.Run("failures", func(t *testing.T) {
		for i := range failures {
			f := &failures[i]
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				command, said := f.check(t)
				d.saw(f, command, said)
			})
		}
	})
	d.finish(t)
}

// check makes the failure happen and returns what was said, in the words of the documentation.
func (f *failure) check(t *testing.T) (command, said string) {
	view := f.view
	if view == "" {
		view = harness.ShortViews()[0]
	} else if !has(harness.Views(), view) {
		t.Skipf("this machine cannot show cgroup %s", view)
	}
	p := &place{harness.New(t, view)}
	r := f.run(p)
	if r == nil {
		return "", "" // it has skipped
	}
	m := parse(r.Stderr)
	t.Logf("$ %s\n%s", shown(r), r.Stderr)
	want := 1
	if f.warning {
		want = 0
	}
	if r.Code != want || r.Stdout != "" {
		t.Errorf("%s\nwant exit status %d and no output", r, want)
	}
	for _, part := range []struct{ name, is, has string }{{"line", m.line, f.line}, {"cause", m.cause, f.cause}, {"remedy", m.try, f.try}} {
		if !strings.Contains(part.is, part.has) || part.is == "" && !f.warning {
			t.Errorf("%s\nthe %s is %q, want %q in it", r, part.name, part.is, part.has)
		}
	}
	if !f.warning {
		p.logged(r, m)
	}
	p.CheckNothingLeft()
	return p.neutral(shown(r)), p.neutral(m.String())
}

// logged fails the test unless the log's last entry carries all of the message.
func (p *place) logged(r *harness.Result, m message) {
	p.T.Helper()
	b, err := os.ReadFile(p.Log)
	if err != nil {
		p.T.Errorf("%s\n%v", r, err)
		return
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	var entry struct{ Level, Msg string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &entry); err != nil {
		p.T.Errorf("log entry %q: %v", lines[len(lines)-1], err)
	}
	if want := m.line + "; cause: " + m.cause + "; try: " + m.try; entry.Level != "error" || entry.Msg != want {
		p.T.Errorf("%s\nthe log's last entry has the level %q and says %q, want %q", r, entry.Level, entry.Msg, want)
	}
}

func has(views []harness.View, v harness.View) bool {
	for _, w := range views {
		if w == v {
			return true
		}
	}
	return false
}

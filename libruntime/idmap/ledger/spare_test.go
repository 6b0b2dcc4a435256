package ledger

import (
	"errors"
	"testing"
)

// Without an account containers get IDs that nobody has: no line, no name, no live namespace.
func TestSpare(t *testing.T) {
	m := newMachine(t)
	m.write("passwd", "root:x:0:0::/root:/bin/sh\nodd:x:1879048200:0::/:/bin/sh\n") // in the first 65536
	m.write("subuid", "alice:1879113728:65536\n")                                   // the second
	m.process(7, "0 1879179264 65536\n")                                            // the third
	l := m.open()
	if _, err := l.Allocate(Request{ID: "a", StateRoot: m.path("run")}); !errors.Is(err, ErrNoRanges) {
		t.Fatalf("%v, want ErrNoRanges", err)
	}
	l = m.open(func(o *Options) { o.Spare = true })
	a := m.allocate(l, "a", 65536)
	if a.UID != 1879244800 || a.GID != a.UID {
		t.Errorf("%v", a)
	}
	m.process(8, "0 1879310336 65536\n") // the next, while others are there
	if b := m.allocate(l, "b", 65536); b.UID != 1879375872 {
		t.Errorf("%v", b)
	}
	if problems, err := l.Check(false); err != nil || len(problems) != 2 {
		t.Errorf("%v, %v", problems, err) // the two processes
	}
	// An account that is there is what counts.
	m.write("subuid", "bailey:100000:65536\n")
	m.write("subgid", "bailey:100000:65536\n")
	if c := m.allocate(l, "c", 65536); c.UID != 100000 {
		t.Errorf("%v", c)
	}
	m.release(l, "a")
}

package ledger

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bailey-oci/bailey/internal/fault"
)

func TestAllocate(t *testing.T) {
	m := newMachine(t, "200000:655360")
	l := m.open()
	a, b := m.allocate(l, "a", 0), m.allocate(l, "b", 0)
	if a != (Range{UID: 200000, GID: 200000, Size: 65536}) || b.UID != 265536 {
		t.Errorf("%v, %v", a, b)
	}
	// Another process sees what this one wrote.
	if got := m.allocate(m.open(), "c", 65536*2); got.UID != 331072 {
		t.Errorf("c: %v", got)
	}
	want := "held a 200000-265535\nheld b 265536-331071\nheld c 331072-462143"
	if got := m.holders(l); got != want {
		t.Errorf("%s", got)
	}
	m.release(l, "b")
	m.release(l, "b")
	m.release(l, "nobody")
	if got, want := m.holders(l), strings.Replace(want, "held b", "resting b", 1); got != want {
		t.Errorf("%s", got)
	}
	if got := m.allocate(l, "d", 0); got.UID != 462144 {
		t.Errorf("what b has given back did not rest: %v", got)
	}
}

func TestNothingIsMadeByLooking(t *testing.T) {
	m := newMachine(t, "200000:65536")
	l := m.open()
	if got := m.holders(l); got != "" {
		t.Error(got)
	}
	m.release(l, "a")
	if _, err := os.Stat(m.path("ids")); err == nil {
		t.Error("the directory was made")
	}
}

// The IDs of containers with the same name below different state directories are their own.
func TestStateRoots(t *testing.T) {
	m := newMachine(t, "200000:655360")
	l := m.open()
	a := m.allocate(l, "a", 0)
	b, err := l.Allocate(Request{ID: "a", StateRoot: "/other"})
	m.must(err)
	if a.users().overlaps(b.users()) {
		t.Errorf("%v, %v", a, b)
	}
	m.must(l.Release("a", "/other"))
	if got := m.holders(l); !strings.Contains(got, "held a 200000") || !strings.Contains(got, "resting a 265536") {
		t.Error(got)
	}
}

// Made anew, a container gets another range, unless it is the same maker that asks twice.
func TestSameContainerTwice(t *testing.T) {
	m := newMachine(t, "200000:655360")
	l := m.open()
	m.process(5, "0 0 4294967295\n")
	q := Request{ID: "a", StateRoot: m.path("run"), Creator: Process{PID: 5, Start: 77}}
	first, err := l.Allocate(q)
	m.must(err)
	if again, err := l.Allocate(q); err != nil || again != first {
		t.Errorf("%v, %v", again, err)
	}
	if _, err := l.Allocate(Request{ID: "a", StateRoot: m.path("run"), Creator: Process{PID: 6, Start: 1}}); !errors.Is(err, ErrHeld) {
		t.Errorf("while process 5 makes it: %v", err)
	}
	m.ends(5)
	if other := m.allocate(l, "a", 0); other.users().overlaps(first.users()) {
		t.Errorf("%v again", other)
	}
}

func TestSizes(t *testing.T) {
	m := newMachine(t, "200000:1310720") // 20 units
	l := m.open()
	big := m.allocate(l, "big", 1<<20)
	for i, want := range []uint32{0, 1024, 2048} {
		if got := m.allocate(l, string(rune('a'+i)), 1000); got.UID != 200000+1<<20+want {
			t.Errorf("%d: %v", i, got)
		}
	}
	// Small ones share a unit, so that three whole ones are left.
	for _, id := range []string{"x", "y", "z"} {
		m.allocate(l, id, 0)
	}
	m.allocate(l, "small", 1024)
	if _, err := l.Allocate(Request{ID: "w", StateRoot: "/r"}); !errors.Is(err, ErrExhausted) {
		t.Errorf("a fourth: %v", err)
	}
	if big.UID != 200000 {
		t.Error(big)
	}
}

func TestUsersAndGroupsThatDiffer(t *testing.T) {
	m := newMachine(t)
	m.write("subuid", "bailey:200000:65536\n990:400000:131072\n")
	m.write("subgid", "bailey:400000:65536\nbailey:700000:131072\n")
	l := m.open()
	seen := map[Range]bool{}
	for _, id := range []string{"a", "b", "c"} {
		seen[m.allocate(l, id, 0)] = true
	}
	for _, want := range []Range{
		{UID: 400000, GID: 400000, Size: 65536}, // the same where both have them
		{UID: 200000, GID: 700000, Size: 65536},
		{UID: 465536, GID: 765536, Size: 65536},
	} {
		if !seen[want] {
			t.Errorf("no %v in %v", want, seen)
		}
	}
}

// What of the account's ranges belongs to others is not handed out.
func TestOthers(t *testing.T) {
	m := newMachine(t, "200000:655360")
	m.write("subuid", "bailey:200000:655360\nalice:200100:10\nalice:x:10\n")
	m.write("passwd", "bob:x:270000:5::/:\n")
	m.write("group", "staff:x:340000:\n")
	l := m.open()
	for i := range 8 {
		r := m.allocate(l, string(rune('a'+i)), 65536/2)
		for _, id := range []uint64{200100, 270000} {
			if r.users().contains(span{id, id + 1}) {
				t.Errorf("%v has user %d", r, id)
			}
		}
		if r.groups().contains(span{340000, 340001}) {
			t.Errorf("%v has group 340000", r)
		}
	}
}

func TestLiveMaps(t *testing.T) {
	m := newMachine(t, "200000:262144") // 4 units
	m.process(7, "0 1000 1\n1 265000 1000\n")
	l := m.open()
	got := m.allocate(l, "a", 0)
	if got.UID != 331072 {
		t.Errorf("with the first of two units in use: %v", got)
	}
	if h := m.holders(l); !strings.Contains(h, "foreign process 7 (thief) 265000-265999") {
		t.Error(h)
	}
	m.allocate(l, "b", 0)
	if _, err := l.Allocate(Request{ID: "c", StateRoot: "/r"}); !errors.Is(err, ErrExhausted) || !strings.Contains(cause(err), "process 7 (thief)") {
		t.Errorf("%v", cause(err))
	}
	m.ends(7)
	m.allocate(l, "c", 0)
	m.allocate(l, "d", 0)
}

// A namespace that is left over from a container keeps its range from being handed out again.
func TestLeftoverNamespace(t *testing.T) {
	m := newMachine(t, "200000:65536")
	l := m.open(resting(time.Nanosecond))
	r := m.allocate(l, "a", 0)
	m.process(9, "0 200000 65536\n")
	m.release(l, "a")
	time.Sleep(2 * time.Millisecond)
	if _, err := l.Allocate(Request{ID: "b", StateRoot: "/r"}); !errors.Is(err, ErrExhausted) {
		t.Errorf("%v", err)
	}
	m.ends(9)
	if again := m.allocate(l, "b", 0); again.users() != r.users() {
		t.Errorf("%v", again)
	}
}

// Processes without a map of their own have the users of a range, too.
func TestInhabited(t *testing.T) {
	m := newMachine(t, "200000:131072")
	l := m.open()
	l.hasProcess = func(user uint64) bool { return user == 201000 }
	if got := m.allocate(l, "a", 0); got.UID != 265536 {
		t.Errorf("%v", got)
	}
	if h := m.holders(l); !strings.Contains(h, "foreign processes of user 201000 201000") {
		t.Error(h)
	}
}

func TestRest(t *testing.T) {
	m := newMachine(t, "200000:131072")
	l := m.open()
	a, b := m.allocate(l, "a", 0), m.allocate(l, "b", 0)
	m.release(l, "b")
	time.Sleep(3 * time.Millisecond)
	m.release(l, "a")
	if _, err := m.open(strict).Allocate(Request{ID: "c", StateRoot: "/r"}); !errors.Is(err, ErrExhausted) ||
		!strings.Contains(cause(err), "2 with 131072 IDs rest, the first until ") {
		t.Errorf("%q", cause(err))
	}
	c := m.allocate(l, "c", 0)
	if !c.Early || c.users() != b.users() {
		t.Errorf("%+v instead of what has rested longest", c)
	}
	m.release(l, "c")
	time.Sleep(5 * time.Millisecond)
	later := m.open(resting(time.Millisecond))
	if d := m.allocate(later, "d", 0); d.Early || d.users() != a.users() {
		t.Errorf("%+v", d)
	}
}

// A creator that was killed before there was a state directory.
func TestGarbage(t *testing.T) {
	m := newMachine(t, "200000:131072")
	l := m.open()
	m.process(5, "0 0 4294967295\n")
	_, err := l.Allocate(Request{ID: "a", StateRoot: m.path("run"), Creator: Process{PID: 5, Start: 77}})
	m.must(err)
	m.allocate(l, "b", 0)
	full := func(when string) {
		t.Helper()
		if _, err := l.Allocate(Request{ID: "c", StateRoot: m.path("run")}); !errors.Is(err, ErrExhausted) {
			t.Errorf("%s: %v", when, err)
		}
	}
	full("while both live")
	m.ends(5)
	m.process(6, "0 200100 10\n")
	full("while a process has the IDs")
	m.ends(6)
	if c := m.allocate(l, "c", 0); c.UID != 200000 {
		t.Error(c)
	}
}

func TestReboot(t *testing.T) {
	m := newMachine(t, "200000:262144")
	l := m.open()
	a := m.allocate(l, "a", 0)
	m.write("boot", laterBoot)
	if got := m.holders(l); got != "resting a 200000-265535" {
		t.Error(got)
	}
	m.release(l, "a")
	if b := m.allocate(m.open(), "b", 0); b.users().overlaps(a.users()) {
		t.Errorf("%v at once after a boot", b)
	}
	for _, id := range []string{"c", "d", "e"} {
		m.allocate(l, id, 0)
	}
	if _, err := l.Allocate(Request{ID: "f", StateRoot: "/r"}); !errors.Is(err, ErrExhausted) {
		t.Error(err)
	}
}

// What did not reach the disk before a loss of power is no reason not to start containers.
func TestTornByLossOfPower(t *testing.T) {
	m := newMachine(t, "200000:262144")
	l := m.open()
	for _, id := range []string{"a", "b", "c"} {
		m.allocate(l, id, 0)
	}
	f, err := os.OpenFile(m.path("ids/ids"), os.O_RDWR, 0)
	m.must(err)
	f.WriteAt([]byte("garbage"), 2*slotSize+10)
	f.Truncate(3*slotSize + 5)
	f.Close()
	os.Truncate(m.path("ids/names"), 3)
	m.write("boot", laterBoot)
	l = m.open()
	if got := m.holders(l); got != "resting ? 200000-265535" {
		t.Error(got)
	}
	m.allocate(l, "d", 0)
}

func TestDamage(t *testing.T) {
	for name, tc := range map[string]struct {
		file   string
		damage func(data []byte) []byte
		want   string
	}{
		"flipped bit":   {"ids", func(b []byte) []byte { b[slotSize+20] ^= 1; return b }, "slot 1, at byte 64: its checksum is wrong"},
		"header":        {"ids", func(b []byte) []byte { b[20] ^= 1; return b }, "slot 0, at byte 0: its checksum is wrong"},
		"other file":    {"ids", func([]byte) []byte { return []byte(strings.Repeat("bailey\n", 100)) }, "not a table of IDs"},
		"empty":         {"ids", func([]byte) []byte { return nil }, "not a regular file of 64 to"},
		"name":          {"names", func(b []byte) []byte { b[30] ^= 1; return b }, "name 0, at byte 0"},
		"name of other": {"names", func(b []byte) []byte { return append(b[nameSize:nameSize*2:nameSize*2], b...) }, "allocation 2"},
		"no names":      {"names", func([]byte) []byte { return nil }, "name 0"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "200000:655360")
			l := m.open()
			m.allocate(l, "a", 0)
			m.allocate(l, "b", 0)
			data, err := os.ReadFile(m.path("ids/" + tc.file))
			m.must(err)
			m.write("ids/"+tc.file, string(tc.damage(data)))
			_, err = m.open().Allocate(Request{ID: "a", StateRoot: m.path("run")})
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), m.path("ids/"+tc.file)) {
				t.Errorf("%v", err)
			}
			if _, remedy := fault.Explain(err); !strings.Contains(remedy, "check --repair") {
				t.Errorf("%q", remedy)
			}
		})
	}
}

// A write that was cut short was never counted on.
func TestTornTail(t *testing.T) {
	m := newMachine(t, "200000:655360")
	l := m.open()
	m.allocate(l, "a", 0)
	data, err := os.ReadFile(m.path("ids/ids"))
	m.must(err)
	m.write("ids/ids", string(append(data, data[slotSize:slotSize+30]...)))
	m.allocate(l, "b", 0)
	if got := m.holders(l); got != "held a 200000-265535\nheld b 265536-331071" {
		t.Error(got)
	}
}

func TestNoLines(t *testing.T) {
	m := newMachine(t)
	_, err := m.open().Allocate(Request{ID: "a", StateRoot: "/r"})
	c, remedy := fault.Explain(err)
	if !errors.Is(err, ErrNoRanges) || !strings.Contains(c, m.path("subuid")+" and "+m.path("subgid")) || remedy != "as root: bailey ids setup" {
		t.Errorf("%v: %q, %q", err, c, remedy)
	}
}

func TestExhausted(t *testing.T) {
	m := newMachine(t, "200000:393216")
	l := m.open()
	for i := range 6 {
		m.allocate(l, "web-"+string(rune('a'+i)), 0)
	}
	_, err := l.Allocate(Request{ID: "g", StateRoot: m.path("run")})
	c, remedy := fault.Explain(err)
	for _, want := range []string{"393216 IDs (200000-593215)", "6 ranges with 393216 IDs are held by web-", " and 2 more"} {
		if !strings.Contains(c, want) {
			t.Errorf("no %q in %q", want, c)
		}
	}
	if want := `add the line "bailey:1879048192:1048576" to ` + m.path("subuid"); !strings.Contains(remedy, want) {
		t.Errorf("%q", remedy)
	}
}

func TestRefused(t *testing.T) {
	m := newMachine(t, "200000:65536")
	l := m.open()
	for _, q := range []Request{
		{StateRoot: "/r"}, {ID: strings.Repeat("x", 256), StateRoot: "/r"}, {ID: "a"}, {ID: "a", StateRoot: "run"},
		{ID: "a", StateRoot: "/" + strings.Repeat("x", maxRoot)},
	} {
		if _, err := l.Allocate(q); err == nil {
			t.Errorf("%+v", q)
		}
	}
	if _, err := l.Allocate(Request{ID: "a", StateRoot: "/r", Size: 1<<32 - 1}); !errors.Is(err, ErrExhausted) {
		t.Error(err)
	}
}

func TestDirectoryOfOthers(t *testing.T) {
	m := newMachine(t, "200000:65536")
	m.must(os.Mkdir(m.path("ids"), 0o700))
	m.must(os.Chmod(m.path("ids"), 0o777))
	if _, err := m.open().Allocate(Request{ID: "a", StateRoot: "/r"}); err == nil || !strings.Contains(err.Error(), "others can change") {
		t.Error(err)
	}
}

func cause(err error) string {
	c, _ := fault.Explain(err)
	return c
}

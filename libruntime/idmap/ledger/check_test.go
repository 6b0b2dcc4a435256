package ledger

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// problems returns "kind where: what" of all, with a + before those that were repaired.
func (m *machineDir) problems(l *Ledger, repair bool) string {
	m.Helper()
	list, err := l.Check(repair)
	m.must(err)
	var lines []string
	for _, p := range list {
		sign := ""
		if p.Repaired {
			sign = "+"
		}
		lines = append(lines, fmt.Sprintf("%s%s %s: %s", sign, p.Kind, strings.ReplaceAll(p.Where, m.dir+"/", ""), p.What))
	}
	return strings.ReplaceAll(strings.Join(lines, "\n"), m.dir+"/", "")
}

func TestCheckFindsNothing(t *testing.T) {
	m := newMachine(t, "200000:655360")
	l := m.open()
	for _, repair := range []bool{false, true} {
		if got := m.problems(l, repair); got != "" {
			t.Error(got)
		}
	}
	m.allocate(l, "a", 0)
	m.process(7, "0 200000 65536\n")
	m.process(8, "0 200100 10\n") // in a namespace inside
	m.process(9, "0 0 65536\n")   // nobody else's IDs
	for _, repair := range []bool{false, true} {
		if got := m.problems(l, repair); got != "" {
			t.Error(got)
		}
	}
}

func TestCheckAccounts(t *testing.T) {
	m := newMachine(t, "200000:655360")
	m.write("subuid", "alice:100000:150000\nbailey:200000:655360\nrubbish\nbob:900000:10\nbob:900005:10\n")
	m.write("passwd", "carol:x:300000:5::/:\n")
	want := "line subuid: the line \"rubbish\" means nothing, so it grants nothing\n" +
		"overlap subuid: the IDs 200000-249999 are granted to alice and bailey\n" +
		"name subuid: bailey is granted the ID 300000, which is that of carol in passwd\n" +
		"overlap subuid: the IDs 900005-900009 are granted to bob twice"
	if got := m.problems(m.open(), false); got != want {
		t.Error(got)
	}
}

func TestCheckStale(t *testing.T) {
	m := newMachine(t, "200000:655360")
	l := m.open()
	for _, id := range []string{"a", "b", "c"} {
		m.allocate(l, id, 0)
	}
	m.must(os.RemoveAll(m.path("run/b")))
	want := "stale b (run): it has no state directory and no process, but holds the IDs 265536-331071"
	if got := m.problems(l, false); got != want {
		t.Error(got)
	}
	if got := m.problems(l, true); got != "+"+want {
		t.Error(got)
	}
	if got := m.problems(l, false); got != "" {
		t.Error(got)
	}
	if got := m.holders(l); !strings.Contains(got, "resting b") {
		t.Error(got)
	}
}

func TestCheckLive(t *testing.T) {
	m := newMachine(t, "200000:655360")
	l := m.open()
	m.allocate(l, "a", 0)
	m.process(7, "0 250000 65536\n")
	want := "live process 7 (thief): it maps the IDs 265536-315535 of account bailey, which were not handed out to it"
	for _, repair := range []bool{false, true} {
		if got := m.problems(l, repair); got != want {
			t.Error(got)
		}
	}
	// From the look on nobody is given them.
	if r := m.allocate(l, "b", 0); r.UID != 331072 {
		t.Error(r)
	}
}

// What has ended has no use for IDs, though nobody has waited for it; a process whose first thread alone has ended has.
func TestCheckZombie(t *testing.T) {
	m := newMachine(t, "200000:655360")
	l := m.open()
	m.allocate(l, "a", 0)
	m.process(7, "0 250000 65536\n")
	m.zombie(7, 1)
	if got := m.problems(l, false); got != "" {
		t.Error(got)
	}
	m.zombie(7, 2)
	if got := m.problems(l, false); !strings.HasPrefix(got, "live process 7 (thief)") {
		t.Error(got)
	}
}

func TestCheckLost(t *testing.T) {
	m := newMachine(t, "200000:655360")
	l := m.open()
	m.allocate(l, "a", 0)
	m.write("subuid", "bailey:300000:655360\n")
	if got := m.problems(l, true); got != "lost a (run): its IDs 200000-265535 are not account bailey's any more" {
		t.Error(got)
	}
}

func TestRepair(t *testing.T) {
	for name, damage := range map[string]func(m *machineDir){
		"slot":    func(m *machineDir) { flip(m, "ids", slotSize+20) },
		"header":  func(m *machineDir) { flip(m, "ids", 20) },
		"name":    func(m *machineDir) { flip(m, "names", 20) },
		"cut":     func(m *machineDir) { m.must(os.Truncate(m.path("ids/ids"), 0)) },
		"rubbish": func(m *machineDir) { m.write("ids/ids", strings.Repeat("bailey\n", 50)) },
		"names":   func(m *machineDir) { m.must(os.Remove(m.path("ids/names"))) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "200000:655360")
			l := m.open()
			a := m.allocate(l, "a", 0)
			m.allocate(l, "b", 0)
			m.process(7, "0 200000 65536\n")
			m.process(8, "0 265536 65536\n")
			damage(m)
			first := m.problems(m.open(), false)
			if !strings.HasPrefix(first, "damage ids/") {
				t.Errorf("found %q", first)
			}
			if _, err := l.Allocate(Request{ID: "a", StateRoot: m.path("run")}); !errors.Is(err, ErrCorrupt) {
				t.Errorf("a check has changed something: %v", err)
			}
			if got := m.problems(m.open(), true); !strings.HasPrefix(got, "+damage ids/") {
				t.Errorf("repaired %q", got)
			}
			if got := m.problems(m.open(), true); strings.Contains(got, "damage") {
				t.Errorf("afterwards %q", got)
			}
			// What lives keeps what it has, on record or not.
			for i := range 8 {
				if r := m.allocate(l, fmt.Sprint("c", i), 0); r.users().overlaps(a.users()) || r.UID == 265536 {
					t.Errorf("%v was handed out twice", r)
				}
			}
		})
	}
}

func flip(m *machineDir, file string, at int) {
	data, err := os.ReadFile(m.path("ids/" + file))
	m.must(err)
	data[at] ^= 1
	m.write("ids/"+file, string(data))
}

func TestAbandon(t *testing.T) {
	m := newMachine(t, "200000:655360")
	l := m.open()
	m.allocate(l, "a", 0)
	if err := l.Abandon("b", m.path("run")); err == nil || !strings.Contains(err.Error(), "holds none") {
		t.Error(err)
	}
	if err := l.Abandon("a", m.path("run")); !errors.Is(err, ErrInUse) || !strings.Contains(cause(err), "exists") {
		t.Error(err)
	}
	m.must(os.RemoveAll(m.path("run/a")))
	m.process(7, "0 200000 65536\n")
	if err := l.Abandon("a", m.path("run")); !errors.Is(err, ErrInUse) || !strings.Contains(cause(err), "process 7") {
		t.Error(err)
	}
	m.ends(7)
	m.must(l.Abandon("a", m.path("run")))
	if got := m.holders(l); got != "resting a 200000-265535" {
		t.Error(got)
	}
}

func TestConflicts(t *testing.T) {
	m := newMachine(t, "200000:655360")
	m.write("passwd", "root:x:0:0::/:\ncarol:x:2000:5::/:\n")
	m.write("subuid", "bailey:200000:655360\ndock:100000:65536\n")
	l := m.open()
	m.allocate(l, "a", 0) // 200000
	m.allocate(l, "b", 0)
	m.allocate(l, "c", 0)
	m.release(l, "c")
	m.process(7, "0 1500000 65536\n")
	line := func(first, size uint32) specs.LinuxIDMapping { return specs.LinuxIDMapping{HostID: first, Size: size} }
	for _, tc := range []struct {
		first, size uint32
		live        bool
		want        []string
	}{
		{100000, 65536, true, nil},
		{3000000, 65536, true, nil},
		{200000, 65536, true, nil}, // its own
		{100000, 65537, false, []string{"account /linux/uidMappings/0: the IDs 100000-165535 are those of account dock, which has not all of the map's"}},
		{1999, 2, false, []string{"name /linux/uidMappings/0: the IDs 2000 are those of user carol"}},
		{265536, 1, false, []string{
			"container /linux/uidMappings/0: the IDs 265536 are those of container b (" + m.path("run") + ")",
			"account /linux/uidMappings/0: the IDs 265536 are those of account bailey, which only its ledger hands out",
		}},
		{331072, 1, false, []string{
			"resting /linux/uidMappings/0: the IDs 331072 are those of container c (" + m.path("run") + "), which is gone",
			"account /linux/uidMappings/0: the IDs 331072 are those of account bailey, which only its ledger hands out",
		}},
		{1565535, 10, true, []string{"live /linux/uidMappings/0: the IDs 1565535 are those of process 7 (thief)"}},
		{1565535, 10, false, nil},
	} {
		list, err := l.Conflicts([]specs.LinuxIDMapping{line(tc.first, tc.size)}, nil, Against{ID: "a", StateRoot: m.path("run"), Live: tc.live})
		m.must(err)
		var got []string
		for _, c := range list {
			got = append(got, string(c.Kind)+" "+c.String())
		}
		if fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%d+%d: %q, want %q", tc.first, tc.size, got, tc.want)
		}
	}
	groups, err := l.Conflicts(nil, []specs.LinuxIDMapping{line(5000000, 1), line(200000, 65536)}, Against{})
	m.must(err)
	if len(groups) != 2 || groups[0].Kind != WithContainer || groups[0].Origin != "/linux/gidMappings/1" {
		t.Errorf("%v", groups)
	}
}

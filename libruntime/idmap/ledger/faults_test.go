package ledger

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// stepVariable makes the test binary do one thing with a ledger: "allocate DIR ID", "release DIR ID", "repair DIR".
const stepVariable = "LEDGER_TEST_STEP"

func step(words []string) error {
	l, err := Open(workerOptions(words[1]))
	if err != nil {
		return err
	}
	l.hasProcess = func(uint64) bool { return false }
	switch words[0] {
	case "allocate":
		var r Range
		r, err = l.Allocate(Request{ID: words[2], StateRoot: words[1] + "/run", Size: 1000})
		fmt.Println(r, cause(err))
	case "release":
		err = l.Release(words[2], words[1]+"/run")
	case "repair":
		_, err = l.Check(true)
	}
	return err
}

// Killed right before each of the changes that it makes outside of itself, every operation leaves a ledger that the next one
// works with, in which all that was held still is.
func TestKilledAtEveryChange(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program")
	}
	binary := t.TempDir() + "/faults"
	if out, err := exec.Command("go", "test", "-c", "-tags", "faults", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Skipf("go: %v: %s", err, out)
	}
	fresh := func(*machineDir) {}
	used := func(m *machineDir) {
		l := m.open()
		for _, id := range []string{"a", "b", "c"} {
			m.allocate(l, id, 0)
		}
		m.release(l, "b")
	}
	for name, tc := range map[string]struct {
		prepare func(*machineDir)
		step    string
	}{
		"first allocation":   {fresh, "allocate"},
		"allocation":         {used, "allocate"},
		"after a boot":       {func(m *machineDir) { used(m); m.write("boot", laterBoot) }, "allocate"},
		"of what has rested": {func(m *machineDir) { used(m); m.allocate(m.open(), "d", 0) }, "allocate"},
		"of garbage": {func(m *machineDir) {
			used(m)
			for _, id := range []string{"d", "e"} {
				m.allocate(m.open(), id, 0)
			}
			m.must(os.Remove(m.path("run/e")))
		}, "allocate"},
		"release": {func(m *machineDir) { used(m); m.allocate(m.open(), "new", 0) }, "release"},
		"repair":  {func(m *machineDir) { used(m); flip(m, "ids", 2*slotSize+20); m.must(os.Remove(m.path("run/c"))) }, "repair"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 0; ; n++ {
				if n == 50 {
					t.Fatal("no end")
				}
				m := newMachine(t, "200000:262144") // 4 units
				tc.prepare(m)
				cmd := exec.Command(binary)
				cmd.Env = append(os.Environ(), fmt.Sprintf("BAILEY_FAULT=go %d", n), stepVariable+"="+strings.Join([]string{tc.step, m.dir, "new"}, " "))
				out, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				killed := errors.As(err, &exit) && !exit.Exited()
				if err != nil && !killed {
					t.Fatalf("%d: %v: %s", n, err, out)
				}
				m.afterwards(fmt.Sprintf("killed at %d", n))
				if !killed {
					t.Logf("%d changes", n)
					return
				}
			}
		})
	}
}

// afterwards checks that those who hold something do so alone, and that all is there once they are gone.
func (m *machineDir) afterwards(when string) {
	m.Helper()
	l := m.open()
	if _, err := l.Check(true); err != nil {
		m.Fatalf("%s: %v", when, err)
	}
	if got := m.problems(l, false); got != "" {
		m.Errorf("%s: %s", when, got)
	}
	holders, err := l.Holders()
	m.must(err)
	end := uint64(0)
	for _, h := range holders {
		if h.State != Held {
			continue
		}
		if uint64(h.UID) < end {
			m.Errorf("%s: %s", when, m.holders(l))
		}
		end = uint64(h.UID) + uint64(h.Size)
		m.release(l, h.ID)
	}
	if r := m.allocate(l, "all", 4*unit); r.UID != 200000 {
		m.Errorf("%s: %v", when, r)
	}
}

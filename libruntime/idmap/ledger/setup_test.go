package ledger

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSetup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := newMachine(t)
	m.write("subuid", "alice:1879048192:65536") // without the end of the line
	m.write("subgid", "")
	m.must(os.Chmod(m.path("subuid"), 0o640))
	m.process(7, "0 1880000000 10\n")
	l := m.open()
	said := ""
	setup := func(size uint64) {
		t.Helper()
		said = ""
		m.must(l.Setup(size, func(s string) { said += s + "\n" }))
	}
	setup(0)
	text, _ := os.ReadFile(m.path("subuid"))
	if want := "alice:1879048192:65536\nbailey:1880031232:67108864\n"; string(text) != want {
		t.Errorf("%q, want %q", text, want)
	}
	if groups, _ := os.ReadFile(m.path("subgid")); string(groups) != "bailey:1880031232:67108864\n" {
		t.Errorf("%q", groups)
	}
	var st unix.Stat_t
	if unix.Stat(m.path("subuid"), &st); st.Mode&0o777 != 0o640 {
		t.Errorf("mode %#o", st.Mode)
	}
	for _, size := range []uint64{0, 1000, DefaultGrant} {
		if setup(size); !strings.Contains(said, "nothing to do") {
			t.Errorf("%d: %s", size, said)
		}
	}
	setup(DefaultGrant + 1)
	if again, _ := os.ReadFile(m.path("subuid")); string(again) != string(text)+"bailey:1879113728:65536\n" {
		t.Errorf("%q", again)
	}
	if err := l.Setup(1<<32-1, func(string) {}); err == nil || !strings.Contains(err.Error(), "in a row") {
		t.Error(err)
	}
	m.allocate(l, "a", 0)
	if got := m.problems(l, false); got != "" {
		t.Error(got)
	}
	if left, _ := os.ReadDir(m.dir); len(left) > 10 {
		t.Errorf("%v", left)
	}
}

func TestSetupTakesWhatThereIs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := newMachine(t)
	all := "alice:1:1048575\nalice:1114112:4293853183\n"
	m.write("subuid", all)
	m.write("subgid", all)
	m.must(m.open().Setup(0, func(string) {}))
	if text, _ := os.ReadFile(m.path("subuid")); string(text) != all+"bailey:1048576:65536\n" {
		t.Errorf("%q", text)
	}
}

func TestSetupOfNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := newMachine(t)
	l := m.open(func(o *Options) { o.Account = "nobody-here" })
	if err := l.Setup(0, func(string) {}); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Error(err)
	}
}

// The locks are those of shadow's programs.
func TestLocks(t *testing.T) {
	m := newMachine(t)
	lock := m.path("subuid.lock")
	gone := exec.Command("/bin/true")
	m.must(gone.Run())
	m.write("subuid.lock", strconv.Itoa(gone.Process.Pid)+"\x00")
	m.must(appendLine(m.path("subuid"), "a:1:1\n")) // of a program that has ended
	if _, err := os.Stat(lock); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	m.write("subuid.lock", strconv.Itoa(os.Getppid())+"\x00")
	if err := linkLock(m.path("subuid")); !errors.Is(err, unix.EEXIST) {
		t.Errorf("of one that lives: %v", err)
	}
}

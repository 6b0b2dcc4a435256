package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// machineDir is a machine of the tests' own: its files, its processes, its boot.
type machineDir struct {
	testing.TB
	dir string
}

const (
	testBoot  = "11111111-1111-1111-1111-111111111111\n"
	laterBoot = "22222222-2222-2222-2222-222222222222\n"
)

// newMachine has an account "bailey" with the lines of both files, each "first:size".
func newMachine(t testing.TB, lines ...string) *machineDir {
	t.Helper()
	m := &machineDir{t, t.TempDir()}
	m.write("boot", testBoot)
	m.write("passwd", "root:x:0:0::/root:/bin/sh\nbailey:x:990:990::/:/bin/false\n")
	m.write("group", "root:x:0:\nbailey:x:990:\n")
	text := ""
	for _, l := range lines {
		text += "bailey:" + l + "\n"
	}
	m.write("subuid", text)
	m.write("subgid", text)
	m.process(1, "0 0 4294967295\n")
	m.must(os.Symlink("1", m.path("proc/self")))
	m.must(os.Mkdir(m.path("run"), 0o700))
	return m
}

func (m *machineDir) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machineDir) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *machineDir) write(name, text string) {
	m.Helper()
	m.must(os.WriteFile(m.path(name), []byte(text), 0o600))
}

// process makes a process with ID maps.
func (m *machineDir) process(pid int, maps string) {
	m.Helper()
	dir := fmt.Sprintf("proc/%d", pid)
	m.must(os.MkdirAll(m.path(dir), 0o700))
	m.write(dir+"/uid_map", maps)
	m.write(dir+"/gid_map", maps)
	m.write(dir+"/comm", "thief\n")
	m.write(dir+"/stat", fmt.Sprintf("%d (a) b) S%s 77 0\n", pid, strings.Repeat(" 0", 18)))
}

// zombie has a process end that nobody waits for; others of its threads may go on.
func (m *machineDir) zombie(pid, threads int) {
	m.write(fmt.Sprintf("proc/%d/stat", pid), fmt.Sprintf("%d (a) b) Z%s %d 0 77 0\n", pid, strings.Repeat(" 0", 16), threads))
}

// ends ends a process.
func (m *machineDir) ends(pid int) { m.must(os.RemoveAll(m.path(fmt.Sprintf("proc/%d", pid)))) }

// container makes the state directory of a container.
func (m *machineDir) container(id string) { m.must(os.MkdirAll(m.path("run/"+id), 0o700)) }

func (m *machineDir) options() Options {
	return Options{
		Account: "bailey", Dir: m.path("ids"),
		Paths: Paths{
			SubUID: m.path("subuid"), SubGID: m.path("subgid"), Passwd: m.path("passwd"), Group: m.path("group"),
			Proc: m.path("proc"), BootID: m.path("boot"), MachineID: m.path("machine-id"),
		},
	}
}

// open opens the machine's ledger.
func (m *machineDir) open(change ...func(*Options)) *Ledger {
	m.Helper()
	o := m.options()
	for _, f := range change {
		f(&o)
	}
	l, err := Open(o)
	m.must(err)
	l.hasProcess = func(uint64) bool { return false }
	m.Cleanup(l.Close)
	return l
}

// allocate makes a container, release removes it.
func (m *machineDir) allocate(l *Ledger, id string, size uint32) Range {
	m.Helper()
	m.container(id)
	r, err := l.Allocate(Request{ID: id, StateRoot: m.path("run"), Size: size})
	if err != nil {
		m.Fatalf("allocate %s: %v", id, err)
	}
	return r
}

func (m *machineDir) release(l *Ledger, id string) {
	m.Helper()
	m.must(l.Release(id, m.path("run")))
	m.must(os.RemoveAll(m.path("run/" + id)))
}

func resting(d time.Duration) func(*Options) { return func(o *Options) { o.Rest = d } }
func strict(o *Options)                      { o.Strict = true }

// holders returns "state id range" of all.
func (m *machineDir) holders(l *Ledger) string {
	m.Helper()
	list, err := l.Holders()
	m.must(err)
	var lines []string
	for _, h := range list {
		lines = append(lines, fmt.Sprintf("%v %s %v", h.State, h.ID, h.Range))
	}
	return strings.Join(lines, "\n")
}

package idmap

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// sleeper starts a process in a new user namespace without maps.
func sleeper(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	if err := cmd.Start(); err != nil {
		t.Skipf("no user namespace: %v", err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

func readMap(t *testing.T, pid int, file string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, ",")
}

func TestWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	pid := sleeper(t)
	uids := []plan.IDMapping{{Container: 0, Host: 100000, Size: 1000}, {Container: 1000, Host: 5000, Size: 1}}
	gids := []plan.IDMapping{{Container: 0, Host: 200000, Size: 10}}
	if err := Write(pid, uids, gids); err != nil {
		t.Fatal(err)
	}
	if got := readMap(t, pid, "uid_map"); got != "0 100000 1000,1000 5000 1" {
		t.Errorf("uid_map %q", got)
	}
	if got := readMap(t, pid, "gid_map"); got != "0 200000 10" {
		t.Errorf("gid_map %q", got)
	}
	err := Write(pid, uids, gids)
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "/linux/gidMappings") {
		t.Errorf("a second time: %v", err)
	}
}

func TestWriteAllLinesTheKernelTakes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	pid := sleeper(t)
	var maps []plan.IDMapping
	for i := range uint32(maxLines) {
		maps = append(maps, plan.IDMapping{Container: i, Host: 1000 + i*2, Size: 1})
	}
	if err := Write(pid, maps, maps); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(readMap(t, pid, "uid_map"), ",") + 1; got != maxLines {
		t.Errorf("%d lines", got)
	}
}

func TestLimits(t *testing.T) {
	many := make([]plan.IDMapping, maxLines+1)
	if _, err := format(users, many); err == nil || !strings.Contains(err.Error(), "/linux/uidMappings") {
		t.Errorf("too many lines: %v", err)
	}
	long := make([]plan.IDMapping, maxLines)
	for i := range long {
		long[i] = plan.IDMapping{Container: 4000000000, Host: 4000000000, Size: 1}
	}
	if _, err := format(groups, long); err == nil {
		t.Error("more than a page was accepted")
	}
}

func TestGone(t *testing.T) {
	if err := Write(1<<30, []plan.IDMapping{{Size: 1}}, nil); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
}

func TestCovered(t *testing.T) {
	spans := []span{{300, 10}, {100, 100}, {200, 50}}
	for _, tc := range []struct {
		first, size uint64
		want        bool
	}{
		{100, 100, true}, {100, 150, true}, {150, 100, true}, {100, 151, false}, {99, 2, false},
		{300, 10, true}, {300, 11, false}, {250, 1, false}, {0, 0, true},
	} {
		if got := covered(spans, tc.first, tc.size); got != tc.want {
			t.Errorf("%d+%d: %v", tc.first, tc.size, got)
		}
	}
}

func TestParseSubIDs(t *testing.T) {
	text := "alice:100000:65536\n1000:300000:10\n# comment\nbob:1:2\nalice:x:1\nalice:1:99999999999\n"
	got := parseSubIDs(text, "alice", "1000")
	if len(got) != 2 || got[0] != (span{100000, 65536}) || got[1] != (span{300000, 10}) {
		t.Errorf("got %v", got)
	}
	if got := parseSubIDs(":5:6\n", "", "7"); got != nil {
		t.Errorf("an empty name matched: %v", got)
	}
}

package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Shims returns the process IDs of shims, of those that serve the container id if there is one.
func Shims(t testing.TB, id ...string) []int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	Must(t, err)
	var pids []int
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			continue // it has ended
		}
		args := strings.Split(string(data), "\x00")
		if !strings.HasPrefix(filepath.Base(args[0]), "containerd-shim-") || len(id) > 0 && !slices.Contains(args, id[0]) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p)))
		Must(t, err)
		pids = append(pids, pid)
	}
	return pids
}

// Descriptors returns how many files a process has open.
func Descriptors(t testing.TB, pid int) int {
	t.Helper()
	list, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	Must(t, err)
	return len(list)
}

// Resident returns the resident memory of a process, in KiB.
func Resident(t testing.TB, pid int) int {
	t.Helper()
	rollup, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	Must(t, err)
	for line := range strings.Lines(string(rollup)) {
		if f := strings.Fields(line); f[0] == "Rss:" {
			n, err := strconv.Atoi(f[1])
			Must(t, err)
			return n
		}
	}
	t.Fatalf("process %d has no memory", pid)
	return 0
}

package containerd

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// serving returns those that serve containers, without the ones that start or clean up after those.
func serving(t testing.TB) []int {
	t.Helper()
	return slices.DeleteFunc(engine.Shims(t), func(pid int) bool {
		data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		return !strings.Contains(string(data), "-id") || strings.HasSuffix(string(data), "start\x00") || strings.HasSuffix(string(data), "delete\x00")
	})
}

// shim returns the one shim of a container.
func shim(t testing.TB, id string) int {
	t.Helper()
	pids := engine.Shims(t, id)
	if len(pids) != 1 {
		t.Fatalf("%d shims of %s, want 1", len(pids), id)
	}
	return pids[0]
}

// children returns the states of a process's children by their process IDs.
func children(t testing.TB, parent int) map[int]string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	found := make(map[int]string)
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		if f[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p)))
			must(t, err)
			found[pid] = f[0]
		}
	}
	return found
}

// alive reports whether a process has not ended. Nobody need have waited for it: process 1 of the sandbox does not.
func alive(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	text := string(data)
	return err == nil && !strings.HasPrefix(text[strings.LastIndexByte(text, ')')+1:], " Z")
}

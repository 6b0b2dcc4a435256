// Package engine is what the tests with engines share: the runtimes and the checks that are made with each, images made here, and
// what is looked for when a container is gone. Tests run in scripts/sandbox, where everything that is left dies with them.
package engine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Built returns the directory with the engines that are built and with the counts; without it, or out of a sandbox, there
// is no test.
func Built(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("BAILEY_ENGINES")
	if dir == "" || os.Getenv("SANDBOX_TAG") == "" {
		t.Skip("not in scripts/sandbox: make test-engines")
	}
	return dir
}

// Bin returns the directory with bailey's programs.
func Bin(t testing.TB) string {
	t.Helper()
	Built(t)
	return os.Getenv("BAILEY_BIN")
}

// View is the cgroup view of the sandbox: v1, v2 or hybrid.
func View() string {
	switch {
	case Exists("/sys/fs/cgroup/cgroup.controllers"):
		return "v2"
	case Exists("/sys/fs/cgroup/unified"):
		return "hybrid"
	}
	return "v1"
}

// V2Has reports whether cgroup v2 has a controller here.
func V2Has(controller string) bool {
	b, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	return strings.Contains(" "+strings.TrimSpace(string(b))+" ", " "+controller+" ")
}

// HasController reports whether a limit of this kind can be had here.
func HasController(name string) bool { return View() != "v2" || V2Has(name) }

// Cgroup returns the path of the cgroup, below which tests make all of theirs, with parts added.
func Cgroup(parts ...string) string {
	return "/" + os.Getenv("SANDBOX_TAG") + "/" + strings.Join(parts, "/")
}

// Exists reports whether there is a file.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Need skips the test where a program is missing, and returns its path.
func Need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("no %s", program)
	}
	return path
}

// Must ends the test after an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Contains returns an error if a text lacks a part.
func Contains(text, part string) error {
	if !strings.Contains(text, part) {
		return fmt.Errorf("%q lacks %q", text, part)
	}
	return nil
}

// Eventually waits until something holds.
func Eventually(t testing.TB, what string, holds func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = holds(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// Parallel calls do with 0 to n-1, ten at a time.
func Parallel(n int, do func(i int)) {
	var group sync.WaitGroup
	slots := make(chan struct{}, 10)
	for i := range n {
		slots <- struct{}{}
		group.Go(func() {
			do(i)
			<-slots
		})
	}
	group.Wait()
}

// TellLog shows what a daemon has last said, if the test has failed.
func TellLog(t testing.TB, path string) {
	t.Helper()
	if t.Failed() {
		log, _ := os.ReadFile(path)
		lines := strings.Split(strings.TrimSpace(string(log)), "\n")
		t.Logf("the daemon's log:\n%s", strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}

// SetPolicy makes this the machine's policy until the end of the test.
func SetPolicy(t testing.TB, text string) {
	t.Helper()
	Must(t, os.MkdirAll("/etc/bailey", 0o755))
	Must(t, os.WriteFile("/etc/bailey/policy.toml", []byte(text), 0o644))
	t.Cleanup(func() { _ = os.Remove("/etc/bailey/policy.toml") })
}

// Inventory is what containers leave if they leave something.
type Inventory map[string]bool

// TakeInventory tells the mounts and the cgroups of the sandbox, its processes without those that skip names, and the files
// that patterns match.
func TakeInventory(t testing.TB, skip func(command string) bool, patterns ...string) Inventory {
	t.Helper()
	found := make(Inventory)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	Must(t, err)
	for line := range strings.Lines(string(mounts)) {
		found["mount "+strings.Fields(line)[4]] = true
	}
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		dirs, err := filepath.Glob(top + Cgroup("*"))
		Must(t, err)
		for _, dir := range dirs {
			if st, err := os.Stat(dir); err == nil && st.IsDir() {
				found["cgroup "+dir] = true
			}
		}
	}
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		Must(t, err)
		for _, f := range files {
			found[f] = true
		}
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	Must(t, err)
	for _, f := range commands {
		// What has ended has no command line, and what waits for its parent is the parent's affair.
		if b, err := os.ReadFile(f); err == nil && len(b) > 0 {
			if command := strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", " ")); skip == nil || !skip(command) {
				found["process "+filepath.Base(filepath.Dir(f))+" "+command] = true
			}
		}
	}
	return found
}

// Compare waits until nothing is there that was not there before.
func (i Inventory) Compare(t testing.TB, now func() Inventory) {
	t.Helper()
	Eventually(t, "nothing is left", func() error {
		for what := range now() {
			if !i[what] {
				return fmt.Errorf("there is %s", what)
			}
		}
		return nil
	})
}

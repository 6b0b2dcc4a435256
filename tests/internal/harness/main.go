package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// base is the directory that everything of this test process lies in. Other users may pass through it, as
// containers with a user namespace have to on their way to their root filesystem.
var base string

// Main runs a package's tests; to be called by its TestMain.
func Main(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Geteuid() != 0 {
		return m.Run() // every test skips itself and says why
	}
	dir, err := os.MkdirTemp("", "bt-")
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	if err == nil {
		err = reapOrphans()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	base = dir
	return m.Run()
}

// NeedRoot skips the test where it cannot run.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("makes real containers: namespaces, mounts and cgroups, which takes root")
	}
	if base == "" {
		t.Fatal("harness: TestMain does not call harness.Main")
	}
}

// module returns the root directory of this module.
func module() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no go.mod above the working directory")
}

package hooks

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func sh(script string, env ...string) specs.Hook {
	return specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: env}
}

func TestHooksRunInOrderWithStateAndEnvironment(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("LEAK", "1")
	hooks := []specs.Hook{
		sh("cat > out; pwd >> out; echo ${LEAK-none} $A >> out", "A=b"),
		{Path: "/bin/sh", Args: []string{"other-name", "-c", "echo $0 >> out"}},
	}
	if err := Run(context.Background(), "createRuntime", hooks, dir, []byte("STATE\n")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "out"))
	if want := "STATE\n" + dir + "\nnone b\nother-name\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestEmptyEnvironmentStaysEmpty(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("LEAK", "1")
	hook := specs.Hook{Path: "/usr/bin/env", Args: []string{"env", "sh", "-c", "env > out"}}
	if err := Run(context.Background(), "poststop", []specs.Hook{hook}, dir, nil); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "out")); strings.Contains(string(got), "LEAK") {
		t.Errorf("the caller's environment reached the hook: %q", got)
	}
}

func TestDescriptorsDoNotReachAHook(t *testing.T) {
	dir := t.TempDir()
	fd, err := unix.Open(dir, unix.O_RDONLY, 0) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := Run(context.Background(), "poststop", []specs.Hook{sh("ls /proc/$$/fd > out")}, dir, nil); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(filepath.Join(dir, "out"))
	// The shell itself may keep one descriptor of its own above 9.
	for _, f := range strings.Fields(string(got)) {
		if len(f) == 1 && f > "2" {
			t.Errorf("descriptor %s is open in the hook", f)
		}
	}
}

func TestFailureNamesTheHookAndItsText(t *testing.T) {
	dir := t.TempDir()
	hooks := []specs.Hook{sh("true"), sh("echo first >&2; echo second >&2; exit 3"), sh("touch ran")}
	err := Run(context.Background(), "prestart", hooks, dir, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"prestart hook #1", "/hooks/prestart/1", "exit status 3", "first; second"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("a hook ran after the one that failed")
	}
}

func TestMissingHook(t *testing.T) {
	err := Run(context.Background(), "prestart", []specs.Hook{{Path: "/does/not/exist"}}, t.TempDir(), nil)
	if !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("got %v", err)
	}
}

func TestTimeoutKillsTheGroup(t *testing.T) {
	dir := t.TempDir()
	hook := sh("echo waiting >&2; (sleep 3; touch late) & sleep 30")
	seconds := 1
	hook.Timeout = &seconds
	begin := time.Now()
	err := Run(context.Background(), "poststart", []specs.Hook{hook}, dir, nil)
	if err == nil || !strings.Contains(err.Error(), "timeout of 1 s") || !strings.Contains(err.Error(), "waiting") {
		t.Errorf("got %v", err)
	}
	if d := time.Since(begin); d < time.Second || d > 3*time.Second {
		t.Errorf("it took %v", d)
	}
	time.Sleep(3 * time.Second)
	if _, err := os.Stat(filepath.Join(dir, "late")); err == nil {
		t.Error("a child of the hook went on")
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errors.New("interrupted")) })
	err := Run(ctx, "prestart", []specs.Hook{sh("sleep 30")}, t.TempDir(), nil)
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v", err)
	}
}

func TestDaemonDoesNotHoldBack(t *testing.T) {
	begin := time.Now()
	if err := Run(context.Background(), "poststart", []specs.Hook{sh("sleep 5 &")}, t.TempDir(), nil); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestLargeOutputIsCut(t *testing.T) {
	err := Run(context.Background(), "poststop", []specs.Hook{sh("yes x | head -c 100000 >&2; echo END >&2; exit 1")}, t.TempDir(), nil)
	if err == nil || !strings.HasSuffix(err.Error(), "END") || len(err.Error()) > 3*maxOutput {
		t.Errorf("got %d bytes of error", len(err.Error()))
	}
}

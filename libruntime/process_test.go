package libruntime

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654321 20 21"
	for _, name := range []string{"sleep", "a b", "evil) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 1 (", "", ")"} {
		start, state, err := parseStat([]byte("42 (" + name + ")" + rest))
		if err != nil || start != 987654321 || state != 'S' {
			t.Errorf("%q: %d, %c, %v", name, start, state, err)
		}
	}
	for _, s := range []string{"", "42 (x", "42 (x) S 1 2", "42 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x 20"} {
		if _, _, err := parseStat([]byte(s)); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func TestProcessIsNotMistaken(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	p, err := observe(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if alive, err := p.alive(); err != nil || !alive {
		t.Fatalf("alive: %v, %v", alive, err)
	}
	other := process{p.pid, p.start + 1}
	if alive, err := other.alive(); err != nil || alive {
		t.Errorf("one with another start time is alive: %v", err)
	}
	if err := other.signal(unix.SIGKILL); !errors.Is(err, unix.ESRCH) {
		t.Errorf("one with another start time was signalled: %v", err)
	}
	if over, err := p.wait(10); err != nil || over {
		t.Errorf("wait: %v, %v", over, err)
	}
	if err := p.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// A zombie from here on.
	if over, err := p.wait(5000); err != nil || !over {
		t.Errorf("wait: %v, %v", over, err)
	}
	if alive, err := p.alive(); err != nil || alive {
		t.Errorf("a zombie is alive: %v", err)
	}
	_ = cmd.Wait()
	if alive, err := p.alive(); err != nil || alive {
		t.Errorf("a reaped process is alive: %v", err)
	}
	if err := p.signal(unix.SIGKILL); !errors.Is(err, unix.ESRCH) {
		t.Errorf("a reaped process was signalled: %v", err)
	}
	if err := (process{}).signal(unix.SIGKILL); !errors.Is(err, unix.ESRCH) {
		t.Errorf("no process was signalled: %v", err)
	}
}

func TestInnerPID(t *testing.T) {
	if pid, err := innerPID(os.Getpid()); err != nil || pid != os.Getpid() {
		t.Errorf("%d, %v", pid, err)
	}
}

func TestExitStatus(t *testing.T) {
	for ws, want := range map[unix.WaitStatus]int{0: 0, 7 << 8: 7, 9: 137, 15: 143, 255 << 8: 255, 11 | 0x80: 139} {
		if got := exitStatus(ws); got != want {
			t.Errorf("%#x: %d", ws, got)
		}
	}
}

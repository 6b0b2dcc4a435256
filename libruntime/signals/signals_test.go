package signals

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asChild names the test that this process, a copy of the test program, is to execute the body of: one that catches
// signals must not be the one that reports.
const asChild = "BAILEY_TEST_CATCHES"

// catchInChild executes the test anew, after the shell commands prepare. There it catches signals; here it returns nil.
func catchInChild(t *testing.T, prepare string) *Caught {
	t.Helper()
	if os.Getenv(asChild) == t.Name() {
		c, err := Catch()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", prepare+`; exec "$@"`, "sh", self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), asChild+"="+t.Name())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return nil
}

func TestAllAreCaught(t *testing.T) {
	c := catchInChild(t, ":")
	if c == nil {
		return
	}
	if s := c.Next(); s != 0 {
		t.Fatalf("%v out of nowhere", s)
	}
	// The numbers of signal(7) that a program can be sent and that say nothing about itself.
	numbers := []unix.Signal{1, 2, 3, 6, 10, 12, 13, 14, 15, 17, 18, 20, 24, 25, 26, 28, 29, 30, 35, 36, 63, 64}
	for _, s := range numbers {
		if err := unix.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		if ready, err := c.Wait(-1); ready || err != nil {
			t.Fatal(ready, err)
		}
		if got := c.Next(); got != s {
			t.Errorf("%v was sent, %v was caught", s, got)
		}
	}
	// Many at once; none of them may break what other threads do.
	const many = 5000
	sent := make(chan error)
	for range 2 {
		go func() {
			for range many {
				if err := unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGUSR1); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
	}
	caught := 0
	for ended := 0; ended < 2; {
		select {
		case err := <-sent:
			if err != nil {
				t.Fatal(err)
			}
			ended++
		default:
			_ = make([]byte, 64<<10) // keeps the collector of garbage, and with it Go's own signal, at work
			for c.Next() != 0 {
				caught++
			}
		}
	}
	for c.Next() != 0 {
		caught++
	}
	if caught != 2*many {
		t.Errorf("%d signals of %d", caught, 2*many)
	}
}

func TestIgnoredHangupStaysIgnored(t *testing.T) {
	c := catchInChild(t, "trap '' HUP")
	if c == nil {
		return
	}
	for _, s := range []unix.Signal{unix.SIGHUP, unix.SIGTERM} {
		if err := unix.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Next(); s != unix.SIGTERM {
		t.Errorf("caught %v", s)
	}
}

func TestProgramsFindDefaultActions(t *testing.T) {
	if catchInChild(t, ":") == nil {
		return
	}
	cmd := exec.Command("/bin/sh", "-c", "kill -USR1 $$")
	if err := cmd.Run(); err == nil || err.Error() != "signal: user defined signal 1" {
		t.Error(err)
	}
}

func TestWaitForADescriptor(t *testing.T) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[0])
	c := From(ends[0])
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.Close() // its end counts
	if ready, err := c.Wait(int(r.Fd())); !ready || err != nil {
		t.Error(ready, err)
	}
	if _, err := unix.Write(ends[1], []byte{byte(unix.SIGHUP), byte(unix.SIGINT)}); err != nil {
		t.Fatal(err)
	}
	unix.Close(ends[1])
	if s := c.Next(); s != unix.SIGHUP {
		t.Error(s)
	}
	// What has been read from the pipe already counts, too.
	if ready, err := c.Wait(-1); ready || err != nil {
		t.Error(ready, err)
	}
	if s := c.Next(); s != unix.SIGINT {
		t.Error(s)
	}
}

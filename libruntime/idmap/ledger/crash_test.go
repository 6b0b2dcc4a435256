package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// workerVariable makes the test binary one of the processes that the crash test kills: "DIR NAME".
const workerVariable = "LEDGER_TEST_WORKER"

func TestMain(m *testing.M) {
	if dir, name, ok := strings.Cut(os.Getenv(workerVariable), " "); ok {
		if err := work(dir, name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if words := strings.Fields(os.Getenv(stepVariable)); len(words) > 1 {
		if err := step(words); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func removeAll(path string) error { return os.RemoveAll(path) }

// workerOptions are those of a machine in dir whose processes are the real ones.
func workerOptions(dir string) Options {
	m := machineDir{dir: dir}
	o := m.options()
	o.Paths.Proc = "/proc"
	return o
}

// work makes containers and removes them until it is killed. Like a runtime it has a range on record before it
// makes the state directory, and a container says in a file of its own which range it believes to have.
func work(dir, name string) error {
	self, err := Self()
	if err != nil {
		return err
	}
	root := dir + "/run"
	for i := 0; ; i++ {
		l, err := Open(workerOptions(dir))
		if err != nil {
			return err
		}
		l.hasProcess = func(uint64) bool { return false }
		id := fmt.Sprintf("%s-%d", name, i)
		r, err := l.Allocate(Request{ID: id, StateRoot: root, Creator: self})
		if errors.Is(err, ErrExhausted) { // for now: what was killed is still there, some of it for good
			l.Close()
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			return fmt.Errorf("allocate: %w: %s", err, cause(err))
		}
		// Complete under its name or not there at all, as the state of a container is.
		if err := os.Mkdir(root+"/."+id, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(root+"/."+id+"/range", []byte(strconv.FormatUint(uint64(r.UID), 10)), 0o600); err != nil {
			return err
		}
		if err := os.Rename(root+"/."+id, root+"/"+id); err != nil {
			return err
		}
		if i%4 != 0 { // the others stay
			if err := os.RemoveAll(root + "/" + id); err != nil {
				return err
			}
			if err := l.Release(id, root); err != nil {
				return err
			}
		} else if i > 8 {
			old := fmt.Sprintf("%s-%d", name, i-8)
			if err := os.RemoveAll(root + "/" + old); err != nil {
				return err
			}
			if err := l.Release(old, root); err != nil {
				return err
			}
		}
		l.Close()
	}
}

// Fifty processes allocate and release at once, and are killed at random moments. No two containers that
// are left share an ID, what each believes to have is what is on record, and nothing else can be had again.
func TestKilled(t *testing.T) {
	const workers = 50
	span := 6 * time.Second
	if testing.Short() {
		span = 2 * time.Second
	}
	// Room for what the workers hold, and so little more that garbage has to be collected.
	units := workers * 8
	m := newMachine(t, fmt.Sprintf("3000000000:%d", units*unit))
	deadline := time.Now().Add(span)
	var wg sync.WaitGroup
	var mu sync.Mutex
	kills := 0
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for n := 0; time.Now().Before(deadline); n++ {
				// The next generation's containers have other names: those of this one are removed like by an administrator.
				cmd := exec.Command("/proc/self/exe")
				cmd.Env = append(os.Environ(), workerVariable+"="+m.dir+" "+fmt.Sprintf("w%d.%d", w, n))
				var stderr strings.Builder
				cmd.Stderr = &stderr
				if err := cmd.Start(); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Duration(20+rng.IntN(1500)) * time.Millisecond)
				cmd.Process.Kill()
				var exit *exec.ExitError
				if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
					t.Errorf("%v: %s", err, stderr.String())
					return
				}
				mu.Lock()
				kills++
				mu.Unlock()
				left, _ := os.ReadDir(m.path("run"))
				for _, e := range left {
					if strings.HasPrefix(e.Name(), fmt.Sprintf("w%d.%d-", w, n)) && rng.IntN(2) == 0 {
						os.RemoveAll(m.path("run/" + e.Name()))
					}
				}
				for _, e := range left { // of two generations ago nothing is left
					if strings.HasPrefix(e.Name(), fmt.Sprintf("w%d.%d-", w, n-1)) {
						os.RemoveAll(m.path("run/" + e.Name()))
					}
				}
			}
		})
	}
	wg.Wait()
	o := workerOptions(m.dir)
	l, err := Open(o)
	m.must(err)
	defer l.Close()
	l.hasProcess = func(uint64) bool { return false }
	containers := map[string]string{}
	entries, err := os.ReadDir(m.path("run"))
	m.must(err)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			b, err := os.ReadFile(m.path("run/" + e.Name() + "/range"))
			if errors.Is(err, os.ErrNotExist) {
				continue // killed while it removed the container
			}
			m.must(err)
			containers[e.Name()] = string(b)
		}
	}
	holders, err := l.Holders()
	m.must(err)
	count := map[State]int{}
	var end uint64
	for _, h := range holders {
		count[h.State]++
		if h.State != Held {
			continue
		}
		if uint64(h.UID) < end {
			t.Errorf("%v of %s overlaps with the one before it", h.Range, h.ID)
		}
		end = uint64(h.UID) + uint64(h.Size)
		if r, ok := containers[h.ID]; ok && r != fmt.Sprint(h.UID) {
			t.Errorf("%s has %s, on record is %v", h.ID, r, h.Range)
		}
		delete(containers, h.ID)
	}
	for id, r := range containers {
		t.Errorf("%s has %s, nothing is on record", id, r)
	}
	t.Logf("%d processes killed; %v", kills, count)

	// Once the containers are gone everything can be had again.
	m.must(removeAll(m.path("run")))
	if r, err := l.Allocate(Request{ID: "all", StateRoot: m.path("run"), Size: uint32(units * unit)}); err != nil || r.UID != 3000000000 {
		t.Errorf("%v, %v: %s", r, err, cause(err))
	}
}

package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// Whatever containers come and go, in whatever sizes, and whoever is killed: their IDs are their own, they are the
// account's, and in the end all of them are there again.
func TestRandomly(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 0))
			m := newMachine(t)
			m.write("subuid", "bailey:200000:1048576\nbailey:3000000:500000\nalice:300000:1000\n")
			m.write("subgid", "bailey:200000:700000\nbailey:5000000:700000\n")
			usersOf := []span{{200000, 300000}, {301000, 1248576}, {3000000, 3500000}}
			groupsOf := []span{{200000, 900000}, {5000000, 5700000}}
			l := m.open(resting(time.Duration(rng.IntN(4)) * time.Millisecond))
			have := map[string]Range{}
			exhausted := 0
			for i := range 400 {
				id, op := fmt.Sprint("c", rng.IntN(60)), rng.IntN(10)
				switch {
				case op < 5:
					if _, ok := have[id]; ok {
						continue
					}
					size := []uint32{1, 7, 1000, 1024, 4096, 65536, 65536, 65536, 100000, 1 << 18}[rng.IntN(10)]
					m.container(id)
					r, err := l.Allocate(Request{ID: id, StateRoot: m.path("run"), Size: size})
					if errors.Is(err, ErrExhausted) {
						exhausted++
						continue
					}
					m.must(err)
					if r.Size != size || !r.users().in(usersOf) || !r.groups().in(groupsOf) {
						t.Fatalf("%d: %+v for %d", i, r, size)
					}
					for other, o := range have {
						if o.users().overlaps(r.users()) || o.groups().overlaps(r.groups()) {
							t.Fatalf("%d: %s has %v, %s has %v", i, other, o, id, r)
						}
					}
					have[id] = r
				case op < 9:
					m.release(l, id)
					delete(have, id)
				case rng.IntN(20) == 0: // nobody survives a boot
					m.write("boot", fmt.Sprintf("00000000-0000-0000-0000-%012d\n", i))
					clear(have)
					m.must(removeAll(m.path("run")))
					m.must(os.Mkdir(m.path("run"), 0o700))
				default: // the container is gone without a release
					m.must(removeAll(m.path("run/" + id)))
					delete(have, id)
				}
			}
			for id := range have {
				m.release(l, id)
			}
			// All there is: two blocks of the same numbers, and what is left of either side.
			m.must(removeAll(m.path("run")))
			a, err := l.accounts()
			m.must(err)
			for i, b := range a.blocks {
				if _, err := l.Allocate(Request{ID: fmt.Sprint("all", i), StateRoot: "/", Size: uint32(b.size)}); err != nil {
					// Of blocks of the same size any may have been taken; none is larger than those that are left.
					t.Fatalf("%+v: %v: %s", b, err, cause(err))
				}
			}
			if exhausted == 400 {
				t.Error("never any room")
			}
		})
	}
}

// The gaps that the search looks at are those that there are, whatever the order of what is taken.
func TestSorted(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 255, 256, 5000} {
		s := newSpace([]block{{100, 100, 1 << 31}, {1 << 32 / 2, 7, 1<<31 - 200}}, n)
		for range n {
			first := 100 + rng.Uint64N(1<<32-400)
			s.take(span{first, first + 1 + rng.Uint64N(1000)}, span{})
		}
		got := sorted(append([]uint64(nil), s.taken...))
		for i := 1; i < len(got); i++ {
			if got[i-1]>>32 > got[i]>>32 {
				t.Fatalf("%d: %d is out of order", n, i)
			}
		}
		if len(got) != len(s.taken) {
			t.Errorf("%d became %d", len(s.taken), len(got))
		}
	}
}

// Goroutines of one process may share a Ledger.
func TestConcurrently(t *testing.T) {
	m := newMachine(t, fmt.Sprintf("200000:%d", 30*unit))
	l := m.open()
	var mu sync.Mutex
	var have []Range
	var wg sync.WaitGroup
	for g := range 10 {
		wg.Go(func() {
			for i := range 30 {
				id := fmt.Sprintf("c%d-%d", g, i)
				r, err := l.Allocate(Request{ID: id, StateRoot: m.path("run")})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, o := range have {
					if o.users().overlaps(r.users()) {
						t.Errorf("%v and %v", o, r)
					}
				}
				have = append(have, r)
				mu.Unlock()
				// Out of the list first: once it is given back it may be somebody else's at once.
				mu.Lock()
				have = slices.DeleteFunc(have, func(o Range) bool { return o.UID == r.UID })
				mu.Unlock()
				if err := l.Release(id, m.path("run")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

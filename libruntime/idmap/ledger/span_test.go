package ledger

import (
	"math/rand/v2"
	"testing"
)

// The operations on lists of spans do what they do to sets of numbers.
func TestSpans(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const most = 60
	set := func(list []span) (m [most]bool) {
		for _, s := range list {
			for i := s.first; i < s.end; i++ {
				m[i] = true
			}
		}
		return m
	}
	random := func() []span {
		var list []span
		for range rng.IntN(6) {
			first := rng.Uint64N(most - 12)
			list = append(list, span{first, first + rng.Uint64N(12)})
		}
		return list
	}
	for range 5000 {
		a, b := random(), random()
		inA, inB := set(a), set(b)
		a, b = merged(a), merged(b)
		gone, common := set(without(a, b)), set(both(a, b))
		for i := range most {
			if set(a)[i] != inA[i] || gone[i] != (inA[i] && !inB[i]) || common[i] != (inA[i] && inB[i]) {
				t.Fatalf("%v and %v: %d", a, b, i)
			}
		}
		for _, p := range pair(a, b) {
			for i := range p.size {
				if !inA[p.user+i] || !inB[p.group+i] {
					t.Fatalf("%v and %v: %+v", a, b, p)
				}
				inA[p.user+i], inB[p.group+i] = false, false
			}
		}
		left := func(in [most]bool) (n int) {
			for _, is := range in {
				if is {
					n++
				}
			}
			return n
		}
		if left(inA) > 0 && left(inB) > 0 {
			t.Fatalf("%v and %v: some of both are left", a, b)
		}
	}
}

package ledger

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkAllocate10000 is one allocation by a process of its own, with 10,000 ranges held by others in no order.
func BenchmarkAllocate10000(b *testing.B) {
	benchmark(b, func(allocate, _ time.Duration) time.Duration { return allocate })
}

// BenchmarkRelease10000 is the giving back of it.
func BenchmarkRelease10000(b *testing.B) {
	benchmark(b, func(_, release time.Duration) time.Duration { return release })
}

// BenchmarkAllocateEarly is one allocation where 9,999 ranges are held, and the last one has to be given out again.
func BenchmarkAllocateEarly(b *testing.B) {
	m := newMachine(b, fmt.Sprintf("200000:%d", 10001*unit))
	l := m.open()
	fill(b, m, l, 10000)
	m.release(l, "first")
	for b.Loop() {
		r, err := l.Allocate(Request{ID: "new", StateRoot: m.path("run")})
		m.must(err)
		if !r.Early {
			b.Fatal(r)
		}
		m.must(l.Release("new", m.path("run")))
	}
}

func benchmark(b *testing.B, pick func(allocate, release time.Duration) time.Duration) {
	m := newMachine(b, "200000:1000000000")
	fill(b, m, m.open(), 10000)
	total := time.Duration(0)
	n := 0
	for b.Loop() {
		start := time.Now()
		l, err := Open(m.options())
		m.must(err)
		_, err = l.Allocate(Request{ID: "new", StateRoot: m.path("run")})
		m.must(err)
		l.Close()
		allocated := time.Now()
		l, err = Open(m.options())
		m.must(err)
		m.release(l, "new")
		total += pick(allocated.Sub(start), time.Since(allocated))
		n++
		// The next one is to meet the same 10,000.
		t, err := l.open(toRelease)
		m.must(err)
		m.must(t.clear(t.len() - 1))
		t.close()
		l.Close()
	}
	b.ReportMetric(float64(total.Nanoseconds())/float64(n), "ns/op")
}

// fill has n containers hold ranges whose order in the table is random.
func fill(b *testing.B, m *machineDir, l *Ledger, n int) {
	b.Helper()
	m.allocate(l, "first", 0)
	t, err := l.open(toAllocate)
	m.must(err)
	defer t.close()
	for i, at := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		first := uint32(200000 + (at+1)*unit)
		k := key{m.path("run"), fmt.Sprintf("%064d", i)}
		s := newSlot(Held, uint64(i+2), Range{UID: first, GID: first, Size: unit}, k, Process{}, 0, t.now)
		m.must(t.write(t.len(), s, &k))
	}
}

package cgroup

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// warmSpec is typicalSpec with a parent cgroup that exists, as below an engine: only the container's
// own cgroups are made.
func warmSpec(b *testing.B) *specs.Spec {
	s := typicalSpec(b)
	m, err := New("bench", s, Options{})
	if err == nil {
		err = m.Create()
	}
	if err == nil {
		err = m.Destroy()
	}
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkCreateDestroy measures the whole life of a container's cgroups without a process in them.
func BenchmarkCreateDestroy(b *testing.B) {
	needRoot(b)
	s := warmSpec(b)
	for b.Loop() {
		m, err := New("bench", s, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Create(); err != nil {
			b.Fatal(err)
		}
		if err := m.Destroy(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCreate measures what stands on the path of a start: finding the hierarchies, making the
// cgroups with limits, opening what the container's process needs to join.
func BenchmarkCreate(b *testing.B) {
	needRoot(b)
	s := warmSpec(b)
	for b.Loop() {
		m, err := New("bench", s, Options{})
		if err == nil {
			err = m.Create()
		}
		if err != nil {
			b.Fatal(err)
		}
		v2, v1, err := m.JoinFiles()
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if v2 != nil {
			v2.Close()
		}
		for _, f := range v1 {
			f.Close()
		}
		if err := m.Destroy(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkNew(b *testing.B) {
	s := typicalSpec(b)
	for b.Loop() {
		if _, err := New("bench", s, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSettings(b *testing.B) {
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}, CPU: &specs.LinuxCPU{Shares: ptr(uint64(512))}}
	for b.Loop() {
		if _, _, err := settings(r, false); err != nil {
			b.Fatal(err)
		}
	}
}

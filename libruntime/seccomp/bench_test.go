package seccomp

import (
	"path/filepath"
	"testing"
)

func BenchmarkCompile(b *testing.B) {
	cfg := dockerProfile(b)
	for b.Loop() {
		if _, err := Compile(cfg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCacheHit(b *testing.B) {
	cfg := dockerProfile(b)
	c := NewCache(filepath.Join(b.TempDir(), "cache"))
	if _, err := c.Load(cfg); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Load(cfg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	cfg := dockerProfile(b)
	for b.Loop() {
		key(cfg)
	}
}

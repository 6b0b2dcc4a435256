package plan

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/bailey-oci/bailey/spec"
)

// FuzzCompile compiles whatever spec lets through. The plan must hold its order, and printing must not fail.
func FuzzCompile(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint8(0))
		f.Add(data, uint8(0xff))
	}
	f.Fuzz(func(t *testing.T, data []byte, facts uint8) {
		s, err := spec.Parse(data)
		if err != nil || spec.Validate(s) != nil {
			return
		}
		o := machine()
		if facts&1 != 0 {
			cgroup1(&o)
		}
		o.NoPivot, o.Attached, o.InUserNamespace = facts&2 != 0, facts&4 != 0, facts&8 != 0
		o.SetgroupsDenied, o.NoNewKeyring = facts&16 != 0, facts&32 != 0
		if s.Linux.Seccomp != nil {
			o.SeccompProgram = make([]byte, 80)
		}
		if p, err := Compile(s, o); err == nil {
			examine(t, p)
		}
		if s.Process == nil {
			return
		}
		if p, err := CompileExec(s.Process, s, execOptions(o)); err == nil {
			examine(t, p)
		}
	})
}

func examine(t *testing.T, p *Plan) {
	t.Helper()
	for _, err := range p.Check() {
		t.Error(err)
	}
	if t.Failed() {
		t.Log(p.Text())
	}
	if _, err := p.MarshalJSON(); err != nil {
		t.Error(err)
	}
}

func BenchmarkCompile(b *testing.B) {
	all := configurations(b)
	for _, name := range []string{"example", "docker", "pod"} {
		s := all[name]
		o := optionsFor(name, s)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile(s, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	s := configurations(b)["docker"]
	p, err := Compile(s, optionsFor("docker", s))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if len(p.Check()) > 0 {
			b.Fatal("not in order")
		}
	}
}

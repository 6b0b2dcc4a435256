package plan

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

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

// FuzzMount compiles one mount of any kind: options are the words of options, separated by blanks.
func FuzzMount(f *testing.F) {
	f.Add("/proc", "proc", "proc", "nosuid", "")
	f.Add("/a/../proc/uptime", "bind", "u", "rbind,ro rslave", "shared")
	f.Add("/sys/fs/cgroup", "cgroup", "", "ro relatime", "private")
	f.Add("/o", "overlay", "o", `lowerdir=/a\,b:/c context="a,b"`, "unbindable")
	f.Add("x", "tmpfs", "", "tmpcopyup rro", "")
	f.Fuzz(func(t *testing.T, destination, kind, source, options, propagation string) {
		s := small(withMount(specs.Mount{Destination: destination, Type: kind, Source: source,
			Options: strings.Fields(options)}))
		s.Linux.RootfsPropagation = propagation
		if spec.Validate(s) != nil {
			return
		}
		p, err := Compile(s, machine())
		if err != nil {
			return
		}
		examine(t, p)
		for _, op := range p.Ops {
			if a, ok := op.Action.(Attach); ok && (!path.IsAbs(a.Path) || path.Clean(a.Path) != a.Path) {
				t.Errorf("attached at %q", a.Path)
			}
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

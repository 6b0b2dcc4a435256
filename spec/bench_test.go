package spec

import (
	"encoding/json"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// largeConfig returns a configuration of the size that Docker writes: some 30 kilobytes, most of it the
// system call list of the seccomp profile.
func largeConfig(tb testing.TB) []byte {
	tb.Helper()
	s := ExampleHardened(100000, 100000, 65536)
	sc := s.Linux.Seccomp
	for _, call := range sc.Syscalls[0].Names {
		one := uint(1)
		sc.Syscalls = append(sc.Syscalls, specs.LinuxSyscall{
			Names: []string{call, call + "_2"}, Action: specs.ActErrno, ErrnoRet: &one,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: 2114060288, Op: specs.OpMaskedEqual}},
		})
		if data, err := json.MarshalIndent(s, "", "\t"); err != nil {
			tb.Fatal(err)
		} else if len(data) > 30000 {
			return data
		}
	}
	tb.Fatal("the profile is too short")
	return nil
}

func BenchmarkParse(b *testing.B) {
	large := largeConfig(b)
	small, _ := json.MarshalIndent(Example(), "", "\t")
	for name, data := range map[string][]byte{"example": small, "seccomp": large} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	s, err := Parse(largeConfig(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := Validate(s); err != nil {
			b.Fatal(err)
		}
	}
}

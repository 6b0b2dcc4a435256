package seccomp

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func ptr[T any](v T) *T { return &v }

// dockerProfile returns Docker's default profile for a container without capabilities, converted from
// the engines' own format, in which rules depend on capabilities and architectures.
func dockerProfile(tb testing.TB) *specs.LinuxSeccomp {
	tb.Helper()
	const name = "/usr/share/containers/seccomp.json"
	text, err := os.ReadFile(name)
	if err != nil {
		tb.Skipf("%s (of Debian's golang-github-containers-common): %v", name, err)
	}
	type filter struct{ Caps, Arches []string }
	var in struct {
		DefaultAction   specs.LinuxSeccompAction
		DefaultErrnoRet *uint
		Syscalls        []struct {
			specs.LinuxSyscall
			Includes, Excludes filter
		}
	}
	if err := json.Unmarshal(text, &in); err != nil {
		tb.Fatal(err)
	}
	out := &specs.LinuxSeccomp{
		DefaultAction: in.DefaultAction, DefaultErrnoRet: in.DefaultErrnoRet,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
	}
	for _, s := range in.Syscalls {
		if len(s.Includes.Caps) > 0 || len(s.Includes.Arches) > 0 && !slices.Contains(s.Includes.Arches, "amd64") {
			continue
		}
		out.Syscalls = append(out.Syscalls, s.LinuxSyscall)
	}
	return out
}

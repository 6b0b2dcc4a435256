//go:build cgo

package seccomp

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// original returns the program of a profile that is not simplified.
func original(t *testing.T, cfg *specs.LinuxSeccomp) []byte {
	t.Helper()
	prog, err := (&compiler{cfg: cfg}).generate()
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

// interesting returns the numbers that a program compares with, and those next to them.
func interesting(prog []byte) []uint32 {
	all := []uint32{0, 1, 1 << 30, 1<<31 - 1, 1 << 31, ^uint32(0)}
	for i := range len(prog) / insnSize {
		k := insnAt(prog, i).k
		all = append(all, k-1, k, k+1)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// compare runs two programs on calls that are likely to tell them apart. It returns the steps of both.
func compare(t *testing.T, rnd *rand.Rand, a, b []byte) (stepsA, stepsB int) {
	t.Helper()
	numbers := interesting(a)
	arg := func() uint64 {
		low, high := numbers[rnd.IntN(len(numbers))], uint32(0)
		if rnd.IntN(3) == 0 {
			high = numbers[rnd.IntN(len(numbers))]
		}
		return uint64(high)<<32 | uint64(low)
	}
	for _, arch := range []uint32{unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_AARCH64, 0} {
		for _, nr := range numbers {
			for range 3 {
				c := call{nr: nr, arch: arch, args: [6]uint64{arg(), arg(), arg(), arg(), arg(), arg()}}
				want, n := run(t, a, c)
				got, m := run(t, b, c)
				if got != want {
					t.Fatalf("%+v: %#x, want %#x", c, got, want)
				}
				stepsA, stepsB = stepsA+n, stepsB+m
			}
		}
	}
	return stepsA, stepsB
}

func TestSimplifiedDockerProfile(t *testing.T) {
	needAMD64(t)
	cfg := dockerProfile(t)
	cfg.DefaultErrnoRet = nil
	prog := original(t, cfg)
	out := simplify(prog)
	before, after := compare(t, rand.New(rand.NewPCG(1, 2)), prog, out)
	t.Logf("%d instructions instead of %d, %d steps instead of %d", len(out)/insnSize, len(prog)/insnSize, after, before)
	if 3*len(out) > len(prog) || 10*after > before {
		t.Error("not simplified")
	}
}

// Profiles by chance, with every action and operator.
func TestSimplifiedProfiles(t *testing.T) {
	needAMD64(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	names := []string{"read", "write", "open", "close", "stat", "fstat", "mmap", "clone", "fork", "execve", "kill", "fcntl",
		"personality", "prctl", "ioctl", "socket", "openat", "clone3", "futex", "unshare", "setns", "mount", "socketcall"}
	actions := []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActKillProcess, specs.ActTrap, specs.ActLog, specs.ActTrace}
	ops := []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual,
		specs.OpGreaterThan, specs.OpGreaterEqual, specs.OpMaskedEqual}
	archs := []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}
	valid, simplified := 0, 0
	for range 300 {
		cfg := &specs.LinuxSeccomp{DefaultAction: actions[rnd.IntN(len(actions))], Architectures: archs[:1+rnd.IntN(3)]}
		for range 1 + rnd.IntN(12) {
			r := specs.LinuxSyscall{Action: actions[rnd.IntN(len(actions))]}
			for range 1 + rnd.IntN(6) {
				r.Names = append(r.Names, names[rnd.IntN(len(names))])
			}
			for i := range uint(rnd.IntN(3)) {
				r.Args = append(r.Args, specs.LinuxSeccompArg{Index: i, Op: ops[rnd.IntN(len(ops))],
					Value: rnd.Uint64() >> rnd.IntN(64), ValueTwo: rnd.Uint64() >> rnd.IntN(64)})
			}
			cfg.Syscalls = append(cfg.Syscalls, r)
		}
		prog, err := (&compiler{cfg: cfg}).generate()
		if err != nil {
			continue // rules that contradict each other
		}
		valid++
		out := simplify(prog)
		compare(t, rnd, prog, out)
		if !bytes.Equal(prog, out) {
			simplified++
		}
	}
	t.Logf("%d profiles, %d of them simplified", valid, simplified)
	if valid < 100 || simplified < valid*9/10 {
		t.Error("too few")
	}
}

// What is not understood is left as it is.
func TestNotSimplified(t *testing.T) {
	for name, prog := range map[string][]insn{
		"nothing loaded":       {{code: jeq, k: 1}, {code: ret}},
		"the number masked":    {{code: ldAbs}, {code: and, k: 1}, {code: ret}},
		"a bit of the number":  {{code: ldAbs}, {code: jset, k: 1, jt: 1}, {code: ret}, {code: ret, k: allow}},
		"architectures sorted": {{code: ldAbs, k: offArch}, {code: jgt, k: 1, jt: 1}, {code: ret}, {code: ret, k: allow}},
		"scratch memory":       {{code: ldAbs, k: 16}, {code: unix.BPF_ST}, {code: ret}},
	} {
		if in := encode(prog); !bytes.Equal(simplify(in), in) {
			t.Errorf("%s: changed", name)
		}
	}
}

// The check of the result tells every change of a verdict, a number, an architecture and a condition.
func TestSimplifiedIsChecked(t *testing.T) {
	needAMD64(t)
	r := rule(specs.ActAllow, "fcntl")
	r.Args = []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpEqualTo, Value: 5}}
	prog := original(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86},
		Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow, "read", "write", "execve", "openat"), r}})
	out := simplify(prog)
	if bytes.Equal(prog, out) {
		t.Fatal("not simplified")
	}
	for i := range len(out) / insnSize {
		if insnAt(out, i).code == ja {
			continue
		}
		wrong := bytes.Clone(out)
		wrong[i*insnSize+4] ^= 4 // k
		s := &simplifier{known: make(map[node]int)}
		if s.program(prog, boundaries(prog)); s.failed {
			t.Fatal("not followed")
		}
		if Check(wrong) == nil && s.same(prog, wrong) {
			t.Errorf("instruction %d changed: not noticed", i)
		}
	}
}

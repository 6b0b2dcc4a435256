//go:build cgo

package seccomp

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// needAMD64 skips tests that have the numbers of x86-64 in them.
func needAMD64(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the test knows the system call numbers of amd64 only")
	}
}

func compile(t *testing.T, cfg *specs.LinuxSeccomp) *Program {
	t.Helper()
	p, err := Compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// amd64, i386, x32 are calls by number.
func amd64(nr uint32, args ...uint64) call {
	c := call{nr: nr, arch: unix.AUDIT_ARCH_X86_64}
	copy(c.args[:], args)
	return c
}

func i386(nr uint32, args ...uint64) call {
	c := amd64(nr, args...)
	c.arch = unix.AUDIT_ARCH_I386
	return c
}

func x32(nr uint32, args ...uint64) call { return amd64(nr|x32Bit, args...) }

const (
	allow = uint32(unix.SECCOMP_RET_ALLOW)
	eperm = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	kill  = uint32(unix.SECCOMP_RET_KILL_PROCESS)
)

func expect(t *testing.T, p *Program, name string, c call, want uint32) {
	t.Helper()
	if got, _ := run(t, p.Filter, c); got != want {
		t.Errorf("%s (%#x, arch %#x, %#x): %#x, want %#x", name, c.nr, c.arch, c.args, got, want)
	}
}

func TestDockerProfile(t *testing.T) {
	needAMD64(t)
	cfg := dockerProfile(t)
	cfg.DefaultErrnoRet = nil // EPERM, so that the prologue has something to do
	p := compile(t, cfg)
	t.Logf("%d instructions, %d warnings", p.Len(), len(p.Warnings))
	for name, c := range map[string]call{
		"read": amd64(unix.SYS_READ), "read, 32 bit": i386(3), "read, x32": x32(0),
		"execve": amd64(unix.SYS_EXECVE), "openat": amd64(unix.SYS_OPENAT), "execve, x32": x32(520),
		"personality(PER_LINUX)": amd64(unix.SYS_PERSONALITY, 0), "personality(PER_LINUX32)": amd64(unix.SYS_PERSONALITY, 8),
	} {
		expect(t, p, name, c, allow)
	}
	for name, c := range map[string]call{
		"personality(PER_SVR4)": amd64(unix.SYS_PERSONALITY, 0x0001),
		"personality(1 << 32)":  amd64(unix.SYS_PERSONALITY, 1<<32),
		"kexec_load":            amd64(unix.SYS_KEXEC_LOAD),
		"kexec_load, 32 bit":    i386(283),
		"kexec_load, x32":       x32(528),
	} {
		expect(t, p, name, c, eperm)
	}
	for name, c := range map[string]call{"amd64": amd64(500), "i386": i386(500), "x32": x32(500), "amd64 2": amd64(4000), "i386 2": i386(1 << 20)} {
		expect(t, p, "newer, "+name, c, retENOSYS)
	}
	// -1 is how a tracer skips a call: the filter's own answer, whatever the prologue.
	for _, c := range []call{amd64(0xffffffff), i386(0xffffffff)} {
		if got, _ := run(t, p.Filter, c); got == retENOSYS {
			t.Errorf("arch %#x: call -1 is answered by the prologue", c.arch)
		}
	}
	expect(t, p, "foreign architecture", call{nr: 0, arch: unix.AUDIT_ARCH_AARCH64}, kill)
}

func rule(action specs.LinuxSeccompAction, names ...string) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: names, Action: action}
}

func TestX32OnlyWhereListed(t *testing.T) {
	needAMD64(t)
	cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86_64},
		Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow, "read", "write", "exit_group")}}
	p := compile(t, cfg)
	for _, nr := range []uint32{0, 1, 231, 232, 500, 520, 1 << 20} {
		expect(t, p, "x32 in a filter without it", x32(nr), kill)
	}
	expect(t, p, "the i386 read in a filter without it", i386(3), kill)
	expect(t, p, "newest", amd64(unix.SYS_EXIT_GROUP), allow)
	expect(t, p, "older, not listed", amd64(unix.SYS_OPEN), eperm)
	expect(t, p, "newer", amd64(unix.SYS_EXIT_GROUP+1), retENOSYS)
	expect(t, p, "last before x32", amd64(x32Bit-1), retENOSYS)
}

// The native architecture is always in, and an architecture in which the profile names nothing gets
// the default action, not ENOSYS.
func TestArchitectures(t *testing.T) {
	needAMD64(t)
	cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86},
		Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow, "arch_prctl", "mmap2")}}
	p := compile(t, cfg)
	expect(t, p, "amd64", amd64(unix.SYS_ARCH_PRCTL), allow)
	expect(t, p, "i386", i386(192), allow)
	for _, a := range Architectures() {
		cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.Arch(a)},
			Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow, "read")}}
		p, err := Compile(cfg)
		if err != nil {
			// libseccomp cannot mix byte orders in one filter.
			t.Logf("%s: %v", a, err)
			continue
		}
		known, _ := archOf(specs.Arch(a))
		nr, err := libseccomp.GetSyscallFromNameByArch("read", known.lib)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, p, a, call{nr: uint32(nr), arch: known.token}, allow)
		expect(t, p, a, call{nr: uint32(nr) + 300, arch: known.token}, retENOSYS)
	}
}

func TestActions(t *testing.T) {
	needAMD64(t)
	for _, c := range []struct {
		action specs.LinuxSeccompAction
		errno  *uint
		want   uint32
	}{
		{specs.ActKill, nil, unix.SECCOMP_RET_KILL_THREAD},
		{specs.ActKillThread, nil, unix.SECCOMP_RET_KILL_THREAD},
		{specs.ActKillProcess, nil, unix.SECCOMP_RET_KILL_PROCESS},
		{specs.ActTrap, nil, unix.SECCOMP_RET_TRAP},
		{specs.ActErrno, nil, eperm},
		{specs.ActErrno, ptr(uint(0)), unix.SECCOMP_RET_ERRNO},
		{specs.ActErrno, ptr(uint(4094)), unix.SECCOMP_RET_ERRNO | 4094},
		{specs.ActTrace, nil, unix.SECCOMP_RET_TRACE | uint32(unix.EPERM)},
		{specs.ActTrace, ptr(uint(0xffff)), unix.SECCOMP_RET_TRACE | 0xffff},
		{specs.ActLog, nil, unix.SECCOMP_RET_LOG},
		{specs.ActNotify, nil, unix.SECCOMP_RET_USER_NOTIF},
	} {
		r := rule(c.action, "mkdir")
		r.ErrnoRet = c.errno
		cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{r}}
		if c.action == specs.ActNotify {
			cfg.ListenerPath = "/run/listener"
		}
		p := compile(t, cfg)
		expect(t, p, string(c.action), amd64(unix.SYS_MKDIR), c.want)
		expect(t, p, "default", amd64(unix.SYS_RMDIR), allow)
		expect(t, p, "a newer call where the default allows", amd64(3000), allow)
		if p.Notify != (c.action == specs.ActNotify) || (p.Flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0) != p.Notify {
			t.Errorf("%s: notify %v, flags %#x", c.action, p.Notify, p.Flags)
		}
		if c.action == specs.ActNotify {
			continue
		}
		// The same as default action.
		cfg = &specs.LinuxSeccomp{DefaultAction: c.action, DefaultErrnoRet: c.errno, Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow, "mkdir")}}
		p = compile(t, cfg)
		expect(t, p, "default "+string(c.action), amd64(unix.SYS_CHDIR), c.want)
		newer := retENOSYS
		if c.action == specs.ActTrace || c.action == specs.ActLog {
			newer = c.want
		}
		expect(t, p, "newer with default "+string(c.action), amd64(3000), newer)
	}
}

func TestConditions(t *testing.T) {
	needAMD64(t)
	arg := func(op specs.LinuxSeccompOperator, v ...uint64) specs.LinuxSeccompArg {
		a := specs.LinuxSeccompArg{Index: 1, Op: op, Value: v[0]}
		if len(v) > 1 {
			a.ValueTwo = v[1]
		}
		return a
	}
	const big = 0x1_0000_0005 // differs from 5 in the upper half only
	for _, c := range []struct {
		args []specs.LinuxSeccompArg
		yes  []uint64
		no   []uint64
	}{
		{[]specs.LinuxSeccompArg{arg(specs.OpEqualTo, 5)}, []uint64{5}, []uint64{4, 6, big, ^uint64(0)}},
		{[]specs.LinuxSeccompArg{arg(specs.OpNotEqual, 5)}, []uint64{4, 6, big}, []uint64{5}},
		{[]specs.LinuxSeccompArg{arg(specs.OpLessThan, big)}, []uint64{0, 5, big - 1}, []uint64{big, big + 1}},
		{[]specs.LinuxSeccompArg{arg(specs.OpLessEqual, big)}, []uint64{5, big}, []uint64{big + 1, 1 << 40}},
		{[]specs.LinuxSeccompArg{arg(specs.OpGreaterThan, big)}, []uint64{big + 1, 1 << 63}, []uint64{5, big}},
		{[]specs.LinuxSeccompArg{arg(specs.OpGreaterEqual, big)}, []uint64{big, 1 << 63}, []uint64{5, big - 1}},
		{[]specs.LinuxSeccompArg{arg(specs.OpMaskedEqual, 0xf0, 0x30)}, []uint64{0x30, 0x3f, 0xf00000030}, []uint64{0x20, 0x130 | 0x40}},
		// The same argument twice: alternatives.
		{[]specs.LinuxSeccompArg{arg(specs.OpEqualTo, 1), arg(specs.OpEqualTo, 2)}, []uint64{1, 2}, []uint64{0, 3}},
	} {
		r := rule(specs.ActAllow, "fcntl")
		r.Args = c.args
		p := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{r}})
		for _, v := range c.yes {
			expect(t, p, fmt.Sprint(c.args), amd64(unix.SYS_FCNTL, 0, v), allow)
		}
		for _, v := range c.no {
			expect(t, p, fmt.Sprint(c.args), amd64(unix.SYS_FCNTL, 0, v), eperm)
		}
	}
	// Different arguments in one rule: all must hold. A second rule is an alternative.
	both := rule(specs.ActAllow, "fcntl")
	both.Args = []specs.LinuxSeccompArg{{Index: 0, Op: specs.OpEqualTo, Value: 7}, {Index: 2, Op: specs.OpGreaterThan, Value: 9}}
	other := rule(specs.ActAllow, "fcntl")
	other.Args = []specs.LinuxSeccompArg{{Index: 0, Op: specs.OpEqualTo, Value: 8}}
	p := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{both, other}})
	expect(t, p, "both", amd64(unix.SYS_FCNTL, 7, 0, 10), allow)
	expect(t, p, "first only", amd64(unix.SYS_FCNTL, 7, 0, 9), eperm)
	expect(t, p, "second only", amd64(unix.SYS_FCNTL, 6, 0, 10), eperm)
	expect(t, p, "the other rule", amd64(unix.SYS_FCNTL, 8, 0, 0), allow)
}

// A program can be longer than a conditional jump reaches.
func TestLargeProfile(t *testing.T) {
	needAMD64(t)
	cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}}
	for i := range uint64(120) {
		for _, name := range []string{"fcntl", "ioctl", "prctl"} {
			r := rule(specs.ActAllow, name)
			r.Args = []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpEqualTo, Value: 3 * i}}
			cfg.Syscalls = append(cfg.Syscalls, r)
		}
	}
	p := compile(t, cfg)
	t.Logf("%d instructions", p.Len())
	for _, nr := range []uint32{unix.SYS_FCNTL, unix.SYS_IOCTL, unix.SYS_PRCTL} {
		for _, v := range []uint64{0, 3, 357} {
			expect(t, p, "listed", amd64(nr, 0, v), allow)
			expect(t, p, "not listed", amd64(nr, 0, v+1), eperm)
		}
	}
	expect(t, p, "newer", amd64(unix.SYS_PRCTL+1), retENOSYS)
	expect(t, p, "newer, i386", i386(173), retENOSYS)
	expect(t, p, "newer, x32", x32(unix.SYS_PRCTL+1), retENOSYS)

	for i := range uint64(4500) {
		r := rule(specs.ActAllow, "fcntl")
		r.Args = []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpEqualTo, Value: 1000 + i}}
		cfg.Syscalls = append(cfg.Syscalls, r)
	}
	if _, err := Compile(cfg); err == nil || !strings.Contains(fmt.Sprint(fault.Explain(err)), "too large") {
		t.Errorf("a profile that is too large: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	p := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv},
		Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow, "other_such_call", "read"), rule(specs.ActKillProcess, "read", "no_such_call"), rule(specs.ActErrno, "write")}})
	if len(p.Warnings) != 2 || !strings.Contains(p.Warnings[0], "/linux/seccomp/syscalls/1/names/1") || p.Flags != 0 {
		t.Errorf("%q, %#x", p.Warnings, p.Flags)
	}
}

func TestFlags(t *testing.T) {
	p := compile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/x",
		Flags:    []specs.LinuxSeccompFlag{flagTsync, specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagWaitKillableRecv},
		Syscalls: []specs.LinuxSyscall{rule(specs.ActNotify, "mkdir")}})
	if want := uint32(1 | 2 | 4 | 8 | 16 | 32); p.Flags != want {
		t.Errorf("flags %#x, want %#x", p.Flags, want)
	}
	if got := SupportedFlags(); len(got) != len(KnownFlags()) {
		t.Logf("this kernel supports %v", got)
	}
}

func TestRefused(t *testing.T) {
	badArg := rule(specs.ActAllow, "read")
	badArg.Args = []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}
	badOp := rule(specs.ActAllow, "read")
	badOp.Args = []specs.LinuxSeccompArg{{Index: 1, Op: "SCMP_CMP_XX"}}
	badErrno := rule(specs.ActErrno, "read")
	badErrno.ErrnoRet = ptr(uint(4095))
	noErrno := rule(specs.ActKill, "read")
	noErrno.ErrnoRet = ptr(uint(1))
	for _, c := range []struct {
		field string
		cfg   *specs.LinuxSeccomp
	}{
		{"/defaultAction", &specs.LinuxSeccomp{}},
		{"/defaultAction", &specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_XX"}},
		{"/defaultAction", &specs.LinuxSeccomp{DefaultAction: specs.ActNotify, ListenerPath: "/x"}},
		{"/defaultErrnoRet", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, DefaultErrnoRet: ptr(uint(1))}},
		{"/architectures/0", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"SCMP_ARCH_XX"}}},
		{"/flags/0", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"XX"}}},
		{"/listenerMetadata", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerMetadata: "x"}},
		{"/listenerPath", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{rule(specs.ActNotify, "mkdir")}}},
		{"/syscalls/0/names", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{rule(specs.ActKill)}}},
		{"/syscalls/0/action", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{rule("XX", "read")}}},
		{"/syscalls/0/errnoRet", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{badErrno}}},
		{"/syscalls/0/errnoRet", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{noErrno}}},
		{"/syscalls/0/args/0/index", &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{badArg}}},
		{"/syscalls/0/args/0/op", &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{badOp}}},
	} {
		_, err := Compile(c.cfg)
		var f *fault.Error
		if !errors.As(err, &f) || f.Origin != origin+c.field {
			t.Errorf("%s: %v", c.field, err)
		}
	}
	if _, err := Compile(nil); err == nil {
		t.Error("no profile is accepted")
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		prog []insn
		ok   bool
	}{
		{"return", []insn{{code: ret, k: allow}}, true},
		{"empty", nil, false},
		{"no return", []insn{{code: ldAbs}}, false},
		{"jump past the end", []insn{{code: ja, k: 1}, {code: ret}}, false},
		{"jump to the end", []insn{{code: ja, k: 0}, {code: ret}}, true},
		{"jump backwards", []insn{{code: ja, k: 0xffffffff}, {code: ret}}, false},
		{"branch past the end", []insn{{code: jeq, jf: 1}, {code: ret}}, false},
		{"load behind the data", []insn{{code: ldAbs, k: 64}, {code: ret}}, false},
		{"unaligned load", []insn{{code: ldAbs, k: 2}, {code: ret}}, false},
		{"packet load", []insn{{code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS}, {code: ret}}, false},
		{"memory", []insn{{code: unix.BPF_ST, k: 16}, {code: ret}}, false},
		{"division", []insn{{code: unix.BPF_ALU | unix.BPF_DIV}, {code: ret}}, false},
		{"shift", []insn{{code: unix.BPF_ALU | unix.BPF_LSH, k: 32}, {code: ret}}, false},
		{"longest", append(make4095(), insn{code: ret}), true},
		{"too long", append(make4095(), insn{code: ldAbs}, insn{code: ret}), false},
	} {
		if err := Check(encode(c.prog)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if Check(make([]byte, 9)) == nil {
		t.Error("half an instruction is accepted")
	}
}

func make4095() []insn {
	all := make([]insn, maxInsns-1)
	for i := range all {
		all[i].code = ldAbs
	}
	return all
}

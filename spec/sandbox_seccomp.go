package spec

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	// S_ISUID and S_ISGID of a file's mode.
	modeSetUID, modeSetGID = 0o4000, 0o2000
	modeSetID              = modeSetUID | modeSetGID
	// openCreates are the flags of open(2) with which it takes a mode: O_CREAT, and O_TMPFILE without its O_DIRECTORY.
	openCreates = 0o100 | 0o20000000
)

// SandboxSeccomp returns the filter of `bailey try`: the hardened one, but that no file gets a set-user-ID or
// set-group-ID bit, neither by chmod nor when it is made. In a directory that the machine sees as well, the file would
// be somebody's there, and whoever executed it would become that user. openat2 has its mode in memory, where a filter
// cannot look: it fails as it does on kernels before it, and programs use openat. And socketpair makes Unix sockets only.
func SandboxSeccomp() *specs.LinuxSeccomp {
	p := hardenedSeccomp()
	rules := sandboxRules()
	always := &p.Syscalls[0]
	always.Names = slices.DeleteFunc(always.Names, func(name string) bool {
		return name == "openat2" || slices.ContainsFunc(rules, func(r specs.LinuxSyscall) bool { return slices.Contains(r.Names, name) })
	})
	p.Syscalls = append(p.Syscalls, rules...)
	return p
}

// sandboxRules are the calls that are allowed with some arguments only.
func sandboxRules() []specs.LinuxSyscall {
	without := func(bits uint64, index uint, names ...string) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: names, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: index, Value: bits, Op: specs.OpMaskedEqual}}}
	}
	// A program that wants the bit is told that it may not, and not that the kernel is too old.
	denied := uint(errPerm)
	with := func(bit uint64, index uint, names ...string) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: names, Action: specs.ActErrno, ErrnoRet: &denied,
			Args: []specs.LinuxSeccompArg{{Index: index, Value: bit, ValueTwo: bit, Op: specs.OpMaskedEqual}}}
	}
	return []specs.LinuxSyscall{
		with(modeSetUID, 1, "chmod", "fchmod"),
		with(modeSetGID, 1, "chmod", "fchmod"),
		with(modeSetUID, 2, "fchmodat", "fchmodat2"),
		with(modeSetGID, 2, "fchmodat", "fchmodat2"),
		without(modeSetID, 1, "chmod", "fchmod", "creat", "mkdir", "mknod"),
		without(modeSetID, 2, "fchmodat", "fchmodat2", "mkdirat", "mknodat"),
		// Where nothing is made the mode may be anything.
		without(openCreates, 1, "open"),
		without(modeSetID, 2, "open"),
		without(openCreates, 2, "openat"),
		without(modeSetID, 3, "openat"),
		{Names: []string{"socketpair"}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: 1 /* AF_UNIX */, Op: specs.OpEqualTo}}},
	}
}

package spec

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	maxErrno      = 4095  // MAX_ERRNO: the kernel silently lowers what is above
	maxTrace      = 65535 // SECCOMP_RET_DATA has 16 bits
	maxSocketPath = 107   // sun_path without its NUL
)

var (
	seccompActions = []specs.LinuxSeccompAction{
		specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActKillThread,
		specs.ActTrap, specs.ActTrace, specs.ActLog, specs.ActNotify,
	}
	seccompOps = []specs.LinuxSeccompOperator{
		specs.OpEqualTo, specs.OpMaskedEqual, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual,
		specs.OpGreaterEqual, specs.OpGreaterThan,
	}
	seccompFlags = []specs.LinuxSeccompFlag{
		"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow,
		specs.LinuxSeccompFlagWaitKillableRecv,
	}
	seccompArches = []specs.Arch{
		specs.ArchX86_64, specs.ArchX86, specs.ArchX32, specs.ArchAARCH64, specs.ArchARM, specs.ArchMIPS,
		specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64,
		specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390,
		specs.ArchS390X, specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64,
		specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchSH, specs.ArchSHEB,
	}
)

// validateSeccomp checks linux.seccomp (config-linux.md, "Seccomp"). Names of system calls are free: a
// profile lists those of all architectures and of kernels to come.
func validateSeccomp(s *specs.Spec) error {
	sc := s.Linux.Seccomp
	if sc == nil {
		return nil
	}
	if !slices.Contains(seccompActions, sc.DefaultAction) {
		return bad("/linux/seccomp/defaultAction", "action %q is unknown, allowed are %s", sc.DefaultAction, choice(seccompActions))
	}
	if sc.DefaultAction == specs.ActNotify {
		return bad("/linux/seccomp/defaultAction", "SCMP_ACT_NOTIFY cannot be the default: "+
			"the process would wait for its agent before it could hand over the descriptor that the agent answers on")
	}
	if err := validateErrno(sc.DefaultErrnoRet, sc.DefaultAction, fixed("/linux/seccomp/defaultErrnoRet")); err != nil {
		return err
	}
	for i, a := range sc.Architectures {
		if !slices.Contains(seccompArches, a) {
			return bad(at("linux", "seccomp", "architectures", i), "architecture %q is unknown", a)
		}
	}
	for i, f := range sc.Flags {
		if !slices.Contains(seccompFlags, f) {
			return bad(at("linux", "seccomp", "flags", i), "flag %q is unknown, allowed are %s", f, choice(seccompFlags))
		}
	}
	for i := range sc.Syscalls {
		if err := validateSyscall(sc, i); err != nil {
			return err
		}
	}
	return validateListener(sc)
}

func validateSyscall(sc *specs.LinuxSeccomp, i int) error {
	call := &sc.Syscalls[i]
	if len(call.Names) == 0 {
		return bad(at("linux", "seccomp", "syscalls", i, "names"), "the rule names no system call")
	}
	for j, name := range call.Names {
		if name == "" {
			return bad(at("linux", "seccomp", "syscalls", i, "names", j), "the name of the system call is empty")
		}
		if err := noNUL(name, func() string { return at("linux", "seccomp", "syscalls", i, "names", j) }); err != nil {
			return err
		}
	}
	if !slices.Contains(seccompActions, call.Action) {
		return bad(at("linux", "seccomp", "syscalls", i, "action"), "action %q is unknown, allowed are %s",
			call.Action, choice(seccompActions))
	}
	if err := validateErrno(call.ErrnoRet, call.Action,
		func() string { return at("linux", "seccomp", "syscalls", i, "errnoRet") }); err != nil {
		return err
	}
	for j, arg := range call.Args {
		if arg.Index > 5 {
			return bad(at("linux", "seccomp", "syscalls", i, "args", j, "index"),
				"argument %d does not exist, system calls have the arguments 0 to 5", arg.Index)
		}
		if !slices.Contains(seccompOps, arg.Op) {
			return bad(at("linux", "seccomp", "syscalls", i, "args", j, "op"), "operator %q is unknown, allowed are %s",
				arg.Op, choice(seccompOps))
		}
	}
	return nil
}

// validateErrno refuses a number for an action that has no use for one, as the specification demands.
func validateErrno(ret *uint, action specs.LinuxSeccompAction, origin func() string) error {
	if ret == nil {
		return nil
	}
	var limit uint
	switch action {
	case specs.ActErrno:
		limit = maxErrno
	case specs.ActTrace:
		limit = maxTrace
	default:
		return bad(origin(), "action %s takes no errno (%d), only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do", action, *ret)
	}
	if *ret > limit {
		return bad(origin(), "errno %d is out of range, allowed are 0 to %d for %s", *ret, limit, action)
	}
	return nil
}

// validateListener checks the socket of the agent that answers SCMP_ACT_NOTIFY.
func validateListener(sc *specs.LinuxSeccomp) error {
	const origin = "/linux/seccomp/listenerPath"
	if sc.ListenerPath == "" {
		if sc.ListenerMetadata != "" {
			return bad("/linux/seccomp/listenerMetadata", "listenerMetadata needs listenerPath")
		}
		for i, call := range sc.Syscalls {
			if call.Action == specs.ActNotify {
				return bad(origin, "listenerPath is missing, but syscalls/%d has the action SCMP_ACT_NOTIFY", i)
			}
		}
		return nil
	}
	if len(sc.ListenerPath) > maxSocketPath {
		return bad(origin, "listenerPath has %d bytes, a socket address takes %d", len(sc.ListenerPath), maxSocketPath)
	}
	return noNUL(sc.ListenerPath, fixed(origin))
}

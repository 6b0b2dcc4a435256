package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Actions returns the names that config.json can use, for the features command.
func Actions() []string {
	return names([]specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess,
		specs.ActKillThread, specs.ActLog, specs.ActNotify, specs.ActTrace, specs.ActTrap}, nil)
}

// Operators returns the names that config.json can use, for the features command.
func Operators() []string {
	return names([]specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan,
		specs.OpLessEqual, specs.OpLessThan, specs.OpMaskedEqual, specs.OpNotEqual}, nil)
}

// KnownFlags returns the names that config.json can use, for the features command.
func KnownFlags() []string { return names(knownFlags(), nil) }

// SupportedFlags returns those of KnownFlags that the running kernel accepts.
func SupportedFlags() []string {
	return names(knownFlags(), func(f specs.LinuxSeccompFlag) bool {
		bit, _ := flagBit(f)
		// Without a program the kernel fails with EFAULT, after it has checked the flags.
		if bit == unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV {
			bit |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
		}
		_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(bit), 0)
		return e == unix.EFAULT
	})
}

const flagTsync specs.LinuxSeccompFlag = "SECCOMP_FILTER_FLAG_TSYNC" // missing in specs-go

func knownFlags() []specs.LinuxSeccompFlag {
	return []specs.LinuxSeccompFlag{flagTsync, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagLog,
		specs.LinuxSeccompFlagWaitKillableRecv}
}

// flagBit returns the flag of seccomp(2) for a name in config.json.
func flagBit(f specs.LinuxSeccompFlag) (uint32, bool) {
	switch f {
	case flagTsync:
		return unix.SECCOMP_FILTER_FLAG_TSYNC, true
	case specs.LinuxSeccompFlagSpecAllow:
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, true
	case specs.LinuxSeccompFlagLog:
		return unix.SECCOMP_FILTER_FLAG_LOG, true
	case specs.LinuxSeccompFlagWaitKillableRecv:
		return unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, true
	}
	return 0, false
}

func names[T ~string](all []T, keep func(T) bool) []string {
	list := make([]string, 0, len(all))
	for _, v := range all {
		if keep == nil || keep(v) {
			list = append(list, string(v))
		}
	}
	return list
}

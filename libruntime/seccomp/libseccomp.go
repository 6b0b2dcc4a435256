//go:build cgo

package seccomp

import (
	"fmt"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// arch is what the package knows of an architecture.
type arch struct {
	lib libseccomp.ScmpArch
	// token is the kernel's AUDIT_ARCH_ value, which a filter sees; x32 shares it with x86-64.
	token uint32
	// base is added to every system call number of the architecture; private is where, counted
	// from base, numbers begin that are no part of the common, growing sequence (0: none do).
	base, private uint32
}

const x32Bit = 0x40000000 // __X32_SYSCALL_BIT

// archOf returns the architecture of a name in config.json.
func archOf(name specs.Arch) (arch, bool) {
	switch name {
	case specs.ArchX86:
		return arch{lib: libseccomp.ArchX86, token: unix.AUDIT_ARCH_I386}, true
	case specs.ArchX86_64:
		return arch{lib: libseccomp.ArchAMD64, token: unix.AUDIT_ARCH_X86_64, private: x32Bit}, true
	case specs.ArchX32:
		// From 512 on are variants of older calls that need other arguments on x32.
		return arch{lib: libseccomp.ArchX32, token: unix.AUDIT_ARCH_X86_64, base: x32Bit, private: 512}, true
	case specs.ArchARM:
		return arch{lib: libseccomp.ArchARM, token: unix.AUDIT_ARCH_ARM, private: 0x0f0000}, true // __ARM_NR_BASE
	case specs.ArchAARCH64:
		return arch{lib: libseccomp.ArchARM64, token: unix.AUDIT_ARCH_AARCH64}, true
	case specs.ArchMIPS:
		return arch{lib: libseccomp.ArchMIPS, token: unix.AUDIT_ARCH_MIPS, base: 4000}, true
	case specs.ArchMIPS64:
		return arch{lib: libseccomp.ArchMIPS64, token: unix.AUDIT_ARCH_MIPS64, base: 5000}, true
	case specs.ArchMIPS64N32:
		return arch{lib: libseccomp.ArchMIPS64N32, token: unix.AUDIT_ARCH_MIPS64N32, base: 6000}, true
	case specs.ArchMIPSEL:
		return arch{lib: libseccomp.ArchMIPSEL, token: unix.AUDIT_ARCH_MIPSEL, base: 4000}, true
	case specs.ArchMIPSEL64:
		return arch{lib: libseccomp.ArchMIPSEL64, token: unix.AUDIT_ARCH_MIPSEL64, base: 5000}, true
	case specs.ArchMIPSEL64N32:
		return arch{lib: libseccomp.ArchMIPSEL64N32, token: unix.AUDIT_ARCH_MIPSEL64N32, base: 6000}, true
	case specs.ArchPPC:
		return arch{lib: libseccomp.ArchPPC, token: unix.AUDIT_ARCH_PPC}, true
	case specs.ArchPPC64:
		return arch{lib: libseccomp.ArchPPC64, token: unix.AUDIT_ARCH_PPC64}, true
	case specs.ArchPPC64LE:
		return arch{lib: libseccomp.ArchPPC64LE, token: unix.AUDIT_ARCH_PPC64LE}, true
	case specs.ArchS390:
		return arch{lib: libseccomp.ArchS390, token: unix.AUDIT_ARCH_S390}, true
	case specs.ArchS390X:
		return arch{lib: libseccomp.ArchS390X, token: unix.AUDIT_ARCH_S390X}, true
	case specs.ArchPARISC:
		return arch{lib: libseccomp.ArchPARISC, token: unix.AUDIT_ARCH_PARISC}, true
	case specs.ArchPARISC64:
		return arch{lib: libseccomp.ArchPARISC64, token: unix.AUDIT_ARCH_PARISC64}, true
	case specs.ArchRISCV64:
		return arch{lib: libseccomp.ArchRISCV64, token: unix.AUDIT_ARCH_RISCV64}, true
	case specs.ArchLOONGARCH64:
		return arch{lib: libseccomp.ArchLOONGARCH64, token: unix.AUDIT_ARCH_LOONGARCH64}, true
	case specs.ArchM68K:
		return arch{lib: libseccomp.ArchM68K, token: unix.AUDIT_ARCH_M68K}, true
	case specs.ArchSH:
		return arch{lib: libseccomp.ArchSH, token: unix.AUDIT_ARCH_SH}, true
	case specs.ArchSHEB:
		return arch{lib: libseccomp.ArchSHEB, token: unix.AUDIT_ARCH_SH &^ 0x40000000}, true // __AUDIT_ARCH_LE
	}
	return arch{}, false
}

// native is the name of the architecture that this program was built for, which a filter always has.
func native() specs.Arch {
	switch runtime.GOARCH {
	case "amd64":
		return specs.ArchX86_64
	case "arm64":
		return specs.ArchAARCH64
	case "386":
		return specs.ArchX86
	case "arm":
		return specs.ArchARM
	case "riscv64":
		return specs.ArchRISCV64
	case "ppc64le":
		return specs.ArchPPC64LE
	case "s390x":
		return specs.ArchS390X
	case "loong64":
		return specs.ArchLOONGARCH64
	case "mips64le":
		return specs.ArchMIPSEL64
	}
	return ""
}

// Architectures returns the names that config.json can use, for the features command.
func Architectures() []string {
	return names([]specs.Arch{specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64,
		specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64,
		specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390,
		specs.ArchS390X, specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64, specs.ArchLOONGARCH64,
		specs.ArchM68K, specs.ArchSH, specs.ArchSHEB}, func(a specs.Arch) bool {
		known, _ := archOf(a)
		// Which of them there are depends on libseccomp's version; one of the other byte order cannot be in a filter
		// together with the machine's own.
		f, err := libseccomp.NewFilter(libseccomp.ActAllow)
		if err != nil {
			return false
		}
		defer f.Release()
		native, err := libseccomp.GetNativeArch()
		return err == nil && (known.lib == native || f.AddArch(known.lib) == nil)
	})
}

// LibraryVersion returns libseccomp's version, "2.5.4".
func LibraryVersion() string {
	major, minor, micro := libseccomp.GetLibraryVersion()
	return fmt.Sprintf("%d.%d.%d", major, minor, micro)
}

// compilerVersion returns what a compiled program depends on besides this package.
func compilerVersion() string { return LibraryVersion() }

// action returns libseccomp's action for a name, and whether an errno belongs to it.
func action(name specs.LinuxSeccompAction) (a libseccomp.ScmpAction, errno, ok bool) {
	switch name {
	case specs.ActKill, specs.ActKillThread:
		return libseccomp.ActKillThread, false, true
	case specs.ActKillProcess:
		return libseccomp.ActKillProcess, false, true
	case specs.ActTrap:
		return libseccomp.ActTrap, false, true
	case specs.ActErrno:
		return libseccomp.ActErrno, true, true
	case specs.ActTrace:
		return libseccomp.ActTrace, true, true
	case specs.ActAllow:
		return libseccomp.ActAllow, false, true
	case specs.ActLog:
		return libseccomp.ActLog, false, true
	case specs.ActNotify:
		return libseccomp.ActNotify, false, true
	}
	return libseccomp.ActInvalid, false, false
}

// compareOp returns libseccomp's comparison for a name.
func compareOp(name specs.LinuxSeccompOperator) (libseccomp.ScmpCompareOp, bool) {
	switch name {
	case specs.OpNotEqual:
		return libseccomp.CompareNotEqual, true
	case specs.OpLessThan:
		return libseccomp.CompareLess, true
	case specs.OpLessEqual:
		return libseccomp.CompareLessOrEqual, true
	case specs.OpEqualTo:
		return libseccomp.CompareEqual, true
	case specs.OpGreaterEqual:
		return libseccomp.CompareGreaterEqual, true
	case specs.OpGreaterThan:
		return libseccomp.CompareGreater, true
	case specs.OpMaskedEqual:
		return libseccomp.CompareMaskedEqual, true
	}
	return libseccomp.CompareInvalid, false
}

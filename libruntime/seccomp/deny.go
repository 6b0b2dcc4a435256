package seccomp

import (
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Where a container has no user namespace of its own, its namespaces cannot be counted by the kernel's limits
// (user.max_*_namespaces are those of the whole machine then); a filter can at least deny them. It cannot be
// a few more rules of the profile: a rule of the profile's that allows clone(2) without looking at its
// arguments makes libseccomp forget one that looks. So the finished program is changed: wherever it would let
// a system call through, it asks one thing more.

// abi are the numbers of one ABI's system calls that make and enter namespaces.
type abi struct {
	token uint32 // AUDIT_ARCH_*
	// variant is a bit in a number that selects another ABI with the same numbers (x32), or 0.
	variant                       uint32
	clone, unshare, setns, clone3 uint32
}

// abis are all ABIs in which a process of this machine can make a system call. A filter that knew only the
// native one would be no obstacle.
var abis = map[string][]abi{
	"amd64": {
		{unix.AUDIT_ARCH_X86_64, 0x40000000, 56, 272, 308, 435},
		{unix.AUDIT_ARCH_I386, 0, 120, 310, 346, 435},
	},
	"arm64": {
		{unix.AUDIT_ARCH_AARCH64, 0, 220, 97, 268, 435},
		{unix.AUDIT_ARCH_ARM, 0, 120, 337, 375, 435},
	},
}

// offArg0 and offArg1 are the low words of the first two arguments in struct seccomp_data, on a little-endian
// machine. The kernel looks at no more: flags are 32 bits for clone(2) and setns(2), and unshare(2) refuses others.
const (
	offArg0 = 16
	offArg1 = 24
)

// DenyNamespaces returns a program that decides as p does, or allows everything if p is nil, but does not let
// through what makes or enters a namespace of one of the kinds, an OR of CLONE_NEW* flags:
//
//   - clone(2), unshare(2) and setns(2) fail with EPERM if their flags name one of the kinds; setns also where
//     it names none, which stands for any;
//   - clone3(2) fails with ENOSYS in any case: its flags are in memory, where a filter cannot read and the
//     caller could change them. C libraries then use clone.
//
// What p refuses anyway it refuses as before.
func DenyNamespaces(p *Program, kinds uint32) (*Program, error) {
	var out Program
	if p != nil {
		out = *p
	} else {
		out.Filter = encode([]insn{{code: ret, k: unix.SECCOMP_RET_ALLOW}})
	}
	known, ok := abis[runtime.GOARCH]
	if !ok {
		return nil, fault.New("deny namespaces by a filter: the system calls of "+runtime.GOARCH+" are not known", "")
	}
	n := len(out.Filter) / insnSize
	prog := make([]insn, n, n+64)
	for i := range prog {
		prog[i] = insnAt(out.Filter, i)
	}
	// A jump has the length of a return, so that nothing else moves.
	place := make(map[uint32]int)
	for i := range n {
		in := prog[i]
		if in.code == unix.BPF_RET|unix.BPF_A {
			return nil, fault.New("deny namespaces by a filter: it returns what it has computed", origin)
		}
		if in.code != ret || !letsThrough(in.k) {
			continue
		}
		at, ok := place[in.k]
		if !ok {
			at = len(prog)
			place[in.k] = at
			prog = append(prog, namespaceCheck(known, kinds, in.k)...)
		}
		prog[i] = insn{code: ja, k: uint32(at - i - 1)}
	}
	out.Filter = encode(prog)
	if err := Check(out.Filter); err != nil {
		return nil, &fault.Error{Step: "deny namespaces by a filter", Origin: origin, Err: err}
	}
	return &out, nil
}

// letsThrough reports whether a verdict can end in the system call being made: it ranks below an errno.
func letsThrough(verdict uint32) bool {
	switch verdict & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE, unix.SECCOMP_RET_USER_NOTIF:
		return true
	}
	return false
}

// namespaceCheck returns instructions that end with a verdict: the one given, unless a namespace is at stake.
func namespaceCheck(known []abi, kinds, verdict uint32) []insn {
	prog := []insn{{code: ldAbs, k: offArch}}
	for _, a := range known {
		block := a.check(kinds, verdict)
		prog = append(prog, insn{code: jeq, k: a.token, jf: uint8(len(block))})
		prog = append(prog, block...)
	}
	// There is no other ABI; should a kernel get one, it is no way around.
	return append(prog, insn{code: ret, k: unix.SECCOMP_RET_KILL_PROCESS})
}

// check is namespaceCheck for one ABI.
func (a abi) check(kinds, verdict uint32) []insn {
	return []insn{
		{code: ldAbs, k: offNr},
		{code: and, k: ^a.variant},
		{code: jeq, k: a.clone, jt: 4},
		{code: jeq, k: a.unshare, jt: 5},
		{code: jeq, k: a.setns, jt: 6},
		{code: jeq, k: a.clone3, jt: 9},
		{code: ret, k: verdict},
		// The low byte of clone's flags is a signal; a time namespace cannot be asked for there.
		{code: ldAbs, k: offArg0},
		{code: jset, k: kinds &^ unix.CLONE_NEWTIME, jt: 7, jf: 5},
		{code: ldAbs, k: offArg0},
		{code: jset, k: kinds, jt: 5, jf: 3},
		{code: ldAbs, k: offArg1},
		{code: jeq, k: 0, jt: 3},
		{code: jset, k: kinds, jt: 2},
		{code: ret, k: verdict},
		{code: ret, k: retENOSYS},
		{code: ret, k: retEPERM},
	}
}

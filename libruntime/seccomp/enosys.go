//go:build cgo

package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// A C library tries a new system call and falls back to an older one on ENOSYS. A profile that was
// written before the call existed answers with its default action instead, often EPERM, and the
// program fails on kernels that are newer than the profile. So the filter gets a prologue: for each
// architecture, numbers above all those that the profile names (and so must have known) fail with
// ENOSYS. Numbers outside the common sequence (x32's variants, ARM's private calls) go on to the
// profile, as does everything that the prologue does not expressly handle.

// note remembers that the profile names a system call.
func (c *compiler) note(name string) {
	for i, a := range c.archs {
		nr, err := libseccomp.GetSyscallFromNameByArch(name, a.lib)
		if err != nil || int64(nr) < int64(a.base) { // negative: not on this architecture
			continue
		}
		if a.private == 0 || uint32(nr)-a.base < a.private {
			c.newest[i] = max(c.newest[i], int64(nr))
		}
	}
}

// enosys returns the prologue. Its instructions are those that the kernel can evaluate in advance, so
// that its cache of always allowed system calls stays usable.
func (c *compiler) enosys() []byte {
	switch c.cfg.DefaultAction {
	case specs.ActErrno:
		if c.def == libseccomp.ActErrno.SetReturnCode(int16(unix.ENOSYS)) {
			return nil // they get it anyhow
		}
	case specs.ActKill, specs.ActKillThread, specs.ActKillProcess, specs.ActTrap:
	default:
		return nil // allowed, logged, or left to a tracer: not refused
	}
	var blocks [][]insn
	done := make(map[uint32]bool, len(c.archs))
	for _, a := range c.archs {
		if !done[a.token] {
			done[a.token] = true
			if b := c.archBlock(a.token); b != nil {
				blocks = append(blocks, b)
			}
		}
	}
	if len(blocks) == 0 {
		return nil
	}
	// Each block ends with a jump to the end of the prologue; only that one can be long, and an
	// unconditional jump has 32 bits for it.
	var prog []insn
	left := 0
	for _, b := range blocks {
		left += len(b)
	}
	prog = append(prog, insn{code: ldAbs, k: offArch})
	for _, b := range blocks {
		left -= len(b)
		b[len(b)-1].k = uint32(left)
		prog = append(prog, b...)
	}
	return encode(prog)
}

// archBlock returns the part for one AUDIT_ARCH value, which is in the accumulator; nil for an
// architecture without any system call in the profile.
func (c *compiler) archBlock(token uint32) []insn {
	var ranges []insn
	for i, a := range c.archs {
		if a.token != token || c.newest[i] < 0 {
			continue
		}
		// Above the sequence: private numbers, or those that are negative as an int: a tracer sets -1
		// to skip a call, and that must not get another result here.
		end := uint32(1) << 31
		if a.private != 0 {
			end = a.base + a.private
		}
		ranges = append(ranges,
			insn{code: jgt, k: uint32(c.newest[i]), jf: 2},
			insn{code: jge, k: end, jt: 1},
			insn{code: ret, k: retENOSYS})
	}
	if ranges == nil {
		return nil
	}
	block := []insn{
		{code: jeq, k: token, jf: uint8(len(ranges) + 2)}, // to the next block, with the arch still loaded
		{code: ldAbs, k: offNr},
	}
	block = append(block, ranges...)
	return append(block, insn{code: ja})
}

package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// insn is one struct sock_filter of linux/filter.h.
type insn struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

const (
	insnSize = 8
	maxInsns = 4096 // BPF_MAXINSNS
	dataSize = 64   // sizeof(struct seccomp_data)
	offNr    = 0    // offsetof(struct seccomp_data, nr)
	offArch  = 4    // offsetof(struct seccomp_data, arch)
	memWords = 16   // BPF_MEMWORDS
)

// The opcodes that this package's own instructions are made of.
const (
	ldAbs = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	and   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	ja    = unix.BPF_JMP | unix.BPF_JA
	jeq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	jgt   = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	jge   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	jset  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	ret   = unix.BPF_RET | unix.BPF_K
)

// Verdicts of their own.
const (
	retENOSYS = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	retEPERM  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
)

func insnAt(prog []byte, i int) insn {
	b := prog[i*insnSize:]
	return insn{binary.NativeEndian.Uint16(b), b[2], b[3], binary.NativeEndian.Uint32(b[4:])}
}

// encode returns instructions as an array of struct sock_filter.
func encode(prog []insn) []byte {
	b := make([]byte, 0, insnSize*len(prog))
	for _, i := range prog {
		b = binary.NativeEndian.AppendUint16(b, i.code)
		b = append(b, i.jt, i.jf)
		b = binary.NativeEndian.AppendUint32(b, i.k)
	}
	return b
}

// Check reports whether a program is one that the kernel would accept as a seccomp filter: valid
// opcodes for struct seccomp_data, jumps forward and inside, a return at the end, no more than 4096
// instructions. The kernel checks again; this is so that nothing broken gets as far as the container.
func Check(prog []byte) error {
	n := len(prog) / insnSize
	if len(prog)%insnSize != 0 || n == 0 || n > maxInsns {
		return fmt.Errorf("a BPF program has 1 to %d instructions of %d bytes, not %d bytes", maxInsns, insnSize, len(prog))
	}
	for i := range n {
		if why := checkInsn(insnAt(prog, i), n-i-1); why != "" {
			return fmt.Errorf("BPF instruction %d: %s", i, why)
		}
	}
	if last := insnAt(prog, n-1); last.code != ret && last.code != unix.BPF_RET|unix.BPF_A {
		return errors.New("the BPF program does not end with a return")
	}
	return nil
}

// checkInsn returns what is wrong with an instruction that has rest others behind it, or "".
func checkInsn(in insn, rest int) string {
	switch in.code {
	case ldAbs:
		if in.k >= dataSize || in.k%4 != 0 {
			return "load from outside of seccomp_data"
		}
	case unix.BPF_LD | unix.BPF_W | unix.BPF_LEN, unix.BPF_LDX | unix.BPF_W | unix.BPF_LEN,
		unix.BPF_LD | unix.BPF_IMM, unix.BPF_LDX | unix.BPF_IMM,
		unix.BPF_MISC | unix.BPF_TAX, unix.BPF_MISC | unix.BPF_TXA,
		unix.BPF_RET | unix.BPF_K, unix.BPF_RET | unix.BPF_A,
		unix.BPF_ALU | unix.BPF_NEG,
		unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K, unix.BPF_ALU | unix.BPF_ADD | unix.BPF_X,
		unix.BPF_ALU | unix.BPF_SUB | unix.BPF_K, unix.BPF_ALU | unix.BPF_SUB | unix.BPF_X,
		unix.BPF_ALU | unix.BPF_MUL | unix.BPF_K, unix.BPF_ALU | unix.BPF_MUL | unix.BPF_X,
		unix.BPF_ALU | unix.BPF_DIV | unix.BPF_X,
		unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, unix.BPF_ALU | unix.BPF_AND | unix.BPF_X,
		unix.BPF_ALU | unix.BPF_OR | unix.BPF_K, unix.BPF_ALU | unix.BPF_OR | unix.BPF_X,
		unix.BPF_ALU | unix.BPF_XOR | unix.BPF_K, unix.BPF_ALU | unix.BPF_XOR | unix.BPF_X,
		unix.BPF_ALU | unix.BPF_LSH | unix.BPF_X, unix.BPF_ALU | unix.BPF_RSH | unix.BPF_X:
	case unix.BPF_ALU | unix.BPF_DIV | unix.BPF_K:
		if in.k == 0 {
			return "division by zero"
		}
	case unix.BPF_ALU | unix.BPF_LSH | unix.BPF_K, unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K:
		if in.k >= 32 {
			return "shift by more than 31"
		}
	case unix.BPF_LD | unix.BPF_MEM, unix.BPF_LDX | unix.BPF_MEM, unix.BPF_ST, unix.BPF_STX:
		if in.k >= memWords {
			return "scratch memory out of range"
		}
	case ja:
		if uint64(in.k) >= uint64(rest) {
			return "jump past the end"
		}
	case jeq, jgt, jge, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K,
		unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_X, unix.BPF_JMP | unix.BPF_JGT | unix.BPF_X,
		unix.BPF_JMP | unix.BPF_JGE | unix.BPF_X, unix.BPF_JMP | unix.BPF_JSET | unix.BPF_X:
		if int(in.jt) >= rest || int(in.jf) >= rest {
			return "jump past the end"
		}
	default:
		return fmt.Sprintf("opcode %#x is not for seccomp", in.code)
	}
	return ""
}

package seccomp

import (
	"testing"

	"golang.org/x/sys/unix"
)

// call is what a filter sees of a system call: struct seccomp_data.
type call struct {
	nr   uint32
	arch uint32
	args [6]uint64
}

// word returns the 32 bits at an offset of struct seccomp_data, on a little-endian machine.
func (c *call) word(off uint32) uint32 {
	switch {
	case off == offNr:
		return c.nr
	case off == offArch:
		return c.arch
	case off < 16:
		return 0 // the instruction pointer
	}
	arg := c.args[(off-16)/8]
	if off%8 == 4 {
		arg >>= 32
	}
	return uint32(arg)
}

// run interprets a classic BPF program, and returns its verdict and the number of instructions it took.
func run(tb testing.TB, prog []byte, c call) (verdict uint32, steps int) {
	tb.Helper()
	var a, x uint32
	var mem [memWords]uint32
	for pc := 0; ; pc++ {
		steps++
		in := insnAt(prog, pc)
		operand := in.k
		if in.code&unix.BPF_X != 0 {
			operand = x
		}
		branch := func(yes bool) {
			if yes {
				pc += int(in.jt)
			} else {
				pc += int(in.jf)
			}
		}
		switch in.code &^ unix.BPF_X {
		case ldAbs:
			a = c.word(in.k)
			continue
		case ja:
			pc += int(in.k)
			continue
		case jeq:
			branch(a == operand)
			continue
		case jgt:
			branch(a > operand)
			continue
		case jge:
			branch(a >= operand)
			continue
		case unix.BPF_JMP | unix.BPF_JSET:
			branch(a&operand != 0)
			continue
		case unix.BPF_ALU | unix.BPF_AND:
			a &= operand
			continue
		}
		switch in.code {
		case ret:
			return in.k, steps
		case unix.BPF_ST:
			mem[in.k] = a
		case unix.BPF_LD | unix.BPF_MEM:
			a = mem[in.k]
		case unix.BPF_MISC | unix.BPF_TAX:
			x = a
		default:
			tb.Fatalf("instruction %d: opcode %#x is not interpreted", pc, in.code)
		}
	}
}

package cgroup

import (
	"encoding/binary"
	"runtime"
	"unsafe"

	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// insn is one eBPF instruction: opcode, destination and source register, jump offset, constant.
type insn struct {
	op       uint8
	dst, src uint8
	off      int16
	imm      int32
}

// The opcodes in use, from linux/bpf.h and linux/bpf_common.h.
const (
	opLoadWord = unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W
	opMovImm   = unix.BPF_ALU | unix.BPF_MOV | unix.BPF_K
	opMovReg   = unix.BPF_ALU | unix.BPF_MOV | unix.BPF_X
	opAndImm   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opShiftImm = unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K
	opJneImm   = unix.BPF_JMP32 | unix.BPF_JNE | unix.BPF_K
	opExit     = unix.BPF_JMP | unix.BPF_EXIT
)

// deviceProgram compiles a ruleset to a BPF_PROG_TYPE_CGROUP_DEVICE program. Its context is
// struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor }, access_type being the access
// shifted left by 16 over the device's type; it returns 1 to allow.
func deviceProgram(rs *ruleset) []insn {
	const r0, ctx, tmp, kind, acc, major, minor = 0, 1, 1, 2, 3, 4, 5
	verdict := func(allow bool) []insn {
		v := insn{op: opMovImm, dst: r0}
		if allow {
			v.imm = 1
		}
		return []insn{v, {op: opExit}}
	}
	prog := []insn{
		{op: opLoadWord, dst: kind, src: ctx},
		{op: opMovReg, dst: acc, src: kind},
		{op: opAndImm, dst: kind, imm: 0xffff},
		{op: opShiftImm, dst: acc, imm: 16},
		{op: opLoadWord, dst: major, src: ctx, off: 4},
		{op: opLoadWord, dst: minor, src: ctx, off: 8},
	}
	for _, d := range rs.sorted() {
		k := int32(unix.BPF_DEVCG_DEV_CHAR)
		if d.kind == 'b' {
			k = unix.BPF_DEVCG_DEV_BLOCK
		}
		// The context register is not needed any more and serves as tmp. On a default of "allow"
		// an access is refused if any of its bits is excepted; on "deny" it is allowed only if all
		// of them are.
		block := []insn{{op: opJneImm, dst: kind, imm: k}}
		if a := rs.exceptions[d]; a != all {
			block = append(block, insn{op: opMovReg, dst: tmp, src: acc})
			if rs.allowAll {
				block = append(block, insn{op: opAndImm, dst: tmp, imm: int32(a)},
					insn{op: unix.BPF_JMP32 | unix.BPF_JEQ | unix.BPF_K, dst: tmp})
			} else {
				block = append(block, insn{op: opAndImm, dst: tmp, imm: int32(all &^ a)},
					insn{op: opJneImm, dst: tmp})
			}
		}
		if d.major != anyNum {
			block = append(block, insn{op: opJneImm, dst: major, imm: int32(uint32(d.major))})
		}
		if d.minor != anyNum {
			block = append(block, insn{op: opJneImm, dst: minor, imm: int32(uint32(d.minor))})
		}
		block = append(block, verdict(!rs.allowAll)...)
		for i := range block {
			if block[i].op&7 == unix.BPF_JMP32 {
				block[i].off = int16(len(block) - i - 1) // to the next block
			}
		}
		prog = append(prog, block...)
	}
	return append(prog, verdict(rs.allowAll)...)
}

// encode returns the program as the kernel's array of struct bpf_insn.
func encode(prog []insn) []byte {
	b := make([]byte, 0, 8*len(prog))
	for _, i := range prog {
		regs := i.dst | i.src<<4
		if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 { // the bit fields follow the byte order
			regs = i.dst<<4 | i.src
		}
		b = append(b, i.op, regs)
		b = binary.NativeEndian.AppendUint16(b, uint16(i.off))
		b = binary.NativeEndian.AppendUint32(b, uint32(i.imm))
	}
	return b
}

// setDevicesV2 attaches a program with the ruleset and removes the ones that were attached to this
// cgroup before, in this order, so that there is no moment without rules.
func setDevicesV2(d dir, rs *ruleset) error {
	fail := func(call string, err error) error {
		f := &fault.Error{Step: "set the device rules", Origin: resOrigin + "/devices", Object: d.path, Syscall: call, Err: err}
		if err == unix.EPERM {
			f.Cause = "loading a device filter needs CAP_BPF (or CAP_SYS_ADMIN) over the machine"
			f.Remedy = "run as root outside any user namespace, or as an ordinary user with --rootless"
		}
		return f
	}
	// BPF_PROG_ATTACH wants a descriptor that is more than a path.
	fd, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return fail("open", err)
	}
	defer unix.Close(fd)
	old, err := attachedPrograms(fd)
	if err != nil {
		return fail("bpf(BPF_PROG_QUERY)", err)
	}
	prog, err := loadProgram(encode(deviceProgram(rs)))
	if err != nil {
		return fail("bpf(BPF_PROG_LOAD)", err)
	}
	defer unix.Close(prog)
	if err := attachProgram(unix.BPF_PROG_ATTACH, fd, prog, unix.BPF_F_ALLOW_MULTI); err != nil {
		return fail("bpf(BPF_PROG_ATTACH)", err)
	}
	for _, id := range old {
		p, err := programByID(id)
		if err != nil {
			return fail("bpf(BPF_PROG_GET_FD_BY_ID)", err)
		}
		err = attachProgram(unix.BPF_PROG_DETACH, fd, p, 0)
		unix.Close(p)
		if err != nil && err != unix.ENOENT {
			return fail("bpf(BPF_PROG_DETACH)", err)
		}
	}
	return nil
}

// bpf is the system call. EAGAIN means that a signal interrupted the verifier.
func bpf(cmd uintptr, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		r, _, e := unix.Syscall(unix.SYS_BPF, cmd, uintptr(attr), size)
		if e == unix.EAGAIN || e == unix.EINTR {
			continue
		}
		if e != 0 {
			return -1, e
		}
		return int(r), nil
	}
}

// The attr types are the beginnings of union bpf_attr that each command needs; the kernel takes what
// is missing as zero.

func loadProgram(insns []byte) (int, error) {
	license := []byte("Apache-2.0\x00")
	attr := struct {
		progType, count uint32
		insns, license  uint64
	}{unix.BPF_PROG_TYPE_CGROUP_DEVICE, uint32(len(insns) / 8), 0, 0}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&insns[0])
	pin.Pin(&license[0])
	attr.insns = uint64(uintptr(unsafe.Pointer(&insns[0])))
	attr.license = uint64(uintptr(unsafe.Pointer(&license[0])))
	return bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

func attachProgram(cmd uintptr, cgroup, prog int, flags uint32) error {
	attr := struct{ target, prog, attachType, flags uint32 }{uint32(cgroup), uint32(prog), unix.BPF_CGROUP_DEVICE, flags}
	_, err := bpf(cmd, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return err
}

func programByID(id uint32) (int, error) {
	attr := struct{ id uint32 }{id}
	return bpf(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

// attachedPrograms returns the IDs of the device programs attached to this very cgroup.
func attachedPrograms(cgroup int) ([]uint32, error) {
	ids := make([]uint32, 64) // BPF_CGROUP_MAX_PROGS
	// Linux 6.17 and 6.18 write the revision, the last field, whatever size was passed: the struct
	// must reach that far.
	attr := struct {
		target, attachType, queryType, attachFlags uint32
		ids                                        uint64
		count, pad                                 uint32
		progFlags, linkIDs, linkFlags, revision    uint64
	}{target: uint32(cgroup), attachType: unix.BPF_CGROUP_DEVICE, count: uint32(len(ids))}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&ids[0])
	attr.ids = uint64(uintptr(unsafe.Pointer(&ids[0])))
	if _, err := bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return nil, err
	}
	return ids[:min(int(attr.count), len(ids))], nil
}

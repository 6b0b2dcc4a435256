package nsexec

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/bailey-oci/bailey/libruntime/plan"
	"golang.org/x/sys/unix"
)

// stateSlot is where the state goes, so that `start`, which does not have the plan, knows its number.
const stateSlot = 0

// encoded is a plan in wire form.
type encoded struct {
	bytes []byte
	slots map[plan.Slot]int16
	// joiner are the slots that operations before the clone use.
	joiner []plan.Slot
}

type encoder struct {
	ops   []wireOp
	arena []byte
	base  int // of the arena in the plan
	slots map[plan.Slot]int16
	// preserve is how many descriptors above the standard streams stay open.
	preserve uint32
	// cloneFlags are the init's, besides its namespaces.
	cloneFlags uint64
}

// encode turns a plan into wire form. It fails only for plans that are larger than the format allows.
func encode(p *plan.Plan) (*encoded, error) {
	e := &encoder{
		ops:   make([]wireOp, 0, len(p.Ops)),
		arena: make([]byte, 0, 16<<10),
		base:  int(unsafe.Sizeof(wireHeader{})),
		slots: map[plan.Slot]int16{plan.SlotState: stateSlot},
	}
	// The arena follows the table, whose length must be known for the offsets in it: adjacent questions
	// are one operation, and what the host does beforehand is none.
	merged := mergeAsked(p)
	count := 0
	for i, n := range merged {
		if n > 0 && p.Ops[i].Where() != plan.Host {
			count++
		}
	}
	e.base += count * int(unsafe.Sizeof(wireOp{}))
	var joiner []plan.Slot
	e.cloneFlags = unix.CLONE_VM
	for _, op := range p.Ops {
		switch a := op.Action.(type) {
		case plan.CloseDescriptors:
			e.preserve = a.Preserve
		case plan.EnterTimeNamespace, plan.Seal:
			// Only a process whose memory is its own can enter a time namespace, or make a user namespace.
			e.cloneFlags = 0
		}
	}
	for i, op := range p.Ops {
		if merged[i] == 0 || op.Where() == plan.Host {
			continue
		}
		if op.Where() == plan.Joiner {
			joiner = append(joiner, joinerSlots(op.Action)...)
		}
		e.begin(i)
		if op.Where() == plan.Asked {
			e.code(wire_OP_ASK)
			e.num(uint64(merged[i]))
			e.slot(0, carried(op.Action))
			continue
		}
		if err := e.action(op.Action); err != nil {
			return nil, err
		}
	}
	b, err := e.finish()
	return &encoded{bytes: b, slots: e.slots, joiner: joiner}, err
}

// mergeAsked returns for each operation how many wire operations' worth it stands for: an Asked one that
// directly follows another is done in the same round trip. A descriptor that comes along keeps its own.
func mergeAsked(p *plan.Plan) []int {
	n := make([]int, len(p.Ops))
	first := -1
	for i, op := range p.Ops {
		if op.Where() != plan.Asked || carried(op.Action) != "" {
			n[i], first = 1, -1
			continue
		}
		if first < 0 {
			first = i
		}
		n[first]++
	}
	return n
}

// carried returns the slot of the init's whose descriptor comes along with a question, or "".
func carried(a plan.Action) plan.Slot {
	switch a := a.(type) {
	case plan.SendConsole:
		return plan.SlotConsoleMaster
	case plan.MapOwners:
		return a.Slot
	}
	return ""
}

func joinerSlots(a plan.Action) []plan.Slot {
	switch a := a.(type) {
	case plan.JoinNamespace:
		return []plan.Slot{a.Slot}
	case plan.JoinContainer:
		return []plan.Slot{a.Slot}
	case plan.Clone:
		if a.Cgroup != "" {
			return []plan.Slot{a.Cgroup}
		}
	}
	return nil
}

func (e *encoder) begin(index int) {
	op := wireOp{index: uint32(index)}
	for i := range op.slot {
		op.slot[i] = wire_NO_SLOT
	}
	e.ops = append(e.ops, op)
}

func (e *encoder) op() *wireOp { return &e.ops[len(e.ops)-1] }

func (e *encoder) code(c uint16) { e.op().code = c }

func (e *encoder) flag(set bool, f uint16) {
	if set {
		e.op().flags |= f
	}
}

func (e *encoder) num(values ...uint64) {
	copy(e.op().num[:], values)
}

func (e *encoder) slot(i int, s plan.Slot) {
	if s == "" {
		return
	}
	n, ok := e.slots[s]
	if !ok {
		n = int16(len(e.slots))
		e.slots[s] = n
	}
	e.op().slot[i] = n
}

func (e *encoder) put(i int, length int) {
	e.op().ref[i] = wireRef{off: uint32(e.base + len(e.arena) - length), len: uint32(length)}
}

func (e *encoder) align() {
	for len(e.arena)%8 != 0 {
		e.arena = append(e.arena, 0)
	}
}

// text puts a string; one with a NUL inside is refused by the preamble, and by spec before that.
func (e *encoder) text(i int, s string) {
	e.arena = append(append(e.arena, s...), 0)
	e.put(i, len(s)+1)
}

func (e *encoder) blob(i int, b []byte) {
	e.align()
	e.arena = append(e.arena, b...)
	e.put(i, len(b))
}

// list puts strings with room for the pointers to them; see struct wire_list.
func (e *encoder) list(i int, l []string) {
	e.align()
	start := len(e.arena)
	e.arena = binary.NativeEndian.AppendUint64(e.arena, uint64(len(l)))
	e.arena = append(e.arena, make([]byte, 8*(len(l)+1))...)
	for _, s := range l {
		e.arena = append(append(e.arena, s...), 0)
	}
	e.put(i, len(e.arena)-start)
}

func (e *encoder) finish() ([]byte, error) {
	opSize := int(unsafe.Sizeof(wireOp{}))
	e.align()
	size := e.base + len(e.arena)
	if size > wire_MAX_SIZE || len(e.ops) > wire_MAX_OPS || len(e.slots) > wire_MAX_SLOTS {
		return nil, fmt.Errorf("the plan is too large: %d bytes, %d operations, %d descriptors",
			size, len(e.ops), len(e.slots))
	}
	h := wireHeader{
		magic: wire_MAGIC, version: wire_VERSION,
		size:     uint32(size),
		op_count: uint32(len(e.ops)), op_size: uint32(opSize),
		arena_off: uint32(e.base), arena_len: uint32(len(e.arena)),
		slot_count: uint32(len(e.slots)),
		fault_op:   math.MaxUint32,
	}
	injectFault(&h)
	b := make([]byte, 0, size)
	b = append(b, unsafe.Slice((*byte)(unsafe.Pointer(&h)), unsafe.Sizeof(h))...)
	b = append(b, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(e.ops))), len(e.ops)*opSize)...)
	return append(b, e.arena...), nil
}

//go:build cgo

package seccomp

import "slices"

// What loading a filter costs is for the most part not its verification but this: the kernel evaluates it
// for every system call number in advance, to know those that are always allowed (seccomp_cache_prepare,
// kernel commit f9d480b6ffbe), and translates it to machine code. libseccomp tests for one number after the
// other; a profile of usual size takes more time to load than everything else that a container's init does
// after its mounts.
//
// So the program is taken apart and put together anew. For every architecture and system call number it
// is followed up to the first instruction whose outcome the two do not decide: a verdict, or a test of an
// argument. Numbers that lead to the same are few ranges, which a search tree finds in a few steps.

// node is a piece of a program: a verdict, or an instruction and the nodes that it leads to.
type node struct {
	code    uint16 // ret, ldAbs, and, or a conditional jump
	k       uint32
	yes, no int // ldAbs and `and` go on to yes; -1 where there is none
}

// simplifier holds nodes by number. Equal nodes have one number, so that pieces of programs do the same if
// they have the same number.
type simplifier struct {
	nodes []node
	known map[node]int
	// archs are one architecture that the program does not test for, the native one, and the others that it
	// tests for.
	archs []uint32
	// failed: the program does something that this file knows nothing of.
	failed bool
}

// simplify returns a program with the verdicts of the one given that the kernel loads more quickly, or the
// one given.
func simplify(prog []byte) []byte {
	s := &simplifier{known: make(map[node]int)}
	bounds := boundaries(prog)
	root := s.program(prog, bounds)
	if s.failed {
		return prog
	}
	out := s.emit(root)
	// A mistake here would be a hole in a container, so the result is followed in the same way.
	if Check(out) != nil || !s.same(prog, out) {
		return prog
	}
	return out
}

// boundaries returns the numbers at which the program's behaviour can change, in order, 0 first.
func boundaries(prog []byte) []uint32 {
	all := []uint32{0}
	for i := range len(prog) / insnSize {
		switch in := insnAt(prog, i); in.code {
		case jeq, jgt, jge:
			all = append(all, in.k, in.k+1) // after the last number comes 0
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// program returns the node that decides like the whole program.
func (s *simplifier) program(prog []byte, bounds []uint32) int {
	own, _ := archOf(native())
	s.archs = []uint32{unused(prog), own.token}
	var trees []int
	for i := 0; i < len(s.archs) && !s.failed; i++ { // more are found on the way
		trees = append(trees, s.tree(s.ranges(prog, s.archs[i], bounds)))
	}
	if s.failed {
		return -1
	}
	root := trees[0]
	for i := len(trees) - 1; i > 0; i-- { // the native one is put in front last, and so tested for first
		root = s.branch(jeq, s.archs[i], trees[i], root)
	}
	return s.add(node{ldAbs, offArch, root, -1})
}

// unused returns an architecture that occurs nowhere in the program.
func unused(prog []byte) uint32 {
	taken := make(map[uint32]bool)
	for i := range len(prog) / insnSize {
		taken[insnAt(prog, i).k] = true
	}
	a := uint32(0)
	for taken[a] {
		a++
	}
	return a
}

// span is where a range of system call numbers begins, and what is done with them.
type span struct {
	from uint32
	node int
}

// ranges returns what the program does for one architecture, in the order of the numbers.
func (s *simplifier) ranges(prog []byte, arch uint32, bounds []uint32) []span {
	var spans []span
	for _, nr := range bounds {
		n := s.follow(prog, arch, nr)
		if len(spans) == 0 || spans[len(spans)-1].node != n {
			spans = append(spans, span{nr, n})
		}
	}
	return spans
}

// tree returns the node that finds a number's range.
func (s *simplifier) tree(spans []span) int {
	if len(spans) == 1 {
		return spans[0].node
	}
	return s.add(node{ldAbs, offNr, s.search(spans), -1})
}

// search is tree with the number loaded.
func (s *simplifier) search(spans []span) int {
	switch n := len(spans); {
	case n == 1:
		return spans[0].node
	case n == 3 && spans[0].node == spans[2].node && spans[2].from-spans[1].from == 1:
		return s.branch(jeq, spans[1].from, spans[1].node, spans[0].node)
	default:
		return s.branch(jge, spans[n/2].from, s.search(spans[n/2:]), s.search(spans[:n/2]))
	}
}

// add returns the number of a node.
func (s *simplifier) add(n node) int {
	i, ok := s.known[n]
	if !ok {
		i = len(s.nodes)
		s.nodes = append(s.nodes, n)
		s.known[n] = i
	}
	return i
}

// branch returns the number of a conditional jump, or of where it leads in any case.
func (s *simplifier) branch(code uint16, k uint32, yes, no int) int {
	if yes == no {
		return yes
	}
	return s.add(node{code, k, yes, no})
}

// follow returns what the program does for one architecture and number.
func (s *simplifier) follow(prog []byte, arch, nr uint32) int {
	f := &follower{simplifier: s, prog: prog, word: map[uint32]uint32{offArch: arch, offNr: nr}, done: make(map[int]int)}
	return f.walk(0, nothing)
}

// follower follows one program for one architecture and number, which are the words of seccomp_data that
// are known.
type follower struct {
	*simplifier
	prog []byte
	word map[uint32]uint32
	done map[int]int // what from has returned
}

// What the accumulator holds, where it is not a known word.
const (
	nothing = -1 // as at the start
	unknown = -2 // what depends on a word that is not known
)

// from returns the node for what is done from pc on with something unknown in the accumulator.
func (f *follower) from(pc int) int {
	n, ok := f.done[pc]
	if !ok {
		n = f.walk(pc, unknown)
		f.done[pc] = n
	}
	return n
}

// walk is from with the word at offset acc, nothing or unknown in the accumulator.
func (f *follower) walk(pc int, acc int64) int {
	for ; ; pc++ {
		in := insnAt(f.prog, pc)
		switch in.code {
		case ret:
			return f.add(node{ret, in.k, -1, -1})
		case ja:
			pc += int(in.k)
			continue
		case ldAbs:
			if _, ok := f.word[in.k]; ok {
				acc = int64(in.k)
				continue
			}
			return f.load(in.k, f.from(pc+1))
		}
		if acc == unknown {
			switch in.code {
			case and:
				return f.add(node{and, in.k, f.from(pc + 1), -1})
			case jeq, jgt, jge, jset:
				return f.branch(in.code, in.k, f.from(pc+1+int(in.jt)), f.from(pc+1+int(in.jf)))
			}
		}
		var yes bool
		switch value := f.word[uint32(acc)]; {
		case acc < 0:
			f.failed = true
		case in.code == jeq:
			yes = value == in.k
			if acc == offArch && !slices.Contains(f.archs, in.k) {
				f.archs = append(f.archs, in.k)
			}
		case acc == offNr && in.code == jgt:
			yes = value > in.k
		case acc == offNr && in.code == jge:
			yes = value >= in.k
		default:
			f.failed = true
		}
		if f.failed {
			return f.add(node{ret, 0, -1, -1})
		}
		if yes {
			pc += int(in.jt)
		} else {
			pc += int(in.jf)
		}
	}
}

// load returns a node that loads a word, if what follows looks at it.
func (s *simplifier) load(offset uint32, next int) int {
	if c := s.nodes[next].code; c == ret || c == ldAbs {
		return next
	}
	return s.add(node{ldAbs, offset, next, -1})
}

// same reports whether two programs do the same for every architecture and number.
func (s *simplifier) same(a, b []byte) bool {
	bounds := boundaries(slices.Concat(a, b))
	archs := len(s.archs)
	for _, arch := range s.archs[:archs] {
		for _, nr := range bounds {
			if s.follow(a, arch, nr) != s.follow(b, arch, nr) || s.failed {
				return false
			}
		}
	}
	return len(s.archs) == archs // b tests for no other
}

// emitter lays nodes out, the last instruction first, because all jumps go forward.
type emitter struct {
	*simplifier
	back  []insn
	place map[int]int // a node's place in back
}

// emit returns the program that begins with a node.
func (s *simplifier) emit(root int) []byte {
	e := &emitter{simplifier: s, place: make(map[int]int)}
	e.node(root)
	slices.Reverse(e.back)
	return encode(e.back)
}

func (e *emitter) put(in insn) { e.back = append(e.back, in) }

// node lays a node out, which is then the program's first instruction.
func (e *emitter) node(i int) {
	n := e.nodes[i]
	switch n.code {
	case ret:
		e.put(insn{code: ret, k: n.k})
	case ldAbs, and:
		e.need(n.yes)
		e.near(n.yes, 0)
		e.put(insn{code: n.code, k: n.k})
	default:
		e.need(n.yes)
		e.need(n.no)
		// What brings one nearer may take the other one instruction away.
		e.near(n.yes, 254)
		e.near(n.no, 255)
		e.put(insn{code: n.code, k: n.k, jt: uint8(e.distance(n.yes)), jf: uint8(e.distance(n.no))})
	}
	e.place[i] = len(e.back) - 1
}

// need lays a node out if it is not there.
func (e *emitter) need(i int) {
	if _, ok := e.place[i]; !ok {
		e.node(i)
	}
}

// distance is the number of instructions between the next one put and a node.
func (e *emitter) distance(i int) int { return len(e.back) - 1 - e.place[i] }

// near puts a node, or a jump to it, so that it is no farther than most.
func (e *emitter) near(i, most int) {
	d := e.distance(i)
	if d <= most {
		return
	}
	if e.nodes[i].code == ret {
		e.put(insn{code: ret, k: e.nodes[i].k})
	} else {
		e.put(insn{code: ja, k: uint32(d)})
	}
	e.place[i] = len(e.back) - 1
}

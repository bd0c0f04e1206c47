package arm64

import (
	"cmp"
	"slices"

	"github.com/tocsin/tocsin/internal/kernel"
)

// part is when an instruction of the program runs.
type part uint8

const (
	once part = iota
	before
	lanes
	after
)

// What steps do beside the program's operations.
const (
	storeValue = kernel.Op(kernel.Ops) + iota // of the value args[0]: it is the result
	storeMask                                 // of the mask args[0]: it is which lanes have a result
	collect                                   // of the mask args[0]: its lanes go into a word
)

// step is an operation within a part. What it makes and needs goes by names: i is what instruction i makes, as the part
// where it runs makes it. A mask of n instructions has a second name, n+i, for its other form: lanes of what was made as a
// word, and the word of what was made as lanes.
type step struct {
	op   kernel.Op
	name int32 // none where nothing is made
	args [3]int32
	n    int
}

// none stands for no name, no register, no slot, no use.
const none = -1

func (s *step) needs() []int32 { return s.args[:s.n] }

// home is where a name stands that more than one part knows: in a register, or in a slot of the spill area. Of the second
// names only those of masks that are collected have a home: the register or slot that they are collected in.
type home struct {
	register int32
	slot     int32
}

// layout is a program cut into parts.
type layout struct {
	program *kernel.Program
	size    int32 // instructions
	parts   []part
	// Loads and parameters are in no part: they are fetched where they are needed.
	before, lanes, after []step
	params               []int32 // the instructions
	collected            []int32 // second names of the masks whose lanes are collected
	homes                []home  // by name
	shared               int32   // how many slots are homes
	pool                 uint32  // vector registers that are no homes, a bit each
	masked               bool    // a mask changes its form, and so the bits of lanes are needed
}

// lay cuts p into parts and gives homes.
func lay(p *kernel.Program) *layout {
	l := &layout{program: p, size: int32(len(p.Code)), parts: partsOf(p)}
	wanted := make([]bool, l.size) // what is collected
	for i := range p.Code {
		in := &p.Code[i]
		if in.Op == kernel.Param {
			l.params = append(l.params, int32(i))
			continue
		}
		if in.Op == kernel.Load {
			continue
		}
		s := step{op: in.Op, name: int32(i), n: in.Op.Operands()}
		for k, a := range [3]int32{in.A, in.B, in.C} {
			if k >= s.n {
				continue
			}
			s.args[k] = l.seen(a, l.parts[i])
			if l.parts[i] == after && l.parts[a] == lanes {
				wanted[a] = true
			}
		}
		if in.Op == kernel.Valid {
			s.args[0] = in.A // the input
		}
		switch l.parts[i] {
		case before:
			l.before = append(l.before, s)
		case lanes:
			l.lanes = append(l.lanes, s)
		default:
			l.after = append(l.after, s)
		}
	}
	l.after = append(l.after, step{op: storeMask, name: none, args: [3]int32{l.seen(p.Mask, after)}, n: 1})
	if l.parts[p.Mask] == lanes {
		wanted[p.Mask] = true
	}
	l.finishLanes(wanted)
	l.settle()
	return l
}

// seen is the name by which part t knows instruction i.
func (l *layout) seen(i int32, t part) int32 {
	if t == lanes && l.parts[i] == before || t == after && l.parts[i] == lanes {
		return i + l.size
	}
	return i
}

// finishLanes adds what the program does not say: each wanted mask is collected at once after it is made, so that it does
// not occupy a register for that, and the value is stored at the very end, when all of the inputs' lanes have been read.
func (l *layout) finishLanes(wanted []bool) {
	var all []step
	for _, s := range l.lanes {
		all = append(all, s)
		if wanted[s.name] {
			all = append(all, step{op: collect, name: none, args: [3]int32{s.name}, n: 1})
			l.collected = append(l.collected, s.name+l.size)
		}
	}
	if v := l.program.Value; v != kernel.None {
		all = append(all, step{op: storeValue, name: none, args: [3]int32{v}, n: 1})
	}
	l.lanes = all
}

// partsOf says when each instruction runs. Masks that only the result needs run after the lanes if one operand is a whole
// word: to spread that word over the lanes would cost an instruction each time.
func partsOf(p *kernel.Program) []part {
	parts := make([]part, len(p.Code))
	joins := func(op kernel.Op) bool { return op == kernel.And || op == kernel.Or || op == kernel.AndNot }
	for i, in := range p.Code {
		switch {
		case in.Op == kernel.Param:
			parts[i] = once
		case in.Op == kernel.Valid, joins(in.Op) && parts[in.A] == before && parts[in.B] == before:
			parts[i] = before
		default:
			parts[i] = lanes
		}
	}
	inLanes := make([]bool, len(p.Code)) // needed by something that cannot run after them
	for i := len(p.Code) - 1; i >= 0; i-- {
		if in := p.Code[i]; parts[i] == lanes && (inLanes[i] || !joins(in.Op)) {
			for _, a := range in.Args() {
				inLanes[a] = true
			}
		}
	}
	for i, in := range p.Code {
		if parts[i] == lanes && joins(in.Op) && !inLanes[i] && (parts[in.A] != lanes || parts[in.B] != lanes) {
			parts[i] = after
		}
	}
	return parts
}

// Registers for names of one part: never fewer than most, so that a step finds room for all it needs; no more than
// enough, if that leaves less than all homes in memory.
const (
	allocated = int32(bits)
	most      = 4
	enough    = 16
)

// settle gives a home to each name that more than one part knows. The lanes run 32 times as often as the rest, so what
// they use most often gets a register.
func (l *layout) settle() {
	l.homes = make([]home, 2*l.size)
	for i := range l.homes {
		l.homes[i] = home{register: none, slot: none}
	}
	uses := make([]int, 2*l.size)
	shared := make([]bool, 2*l.size)
	for _, i := range l.params {
		shared[i] = true
	}
	for _, name := range l.collected {
		shared[name] = true
		uses[name] = 2 // it is read and written
	}
	l.masked = len(l.collected) > 0
	for i := range l.lanes {
		for _, a := range l.lanes[i].needs() {
			if a >= l.size {
				a -= l.size
				shared[a] = true
				l.masked = true
			}
			uses[a]++
		}
	}
	for i := range l.after {
		for _, a := range l.after[i].needs() {
			if a < l.size && l.parts[a] == before {
				shared[a] = true
			}
		}
	}
	var names []int32
	for i := range shared {
		if shared[i] {
			names = append(names, int32(i))
		}
	}
	slices.SortStableFunc(names, func(a, b int32) int { return cmp.Compare(uses[b], uses[a]) })
	l.pool = 1<<allocated - 1
	room := allocated - min(max(l.pressure(), most), enough)
	for n, name := range names {
		if int32(n) < room {
			r := allocated - 1 - int32(n)
			l.homes[name].register = r
			l.pool &^= 1 << r
			continue
		}
		l.homes[name].slot = l.shared
		l.shared++
	}
}

// pressure is how many names of the lanes alone are alive at the same time, at most.
func (l *layout) pressure() int32 {
	alive := make([]bool, 2*l.size)
	var n, most int32
	for i := len(l.lanes) - 1; i >= 0; i-- {
		s := &l.lanes[i]
		if s.name != none && alive[s.name] {
			alive[s.name] = false
			n--
		}
		for _, a := range s.needs() {
			if !alive[a] && (a >= l.size || l.parts[a] != once) {
				alive[a] = true
				n++
			}
		}
		most = max(most, n+1) // one for what is made
	}
	return most
}

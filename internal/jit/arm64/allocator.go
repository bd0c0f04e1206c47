package arm64

import (
	"math"
	mathbits "math/bits"

	"github.com/tocsin/tocsin/internal/kernel"
)

// never is later than every step.
const never = math.MaxInt32

// allocator hands out vector registers while one part is lowered, step by step. Where there are too few, it takes that
// of the name that is needed again last (L. A. Belady, "A study of replacement algorithms for a virtual-storage
// computer", IBM Systems Journal 5, 1966). A name goes to the spill area at most once; what can be fetched again from
// where it came from does not go there at all.
type allocator struct {
	*assembler
	*layout
	load func(d vector, input int32) // emits the load of an input's present lanes

	steps  []step
	later  [][3]int32 // by step and operand: the next step that needs the same name
	next   []int32    // by name: the next step that needs it
	where  []int32    // by name: its register
	slot   []int32    // by name: its slot, where it has been spilled
	holder [allocated]int32
	free   uint32 // registers that hold nothing, a bit each
	held   uint32 // registers that the present step needs
	// Slots of the part lie above the homes: those given back, and the highest ever used, of all parts.
	spare   []int32
	used    int32
	highest int32
}

// begin starts a part.
func (r *allocator) begin(steps []step) {
	n := int(2 * r.size)
	r.steps, r.later = steps, make([][3]int32, len(steps))
	r.next, r.where, r.slot = filled(n, never), filled(n, none), filled(n, none)
	for i := len(steps) - 1; i >= 0; i-- {
		needs := steps[i].needs()
		for k, a := range needs {
			r.later[i][k] = r.next[a]
		}
		for _, a := range needs {
			r.next[a] = int32(i)
		}
	}
	r.free, r.held = r.pool, 0
	r.spare, r.used = nil, r.shared
	r.highest = max(r.highest, r.used)
}

func filled(n int, x int32) []int32 {
	s := make([]int32, n)
	for i := range s {
		s[i] = x
	}
	return s
}

// operands brings what step i needs into registers and keeps it there until done; from then on next is what comes after
// the step.
func (r *allocator) operands(i int) (regs [3]vector) {
	s := &r.steps[i]
	for k, a := range s.needs() {
		regs[k] = r.fetch(a)
	}
	for k, a := range s.needs() {
		r.next[a] = r.later[i][k]
	}
	return regs
}

// fetch returns a register that holds name.
func (r *allocator) fetch(name int32) vector {
	if home := r.homes[name].register; home != none && name < r.size {
		return vector(home)
	}
	if at := r.where[name]; at != none {
		r.held |= 1 << at
		return vector(at)
	}
	d := r.take(name)
	r.materialize(d, name)
	return d
}

// materialize brings name, which is in no register, into d.
func (r *allocator) materialize(d vector, name int32) {
	at := r.slot[name]
	switch {
	case at != none:
		r.fromSlot(d, at)
	case name >= r.size:
		r.otherForm(d, name)
	case r.homes[name].slot != none:
		r.fromSlot(d, r.homes[name].slot)
	case r.program.Code[name].Op == kernel.Load:
		r.load(d, r.program.Code[name].A)
	default:
		panic("BUG: a name that was not kept")
	}
}

// otherForm makes a mask's other form in d: lanes of a word, or the word of the lanes that were collected.
func (r *allocator) otherForm(d vector, name int32) {
	first := name - r.size
	home := r.homes[first]
	if r.parts[first] == lanes {
		home = r.homes[name]
	}
	n := d
	if home.register != none {
		n = vector(home.register)
	} else {
		r.fromSlot(d, home.slot)
	}
	if r.parts[first] == lanes {
		r.three(opADDP, d, n, n)
	} else {
		r.three(opCMTST, d, n, bits)
	}
}

// define returns the register for what a step makes.
func (r *allocator) define(name int32) vector {
	if home := r.homes[name].register; home != none {
		return vector(home)
	}
	return r.take(name)
}

// inherit lets what a step makes have the register of operand.
func (r *allocator) inherit(name, operand int32) vector {
	at := r.where[operand]
	r.where[operand], r.where[name], r.holder[at] = none, at, name
	return vector(at)
}

// dies reports whether the step before which operands was called is the last to need name, and so may overwrite it.
func (r *allocator) dies(name int32) bool { return r.where[name] != none && r.next[name] == never }

// bury frees the registers of those of names that nobody needs any more.
func (r *allocator) bury(names []int32) {
	for _, a := range names {
		if r.dies(a) {
			r.held &^= 1 << r.where[a]
			r.release(a)
		}
	}
}

// done ends a step that made name, or none, of its operands. What has a slot for its home is stored there.
func (r *allocator) done(s *step) {
	r.bury(s.needs())
	r.held = 0
	if s.name == none {
		return
	}
	if home := r.homes[s.name].slot; home != none {
		r.toSlot(vector(r.where[s.name]), home)
	}
	r.bury([]int32{s.name})
}

// take returns a register for name, which the present step keeps.
func (r *allocator) take(name int32) vector {
	if r.free == 0 {
		r.evict()
	}
	at := int32(mathbits.TrailingZeros32(r.free))
	r.free &^= 1 << at
	r.held |= 1 << at
	r.where[name], r.holder[at] = at, name
	return vector(at)
}

// evict empties the register whose name is needed last.
func (r *allocator) evict() {
	victim := int32(none)
	for left := r.pool &^ r.held; left != 0; left &= left - 1 {
		name := r.holder[mathbits.TrailingZeros32(left)]
		if victim == none || r.next[name] > r.next[victim] {
			victim = name
		}
	}
	if victim == none {
		panic("BUG: a step that needs more registers than there are")
	}
	if r.lost(victim) {
		at := r.slots()
		r.slot[victim] = at
		r.toSlot(vector(r.where[victim]), at)
	}
	at := r.where[victim]
	r.where[victim] = none
	r.free |= 1 << at
}

// lost reports whether name stands in its register alone.
func (r *allocator) lost(name int32) bool {
	return r.slot[name] == none && name < r.size && r.homes[name].slot == none && r.program.Code[name].Op != kernel.Load
}

// release gives back the register and the slot of name.
func (r *allocator) release(name int32) {
	r.free |= 1 << r.where[name]
	r.where[name] = none
	if at := r.slot[name]; at != none {
		r.spare = append(r.spare, at)
		r.slot[name] = none
	}
}

// slots returns a slot that holds nothing.
func (r *allocator) slots() int32 {
	if last := len(r.spare) - 1; last >= 0 {
		at := r.spare[last]
		r.spare = r.spare[:last]
		return at
	}
	r.used++
	r.highest = max(r.highest, r.used)
	return r.used - 1
}

// slotBytes is one register.
const slotBytes = 16

func (r *allocator) fromSlot(d vector, slot int32) {
	r.at(loadVector(), uint32(d), spill, uint32(slot)*slotBytes)
}

func (r *allocator) toSlot(n vector, slot int32) {
	r.at(storeVector(), uint32(n), spill, uint32(slot)*slotBytes)
}

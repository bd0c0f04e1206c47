package amd64

import "math/bits"

const none = -1

// Sizes in the spill area, in bytes.
const (
	wordBytes = 8
	slotBytes = 64 // a slot, and a vector of 512 bits
)

// area hands out the spill area.
type area struct {
	size int32          // so far, in bytes, whole slots
	free [sizes][]int32 // places given back or not yet taken, by the size's class
}

// sizes is how many sizes places come in: 8 bytes times a power of two, up to a slot.
const sizes = 4

// take returns a place of so many bytes, at a multiple of them.
func (a *area) take(bytes int32) int32 {
	free := &a.free[class(bytes)]
	if len(*free) == 0 {
		for p := a.size; p < a.size+slotBytes; p += bytes {
			*free = append(*free, p)
		}
		a.size += slotBytes
	}
	last := len(*free) - 1
	place := (*free)[last]
	*free = (*free)[:last]
	return place
}

func (a *area) give(place, bytes int32) {
	free := &a.free[class(bytes)]
	*free = append(*free, place)
}

func class(bytes int32) int { return bits.TrailingZeros32(uint32(bytes) / wordBytes) }

// keeper moves values between registers and where they come from.
type keeper interface {
	// fetch puts a value that has no register into r: from its home, or from where it can be had again.
	fetch(r reg, v int32)
	// save puts r into a place of the spill area.
	save(r reg, place int32)
}

// file is the registers of one kind that values move through.
type file struct {
	keeper keeper
	all    uint32 // the registers, a bit each
	free   uint32
	locked uint32    // what the present step reads and may not lose
	held   [32]int32 // by register that is not free: whose it is
	unit   int32     // bytes of a register in the spill area
}

func (f *file) open(registers uint32) { f.all, f.free, f.locked = registers, registers, 0 }

// values is where the values of a part stand. Values are computed once and never change, so that what has a home keeps
// it, and what can be had again needs none.
//
// The allocator follows the steps in order. When registers run out, the value goes whose next use is farthest away
// (L. A. Belady, A study of replacement algorithms for a virtual-storage computer, 1966).
type values struct {
	area *area
	reg  []int8  // none, or the register
	home []int32 // none, or the place in the spill area
	next []int32 // the next step that needs it
	// again says that a value can be fetched without a home; own that its home is to be given back.
	again, own []bool
}

func newValues(n int, a *area) values {
	numbers, flags := make([]int32, 2*n), make([]bool, 2*n)
	v := values{
		area: a, reg: make([]int8, n), home: numbers[:n], next: numbers[n:], again: flags[:n], own: flags[n:],
	}
	for i := range v.home {
		v.home[i] = none
		v.reg[i] = none
	}
	return v
}

// take returns a register of f, empty. It may be one that values moved out of, unless it is locked.
func (v *values) take(f *file) reg {
	if f.free == 0 {
		v.evict(f)
	}
	r := reg(bits.TrailingZeros32(f.free))
	f.free &^= 1 << r
	return r
}

func (v *values) evict(f *file) {
	worst, farthest := reg(0), int32(none)
	for left := f.all &^ f.locked; left != 0; left &= left - 1 {
		r := reg(bits.TrailingZeros32(left))
		if next := v.next[f.held[r]]; next > farthest {
			worst, farthest = r, next
		}
	}
	if farthest == none {
		panic("BUG: no register is left")
	}
	x := f.held[worst]
	if !v.again[x] && v.home[x] == none {
		v.home[x], v.own[x] = v.area.take(f.unit), true
		f.keeper.save(worst, v.home[x])
	}
	v.reg[x] = none
	f.free |= 1 << worst
}

// hold says that x stands in r.
func (v *values) hold(f *file, x int32, r reg) {
	v.reg[x] = int8(r)
	f.held[r] = x
}

// use returns the register of x, fetched if need be, and locks it.
func (v *values) use(f *file, x int32) reg {
	if v.reg[x] == none {
		r := v.take(f)
		f.keeper.fetch(r, x)
		v.hold(f, x, r)
	}
	r := reg(v.reg[x])
	f.locked |= 1 << r
	return r
}

// used notes when x is needed next, and gives its register back if it is not.
func (v *values) used(f *file, x, next int32) {
	v.next[x] = next
	if r := v.reg[x]; next == never && r != none && f.all>>uint(r)&1 != 0 {
		f.free |= 1 << uint(r)
		v.reg[x] = none
	}
}

// forget gives back the home of x if it is not needed any more.
func (v *values) forget(f *file, x int32) {
	if v.next[x] == never && v.own[x] {
		v.area.give(v.home[x], f.unit)
		v.home[x], v.own[x] = none, false
	}
}

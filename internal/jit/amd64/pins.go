package amd64

import (
	"cmp"
	"slices"

	"github.com/tocsin/tocsin/internal/kernel"
)

// bitsRegister holds, in AVX2, the bits that the strip's lanes have in a word.
const bitsRegister reg = 15

// vectors gives parameters and constants registers for good, as far as there are registers to spare, those first that are
// used most. It returns the registers that are left.
func (c *compiler) vectors() uint32 {
	all, left := uint32(1<<16-1), int32(16)
	switch {
	case c.isa == AVX512:
		all, left = 1<<32-1, 32
	case c.layout.expands:
		all &^= 1 << bitsRegister
		left--
	}
	uses := c.uses()
	left -= c.pressure()
	for _, u := range uses {
		if left <= 0 {
			break
		}
		r := reg(31)
		for all>>r&1 == 0 {
			r--
		}
		all &^= 1 << r
		left--
		c.strips.values.reg[u.name] = int8(r)
		c.strips.pinned = append(c.strips.pinned, u.name)
	}
	return all
}

// use is how often strips use a parameter or constant.
type use struct{ name, count int32 }

// uses returns the parameters and constants that strips use, what is used most first.
func (c *compiler) uses() []use {
	var all []use
	count := make([]int32, len(c.strips.values.next))
	for n := range c.layout.strip {
		st := &c.layout.strip[n]
		for _, x := range st.args[:st.count] {
			if int(x) < len(c.program.Code) && c.program.Code[x].Op != kernel.Param {
				continue
			}
			if count[x] == 0 {
				all = append(all, use{name: x})
			}
			count[x]++
		}
	}
	for n := range all {
		all[n].count = count[all[n].name]
	}
	slices.SortStableFunc(all, func(a, b use) int { return cmp.Compare(b.count, a.count) })
	return all
}

// pressure estimates how many vectors the rest of the strip needs at the same time.
func (c *compiler) pressure() int32 {
	live := make([]bool, len(c.program.Code))
	present, most := int32(0), int32(0)
	for n := len(c.layout.strip) - 1; n >= 0; n-- {
		st := &c.layout.strip[n]
		if st.ins != kernel.None && live[st.ins] {
			live[st.ins] = false
			present--
		}
		for _, x := range st.args[:st.count] {
			if int(x) >= len(live) || live[x] {
				continue
			}
			op := c.program.Code[x].Op
			if op == kernel.Param || c.isa == AVX512 && op.Mask() {
				continue
			}
			live[x] = true
			present++
			most = max(most, present)
		}
		for _, x := range st.args[:st.count] {
			// Before its first use an input takes no register.
			if int(x) < len(live) && live[x] && c.firstUse(x) == int32(n) && c.fetched(x) {
				live[x] = false
				present--
			}
		}
	}
	const working = 3 // what a step may need besides
	return most + working
}

func (c *compiler) firstUse(x int32) int32 { return c.strips.values.next[x] }

// fetched reports whether x is there without having been computed.
func (c *compiler) fetched(x int32) bool {
	return c.program.Code[x].Op == kernel.Load || c.layout.traits[x].all(pure)
}

// frame says what the general registers are for.
type frame struct {
	// free are for words, in the early and the late part; words hold collected ones.
	free, words uint32
	// inputs is, by input, the register of the address of its values; result and params those of the result's values and
	// of the parameters; none where the address is to be loaded each time.
	inputs         []int8
	result, params int8
	collected      []collected
}

// collected is where a word is collected: a register, or a place.
type collected struct {
	reg  int8
	home int32
}

// The registers that addresses and words are given for good, in their order, and how many of them words may take.
const (
	firstPin    = r8
	lastPin     = r13
	collectPins = 4
)

// frames gives words and addresses their registers.
func (c *compiler) frames() frame {
	f := frame{result: none, params: none, inputs: make([]int8, c.program.Inputs)}
	next := firstPin
	take := func() int8 {
		if next > lastPin {
			return none
		}
		next++
		return int8(next - 1)
	}
	for n := range f.inputs {
		f.inputs[n] = none
	}
	for n := range c.layout.collected {
		w := collected{reg: none, home: none}
		if n < collectPins {
			w.reg = take()
			f.words |= 1 << uint(w.reg)
		} else {
			w.home = c.area.take(wordBytes)
		}
		f.collected = append(f.collected, w)
	}
	if c.program.Value != kernel.None {
		f.result = take()
	}
	params := false
	for n := range c.layout.strip {
		st := &c.layout.strip[n]
		for _, x := range st.args[:st.count] {
			if int(x) >= len(c.program.Code) {
				continue
			}
			switch in := &c.program.Code[x]; {
			case in.Op == kernel.Load && f.inputs[in.A] == none:
				f.inputs[in.A] = take()
			case in.Op == kernel.Param && c.strips.values.reg[x] == none && !params:
				params = true
				f.params = take()
			}
		}
	}
	f.free = 1<<rax | 1<<rbx | 1<<r15
	for ; next <= lastPin; next++ {
		f.free |= 1 << next
	}
	return f
}

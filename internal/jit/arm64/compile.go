package arm64

import (
	mathbits "math/bits"
	"slices"

	"github.com/tocsin/tocsin/internal/kernel"
)

// Code is a program in machine code.
type Code struct {
	Bytes []byte
	// Spill is how large a spill area it needs, in slots of 64 bytes.
	Spill int
}

// Words of the argument block; each input has two from firstInputWord on: the address of its values, and that of its OK.
const (
	wordsWord = iota
	paramsWord
	spillWord
	resultOK
	resultValuesWord
	firstInputWord
)

func inputValues(n int32) uint32 { return firstInputWord + 2*uint32(n) }
func inputOK(n int32) uint32     { return firstInputWord + 2*uint32(n) + 1 }

// keptInputs is how many addresses of inputs have a register.
const keptInputs = int(scratch - firstInput)

// compiler is a program on its way to machine code.
type compiler struct {
	allocator
	kept []int32 // the inputs whose address has a register, from firstInput on
}

// Compile turns p into machine code. It works for every program.
func Compile(p *kernel.Program) Code {
	c := &compiler{allocator: allocator{assembler: &assembler{}, layout: lay(p)}}
	c.load = c.loadInput
	c.keepInputs()
	// The parts first: they say what the rest has to prepare.
	before, pair, after := c.part(c.before), c.part(c.lanes), c.part(c.after)

	c.start()
	top := c.here()
	c.startWord()
	c.append(before)
	c.clear()
	if len(pair) > 0 {
		c.loop(pair)
	}
	c.append(after)
	c.add(word, 1)
	c.compare(word, words)
	c.branch(lower, top)
	c.ret()
	const slot = 64
	return Code{Bytes: c.bytes(), Spill: (int(c.highest)*slotBytes + slot - 1) / slot}
}

// part lowers steps, without branches in them, aside.
func (c *compiler) part(steps []step) []uint32 {
	all := c.assembler
	defer func() { c.assembler = all }()
	c.assembler = &assembler{}
	c.lower(steps)
	return c.code
}

// keepInputs chooses the inputs whose address has a register: the first that are loaded.
func (c *compiler) keepInputs() {
	for _, in := range c.program.Code {
		if in.Op == kernel.Load && len(c.kept) < keptInputs {
			c.kept = append(c.kept, in.A)
		}
	}
}

// address loads a word of the argument block.
func (c *compiler) address(d general, n uint32) { c.at(loadWord(), uint32(d), arguments, 8*n) }

// loadInput loads the present lanes of an input.
func (c *compiler) loadInput(d vector, input int32) {
	base := scratch
	if n := slices.Index(c.kept, input); n >= 0 {
		base = firstInput + general(n)
	} else {
		c.address(base, inputValues(input))
	}
	c.indexed(loadVector(), uint32(d), base, lane)
}

// start emits what runs once.
func (c *compiler) start() {
	c.address(words, wordsWord)
	c.skipUnlessZero(words)
	c.ret()
	if c.highest > 0 {
		c.address(spill, spillWord)
	}
	if c.program.Value != kernel.None {
		c.address(resultValues, resultValuesWord)
	}
	for n, input := range c.kept {
		c.address(firstInput+general(n), inputValues(input))
	}
	if len(c.params) > 0 {
		c.address(scratch, paramsWord)
	}
	for _, i := range c.params {
		home := c.homes[i]
		d := c.transient()
		if home.register != none {
			d = vector(home.register)
		}
		c.at(loadDouble(), uint32(d), scratch, 8*uint32(c.program.Code[i].A))
		c.two(opDUP, d, d)
		if home.register == none {
			c.toSlot(d, home.slot)
		}
	}
	c.constant(word, 0)
	c.constant(lane, 0)
}

// transient is a register that is free between parts.
func (c *compiler) transient() vector { return vector(mathbits.TrailingZeros32(c.pool)) }

// startWord sets the bits of a word's first two lanes.
func (c *compiler) startWord() {
	if !c.masked {
		return
	}
	c.constant(scratch, 1<<0)
	c.fromGeneral(bits, scratch)
	c.constant(scratch, 1<<1)
	c.intoSecond(bits, scratch)
}

// clear empties the words that lanes are collected in.
func (c *compiler) clear() {
	for _, name := range c.collected {
		home := c.homes[name]
		if home.register != none {
			c.one(opZero, vector(home.register))
			continue
		}
		d := c.transient()
		c.one(opZero, d)
		c.toSlot(d, home.slot)
	}
}

// Two lanes have pairBytes, a word's values 1<<wordBytes.
const (
	pairBytes = 16
	wordBytes = 9
)

// shortLoop is how many instructions a loop over lanes may have for the sake of fewer rounds.
const shortLoop = 64

// loop emits the loop over a word's lanes, of which pair computes two.
func (c *compiler) loop(pair []uint32) {
	top := c.here()
	copies := 4
	for copies > 1 && copies*len(pair) > shortLoop {
		copies /= 2
	}
	for range copies {
		c.append(pair)
		if c.masked {
			c.two(opSHL2, bits, bits)
		}
		c.add(lane, pairBytes)
	}
	c.testLow(lane, wordBytes)
	c.branch(notEqual, top)
}

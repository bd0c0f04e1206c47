package amd64

import "github.com/tocsin/tocsin/internal/kernel"

// start emits what runs once.
func (c *compiler) start() {
	c.legacy(opLoadWord, spill, argument(argSpill))
	if c.frame.result != none {
		c.legacy(opLoadWord, reg(c.frame.result), argument(argValues))
	}
	for n, r := range c.frame.inputs {
		if r != none {
			c.legacy(opLoadWord, reg(r), inputValues(int32(n)))
		}
	}
	params := c.frame.params
	if params != none {
		c.legacy(opLoadWord, reg(params), argument(argParams))
	}
	for _, x := range c.strips.pinned {
		r := reg(c.strips.values.reg[x])
		if n := x - int32(len(c.program.Code)); n >= 0 {
			c.literal(r, n)
			continue
		}
		if params == none {
			params = int8(scratch)
			c.legacy(opLoadWord, scratch, argument(argParams))
		}
		c.spread(r, at(reg(params), 8*c.program.Code[x].A))
	}
	c.zero(lane)
	c.zero(word)
}

// shortRound is how many micros a round may have for the sake of fewer rounds. Longer ones gain nothing that can be
// measured, and code should be small: there may be thousands of kernels, and each runs rarely.
const shortRound = 32

// round emits the strips of a word, in a loop where they are long.
func (c *compiler) round() {
	for _, w := range c.frame.collected {
		if w.reg != none {
			c.zero(reg(w.reg))
		} else {
			c.storeZero(at(spill, w.home))
		}
	}
	if len(c.strips.micros) == 0 {
		return
	}
	all := kernel.WordLanes / c.isa.lanes()
	c.unroll = all
	for c.unroll > 1 && int(c.unroll)*len(c.strips.micros) > shortRound {
		c.unroll /= 2
	}
	c.startBits()
	looped := c.unroll < all
	if looped {
		c.zero(strip)
	}
	top := c.here()
	for n := range c.unroll {
		for m := range c.strips.micros {
			c.encode(&c.strips.micros[m], n)
		}
		c.nextBits()
	}
	c.add(lane, c.unroll*c.isa.vectorBytes())
	if !looped {
		return
	}
	// What was collected is at the words' low end: the next strips come there, and the first have come round.
	for _, w := range c.frame.collected {
		c.rotateRight(c.collectedAt(w), byte(c.unroll*c.isa.lanes()))
	}
	c.add(strip, c.unroll)
	c.compareNumber(strip, int8(all))
	c.jumpBelow(top)
}

func (c *compiler) collectedAt(w collected) operand {
	if w.reg != none {
		return direct(reg(w.reg))
	}
	return at(spill, w.home)
}

// collect appends the bits of strip n of the round, which are in scratch, to a collected word.
func (c *compiler) collect(w collected, n int32) {
	if shift := n * c.isa.lanes(); shift > 0 {
		c.shiftLeft(direct(scratch), byte(shift))
	}
	if w.reg != none {
		c.legacy(opOr, reg(w.reg), direct(scratch))
	} else {
		c.legacy(opOrInto, scratch, at(spill, w.home))
	}
}

// source returns the operand of what strip n of the round reads, and how many bytes a displacement counts in EVEX. It may
// load an address into scratch.
func (c *compiler) source(s source, n int32) operand {
	address := func(r int8, from operand) reg {
		if r != none {
			return reg(r)
		}
		c.legacy(opLoadWord, scratch, from)
		return scratch
	}
	switch s.kind {
	case inRegister:
		return direct(s.r)
	case inInput:
		return operand{base: address(c.frame.inputs[s.n], inputValues(s.n)), index: lane, disp: n * c.isa.vectorBytes()}
	case inResult:
		return operand{base: address(c.frame.result, argument(argValues)), index: lane, disp: n * c.isa.vectorBytes()}
	case inParam:
		return at(address(c.frame.params, argument(argParams)), 8*s.n)
	case inWord:
		if c.isa == AVX2 {
			return at(spill, s.n)
		}
		if c.unroll*c.isa.lanes() == kernel.WordLanes {
			return at(spill, s.n+n)
		}
		return operand{base: spill, index: strip, disp: s.n + n}
	}
	return at(spill, s.n)
}

// encode emits m for strip n of the round.
func (c *compiler) encode(m *micro, n int32) {
	if c.isa == AVX2 {
		c.encode2(m, n)
	} else {
		c.encode512(m, n)
	}
}

func (c *compiler) literal(d reg, n int32) {
	if c.isa == AVX2 {
		c.literal2(d, n)
	} else {
		c.literal512(d, n)
	}
}

func (c *compiler) spread(d reg, from operand) {
	if c.isa == AVX2 {
		c.vex(opSpread, d, 0, from)
	} else {
		c.evex(opSpread, d, 0, from, 0, 8)
	}
}

// open begins a strip with the given vector registers.
func (s *stripper) open(vectors uint32) {
	const masks = 1<<8 - 1<<1 // the first cannot choose
	s.vector = file{keeper: s, unit: s.isa.vectorBytes()}
	s.vector.open(vectors)
	s.mask = &s.vector
	if s.isa == AVX512 {
		s.masks = file{keeper: maskKeeper{s}, unit: wordBytes}
		s.masks.open(masks)
		s.mask = &s.masks
	}
}

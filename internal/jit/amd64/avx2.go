package amd64

// encode2 emits m for strip n of the round with VEX prefixes.
func (c *compiler) encode2(m *micro, n int32) {
	switch m.form {
	case unary:
		c.vex(m.op, m.d, 0, c.source(m.b, n))
	case binary:
		c.vex(m.op, m.d, m.a, c.source(m.b, n))
	case unaryByte:
		c.vex(m.op, m.d, 0, c.source(m.b, n))
		c.bytes(m.x)
	case binaryByte:
		c.vex(m.op, m.d, m.a, c.source(m.b, n))
		c.bytes(m.x)
	case blend:
		c.vex(opBlendV, m.d, m.a, c.source(m.b, n))
		c.bytes(m.x << 4)
	case spread:
		c.spread(m.d, c.source(m.b, n))
	case literal:
		c.literal2(m.d, int32(m.x))
	case store:
		c.vex(m.op, m.d, 0, c.source(m.b, n))
	case expand:
		c.vex(opSpreadWord, m.d, 0, c.source(m.b, n))
		c.vex(opAndBits, m.d, m.d, direct(bitsRegister))
		c.vex(opEqualWords, m.d, m.d, direct(bitsRegister))
	case collect:
		c.vex(opSignBits, scratch, 0, direct(m.d))
		c.collect(c.frame.collected[m.b.n], n)
	default:
		panic("BUG: an instruction that AVX2 does not have")
	}
}

// The shifts' extensions of their opcode.
const (
	shiftRight reg = 2
	shiftLeft  reg = 6
)

// literal2 sets all lanes to a constant, out of vectors of all ones.
func (c *compiler) literal2(d reg, n int32) {
	c.vex(opEqualHalfs, d, d, direct(d))
	shift := func(way reg, bits byte) {
		c.vex(opShiftBy, way, d, direct(d))
		c.bytes(bits)
	}
	literalShifts(n, shift)
}

// literalShifts makes a constant of all ones.
func literalShifts(n int32, shift func(way reg, bits byte)) {
	switch n {
	case minusZero:
		shift(shiftLeft, 63)
	case one: // ten ones after two zeros
		shift(shiftLeft, 54)
		shift(shiftRight, 2)
	}
}

// startBits sets the bits of a word's first strip.
func (c *compiler) startBits() {
	if c.isa != AVX2 || !c.layout.expands {
		return
	}
	const firstFour = 1 | 2<<8 | 4<<16 | 8<<24
	c.number(firstFour)
	c.vex(opFromGeneral, bitsRegister, 0, direct(scratch))
	c.vex(opWidenBytes, bitsRegister, 0, direct(bitsRegister))
}

// nextBits moves the bits on to the next strip.
func (c *compiler) nextBits() {
	if c.isa != AVX2 || !c.layout.expands {
		return
	}
	c.vex(opShiftBy, shiftLeft, bitsRegister, direct(bitsRegister))
	c.bytes(byte(c.isa.lanes()))
}

package amd64

// encode512 emits m for strip n of the round with EVEX prefixes; mask registers have VEX prefixes.
func (c *compiler) encode512(m *micro, n int32) {
	o, more, bytes := c.source(m.b, n), byte(0), c.isa.vectorBytes()
	if m.b.kind == inParam {
		more, bytes = evexBroadcast, 8
	}
	switch m.form {
	case unary:
		c.evex(m.op, m.d, 0, o, more, bytes)
	case binary:
		c.evex(m.op, m.d, m.a, o, more, bytes)
	case unaryByte:
		c.evex(m.op, m.d, 0, o, more, bytes)
		c.bytes(m.x)
	case binaryByte:
		c.evex(m.op, m.d, m.a, o, more, bytes)
		c.bytes(m.x)
	case blend:
		c.evex(opBlendM, m.d, m.a, o, more|m.x, bytes)
	case unit:
		c.evex(m.op, m.d, 0, o, evexZero|m.x, bytes)
	case spread:
		c.spread(m.d, o)
	case literal:
		c.literal512(m.d, int32(m.x))
	case store:
		c.evex(m.op, m.d, 0, o, 0, bytes)
	case expand, maskLoad:
		c.vex(opMaskLoad, m.d, 0, o)
	case maskStore:
		c.vex(opMaskStore, m.d, 0, o)
	case maskBinary:
		c.vex(m.op, m.d, m.a, o)
	case collect:
		c.vex(opMaskBits, scratch, 0, direct(m.d))
		c.collect(c.frame.collected[m.b.n], n)
	}
}

// literal512 sets all lanes to a constant, out of vectors of all ones.
func (c *compiler) literal512(d reg, n int32) {
	const allOnes = 0xff // the table of the function that is always true
	c.evex(opTernary, d, d, direct(d), 0, c.isa.vectorBytes())
	c.bytes(allOnes)
	shift := func(way reg, bits byte) {
		c.evex(opShiftBy, way, d, direct(d), 0, c.isa.vectorBytes())
		c.bytes(bits)
	}
	literalShifts(n, shift)
}

package arm64

import "github.com/tocsin/tocsin/internal/kernel"

// lower emits the steps of a part.
func (c *compiler) lower(steps []step) {
	c.begin(steps)
	for i := range steps {
		s := &steps[i]
		switch s.op {
		case kernel.Valid:
			c.valid(s)
		case kernel.Select:
			c.choose(s, c.operands(i))
		case storeMask:
			from := c.operands(i)[0]
			c.address(scratch, resultOK)
			c.scaled(storeDouble(), uint32(from), scratch, word)
		case storeValue:
			c.indexed(storeVector(), uint32(c.operands(i)[0]), resultValues, lane)
		case collect:
			c.collect(s, c.operands(i)[0])
		case kernel.Bool:
			from := c.operands(i)[0]
			d := c.define(s.name) // not the mask's register: it is written first
			c.one(opOne, d)
			c.three(opAND, d, d, from)
		default:
			c.plain(s, c.operands(i))
		}
		c.done(s)
	}
}

// valid loads the present word of an input's validity into both lanes.
func (c *compiler) valid(s *step) {
	c.address(scratch, inputOK(s.args[0]))
	d := c.define(s.name)
	c.scaled(loadDouble(), uint32(d), scratch, word)
	c.two(opDUP, d, d)
}

// choose takes yes where the mask is set, bit for bit. Each of the three instructions that do so overwrites another
// operand: one that is not needed any more, if there is one.
func (c *compiler) choose(s *step, in [3]vector) {
	mask, yes, no := in[0], in[1], in[2]
	switch {
	case c.dies(s.args[0]):
		c.three(opBSL, c.inherit(s.name, s.args[0]), yes, no)
	case c.dies(s.args[2]):
		c.three(opBIT, c.inherit(s.name, s.args[2]), yes, mask)
	case c.dies(s.args[1]):
		c.three(opBIF, c.inherit(s.name, s.args[1]), no, mask)
	default:
		d := c.define(s.name)
		c.move(d, mask)
		c.three(opBSL, d, yes, no)
	}
}

// collect puts a mask's two lanes under their bits into the mask's word. The rest of the word stays as it is.
func (c *compiler) collect(s *step, from vector) {
	name := s.args[0] + c.size
	home := c.homes[name]
	if home.register != none {
		c.three(opBIT, vector(home.register), from, bits)
		return
	}
	d := c.take(name)
	c.fromSlot(d, home.slot)
	c.three(opBIT, d, from, bits)
	c.toSlot(d, home.slot)
	c.release(name)
}

// plain emits the steps that read their operands and then write their result, which may take an operand's register.
func (c *compiler) plain(s *step, in [3]vector) {
	c.bury(s.needs())
	d := c.define(s.name)
	a, b := in[0], in[1]
	switch s.op {
	case kernel.Add:
		c.three(opFADD, d, a, b)
	case kernel.Sub:
		c.three(opFSUB, d, a, b)
	case kernel.Mul:
		c.three(opFMUL, d, a, b)
	case kernel.Div:
		c.three(opFDIV, d, a, b)
	case kernel.Neg:
		c.two(opFNEG, d, a)
	case kernel.Abs:
		c.two(opFABS, d, a)
	case kernel.Sqrt:
		c.two(opFSQRT, d, a)
	case kernel.Floor:
		c.two(opFRINTM, d, a)
	case kernel.Ceil:
		c.two(opFRINTP, d, a)
	case kernel.Less:
		c.three(opFCMGT, d, b, a)
	case kernel.LessEqual:
		c.three(opFCMGE, d, b, a)
	case kernel.Equal:
		c.three(opFCMEQ, d, a, b)
	case kernel.NotEqual:
		c.three(opFCMEQ, d, a, b)
		c.two(opNOT, d, d)
	case kernel.And:
		c.three(opAND, d, a, b)
	case kernel.Or:
		c.three(opORR, d, a, b)
	case kernel.AndNot:
		c.three(opBIC, d, a, b)
	default:
		panic("BUG: no code for " + s.op.String())
	}
}

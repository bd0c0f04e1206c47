package amd64

import "github.com/tocsin/tocsin/internal/kernel"

// stripper chooses the instructions and registers of a strip. It keeps the strip's values and masks.
type stripper struct {
	program *kernel.Program
	isa     ISA
	layout  *layout
	values  values
	vector  file
	mask    *file // vector in AVX2
	masks   file  // the mask registers of AVX-512
	// words are where the early masks stand.
	words *values
	// pinned are the parameters and constants that have a register for good.
	pinned []int32
	// collected is how many masks have become words.
	collected int32
	micros    []micro
}

// lower makes the micros of a strip.
func (s *stripper) lower() {
	for n := range s.layout.strip {
		st := &s.layout.strip[n]
		if st.ins == kernel.None {
			s.emit(micro{form: store, op: opStore, d: s.values.use(&s.vector, st.args[0]), b: source{kind: inResult}})
			return
		}
		in := &s.program.Code[st.ins]
		switch {
		case in.Op == kernel.Less || in.Op == kernel.LessEqual || in.Op == kernel.Equal || in.Op == kernel.NotEqual:
			s.compare(st, in.Op)
		case in.Op.Mask():
			s.combineMasks(st, in.Op)
		case in.Op == kernel.Select:
			s.choose(st)
		case in.Op == kernel.Bool:
			s.truth(st)
		case in.Op == kernel.Neg || in.Op == kernel.Abs:
			s.sign(st, in.Op)
		case in.Op.Operands() == 1:
			s.apply(st, in.Op)
		default:
			s.combine(st, in.Op)
		}
	}
}

func (s *stripper) emit(m micro) { s.micros = append(s.micros, m) }

// operand is what to read argument n of the step from, without a register of its own where memory serves as well.
func (s *stripper) operand(st *step, n int) source {
	x := st.args[n]
	if s.values.reg[x] == none && (st.next[n] == never || s.vector.free == 0 || s.isa == AVX512 && s.param(x)) {
		if from, ok := s.memory(x); ok {
			return from
		}
	}
	return register(s.values.use(&s.vector, x))
}

func (s *stripper) param(x int32) bool {
	return int(x) < len(s.program.Code) && s.program.Code[x].Op == kernel.Param
}

// memory is where x can be read from by any instruction that takes memory.
func (s *stripper) memory(x int32) (source, bool) {
	if int(x) >= len(s.program.Code) {
		return source{}, false
	}
	switch in := &s.program.Code[x]; {
	case in.Op == kernel.Load:
		return source{kind: inInput, n: in.A}, true
	case in.Op == kernel.Param:
		return source{kind: inParam, n: in.A}, s.isa == AVX512
	case !in.Op.Mask() && s.values.home[x] != none:
		return source{kind: inArea, n: s.values.home[x]}, true
	}
	return source{}, false
}

// done gives back what the step needed last and returns the register of its result.
func (s *stripper) done(st *step) reg {
	s.vector.locked, s.masks.locked = 0, 0
	for n := range st.count {
		x := st.args[n]
		s.values.used(s.fileOf(x), x, st.next[n])
	}
	d := s.values.take(s.fileOf(st.ins))
	for _, x := range st.args[:st.count] { // Only now: the step reads homes after the taking may have written to some.
		s.values.forget(s.fileOf(x), x)
	}
	return d
}

func (s *stripper) fileOf(x int32) *file {
	if int(x) < len(s.program.Code) && s.program.Code[x].Op.Mask() {
		return s.mask
	}
	return &s.vector
}

// result says that the step's value stands in r.
func (s *stripper) result(st *step, r reg) {
	s.values.hold(s.fileOf(st.ins), st.ins, r)
}

// resultMask is result for a mask, which may have to become a word too.
func (s *stripper) resultMask(st *step, r reg) {
	s.result(st, r)
	if !s.layout.traits[st.ins].all(words) {
		return
	}
	s.emit(micro{form: collect, d: r, b: source{n: s.collected}}) // They come in the layout's order.
	s.collected++
	s.values.used(s.mask, st.ins, s.values.next[st.ins])
}

func (s *stripper) combine(st *step, op kernel.Op) {
	a := s.values.use(&s.vector, st.args[0])
	b := s.operand(st, 1)
	d := s.done(st)
	codes := [...]opcode{opAdd, opSub, opMul, opDiv}
	s.emit(micro{form: binary, op: codes[op-kernel.Add], d: d, a: a, b: b})
	s.result(st, d)
}

// What VROUNDPD and VRNDSCALEPD do: without an exception for what is not whole.
const (
	roundDown = 8 | 1
	roundUp   = 8 | 2
)

func (s *stripper) apply(st *step, op kernel.Op) {
	b := s.operand(st, 0)
	d := s.done(st)
	switch op {
	case kernel.Sqrt:
		s.emit(micro{form: unary, op: opSqrt, d: d, b: b})
	case kernel.Floor:
		s.emit(micro{form: unaryByte, op: opRound, d: d, b: b, x: roundDown})
	case kernel.Ceil:
		s.emit(micro{form: unaryByte, op: opRound, d: d, b: b, x: roundUp})
	}
	s.result(st, d)
}

func (s *stripper) sign(st *step, op kernel.Op) {
	a := s.values.use(&s.vector, st.args[1])
	b := s.operand(st, 0)
	d := s.done(st)
	code := opVXor
	if op == kernel.Abs {
		code = opVAndN
	}
	s.emit(micro{form: binary, op: code, d: d, a: a, b: b})
	s.result(st, d)
}

func (s *stripper) choose(st *step) {
	m := s.values.use(s.mask, st.args[0])
	no := s.values.use(&s.vector, st.args[2])
	yes := s.operand(st, 1)
	d := s.done(st)
	s.emit(micro{form: blend, d: d, a: no, b: yes, x: uint8(m)})
	s.result(st, d)
}

func (s *stripper) truth(st *step) {
	m, unitIn := s.values.use(s.mask, st.args[0]), s.values.use(&s.vector, st.args[1])
	d := s.done(st)
	if s.isa == AVX2 {
		s.emit(micro{form: binary, op: opVAnd, d: d, a: m, b: register(unitIn)})
	} else {
		s.emit(micro{form: unit, op: opMove, d: d, b: register(unitIn), x: uint8(m)})
	}
	s.result(st, d)
}

// How VCMPPD compares, without an exception for a quiet NaN: names as in the manual, table 3-1 of CMPPD.
const (
	equal        = 0x00 // EQ_OQ
	notEqual     = 0x04 // NEQ_UQ
	less         = 0x11 // LT_OQ
	lessEqual    = 0x12 // LE_OQ
	greater      = 0x1e // GT_OQ
	greaterEqual = 0x1d // GE_OQ
)

func (s *stripper) compare(st *step, op kernel.Op) {
	codes := [...]uint8{less, lessEqual, equal, notEqual}
	how := codes[op-kernel.Less]
	// The second operand may come from memory. Which is the second does not matter, but for its name.
	if _, ok := s.memory(st.args[0]); ok && s.values.reg[st.args[0]] == none && s.values.reg[st.args[1]] != none {
		mirrored := [...]uint8{greater, greaterEqual, equal, notEqual}
		how = mirrored[op-kernel.Less]
		st.args[0], st.args[1] = st.args[1], st.args[0]
		st.next[0], st.next[1] = st.next[1], st.next[0]
	}
	a := s.values.use(&s.vector, st.args[0])
	b := s.operand(st, 1)
	d := s.done(st)
	s.emit(micro{form: binaryByte, op: opCmp, d: d, a: a, b: b, x: how})
	s.resultMask(st, d)
}

func (s *stripper) combineMasks(st *step, op kernel.Op) {
	a, b := s.values.use(s.mask, st.args[0]), s.values.use(s.mask, st.args[1])
	d := s.done(st)
	m := micro{form: binary, d: d, a: a, b: register(b)}
	var codes [3]opcode
	if s.isa == AVX2 {
		codes = [...]opcode{opVAnd, opVOr, opVAndN}
	} else {
		m.form = maskBinary
		codes = [...]opcode{opMaskAnd, opMaskOr, opMaskAndN}
	}
	m.op = codes[op-kernel.And]
	if op == kernel.AndNot { // The instructions invert their first operand.
		m.a, m.b = b, register(a)
	}
	s.emit(m)
	s.resultMask(st, d)
}

// fetch implements keeper for vectors and, in AVX2, masks.
func (s *stripper) fetch(r reg, x int32) {
	if n := x - int32(len(s.program.Code)); n >= 0 {
		s.emit(micro{form: literal, d: r, x: uint8(n)})
		return
	}
	switch in := &s.program.Code[x]; {
	case in.Op == kernel.Load:
		s.emit(micro{form: unary, op: opLoad, d: r, b: source{kind: inInput, n: in.A}})
	case in.Op == kernel.Param:
		s.emit(micro{form: spread, d: r, b: source{kind: inParam, n: in.A}})
	case s.layout.traits[x].all(pure):
		s.emit(micro{form: expand, d: r, b: source{kind: inWord, n: s.words.home[x]}})
	default:
		s.emit(micro{form: unary, op: opLoad, d: r, b: source{kind: inArea, n: s.values.home[x]}})
	}
}

// save implements keeper.
func (s *stripper) save(r reg, place int32) {
	s.emit(micro{form: store, op: opStore, d: r, b: source{kind: inArea, n: place}})
}

// maskKeeper is the stripper as keeper of mask registers.
type maskKeeper struct{ *stripper }

func (s maskKeeper) fetch(r reg, x int32) {
	if s.layout.traits[x].all(pure) {
		s.stripper.fetch(r, x)
		return
	}
	s.emit(micro{form: maskLoad, d: r, b: source{kind: inArea, n: s.values.home[x]}})
}

func (s maskKeeper) save(r reg, place int32) {
	s.emit(micro{form: maskStore, d: r, b: source{kind: inArea, n: place}})
}

package amd64

import (
	"github.com/tocsin/tocsin/internal/kernel"
)

// ISA is an instruction set to compile for.
type ISA uint8

// The instruction sets. AVX512 is F, DQ, BW and VL.
const (
	AVX2 ISA = iota
	AVX512
)

// String returns the set's name.
func (i ISA) String() string {
	if i == AVX2 {
		return "avx2"
	}
	return "avx512"
}

// lanes is how many lanes a register holds, and so a strip.
func (i ISA) lanes() int32 {
	if i == AVX2 {
		return 4
	}
	return 8
}

// vectorBytes is how many bytes a register holds.
func (i ISA) vectorBytes() int32 { return 8 * i.lanes() }

// Code is a program in machine code.
type Code struct {
	Bytes []byte
	// Spill is how large a spill area it needs, in slots of 64 bytes.
	Spill int
}

// compiler is a program on its way to machine code.
type compiler struct {
	assembler
	program *kernel.Program
	isa     ISA
	layout  layout
	area    area
	strips  stripper
	words   worder
	frame   frame
	unroll  int32 // strips a round of the loop over strips; all of a word where there is no loop
}

// Compile turns p into machine code for isa. It works for every program.
func Compile(p *kernel.Program, isa ISA) Code {
	u := user{instructions: int32(len(p.Code))}
	c := &compiler{program: p, isa: isa}
	c.code = make([]byte, 0, 1024)
	c.layout = lay(p, &u)
	c.words = worder{assembler: &c.assembler, program: p, layout: &c.layout, values: newValues(len(p.Code), &c.area)}
	c.words.general = file{keeper: &c.words, unit: wordBytes}
	c.strips = stripper{
		program: p, isa: isa, layout: &c.layout, values: newValues(u.names(), &c.area), words: &c.words.values,
	}
	for i := range p.Code {
		in := &p.Code[i]
		c.words.values.again[i] = in.Op == kernel.Valid
		c.strips.values.again[i] = in.Op == kernel.Load || in.Op == kernel.Param || c.layout.traits[i].all(pure)
	}
	for n := range constants {
		c.strips.values.again[u.constant(n)] = true
	}
	look(c.layout.strip, c.strips.values.next)
	vectors := c.vectors()
	c.frame = c.frames()

	c.start()
	top := c.here()
	c.words.early(c.frame.free)
	c.strips.open(vectors)
	c.strips.lower()
	c.round()
	for n, x := range c.layout.collected {
		c.words.values.reg[x], c.words.values.home[x] = c.frame.collected[n].reg, c.frame.collected[n].home
	}
	c.words.late(c.frame.free | c.frame.words)
	c.legacy(opIncrement, 0, direct(word))
	c.legacy(opCompare, word, argument(argWords))
	c.jumpBelow(top)
	c.leave()
	return Code{Bytes: c.code, Spill: int(c.area.size / slotBytes)}
}

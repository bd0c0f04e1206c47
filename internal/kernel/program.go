package kernel

import (
	"fmt"
	"strings"
)

// Op is what an instruction does.
type Op uint8

// The operations. "Value" is a float64 a lane, "mask" a bit a lane; IEEE 754 double precision, round to nearest even, no
// step is merged with another. Where both operands of an arithmetic operation are NaN, the processor decides which one's
// payload the result bears, by their order: A is the first operand.
const (
	// Load is the value of input A.
	Load Op = iota
	// Param is parameter A, the same in all lanes.
	Param
	// Add, Sub, Mul, Div are values of the values A and B.
	Add
	Sub
	Mul
	Div
	// Neg and Abs set the sign of value A, NaN included, and nothing else.
	Neg
	Abs
	// Sqrt, Floor and Ceil are values of value A.
	Sqrt
	Floor
	Ceil
	// Select is value B where mask A is set, value C elsewhere, bit for bit.
	Select
	// Bool is 1 where mask A is set, 0 elsewhere: a value.
	Bool
	// Valid is the mask of which lanes of input A have a value.
	Valid
	// Less (A < B), LessEqual (A <= B), Equal and NotEqual compare values and make a mask. NaN is unlike everything: the
	// first three are false, NotEqual is true.
	Less
	LessEqual
	Equal
	NotEqual
	// And, Or and AndNot (A and not B) are masks of the masks A and B.
	And
	Or
	AndNot

	opCount
)

// Ops is how many operations there are.
const Ops = int(opCount)

// opNames are the operations' names in their order.
func opNames() [opCount]string {
	return [opCount]string{
		"load", "param", "add", "sub", "mul", "div", "neg", "abs", "sqrt", "floor", "ceil", "select", "bool",
		"valid", "lt", "le", "eq", "ne", "and", "or", "andnot",
	}
}

// String returns the operation's name.
func (o Op) String() string { return opNames()[o] }

// Mask reports whether the operation makes a mask.
func (o Op) Mask() bool { return o >= Valid }

// Leaf reports whether the operation's A counts inputs or parameters rather than instructions.
func (o Op) Leaf() bool { return o == Load || o == Param || o == Valid }

// Operands returns how many of A, B and C name instructions.
func (o Op) Operands() int {
	switch o {
	case Load, Param, Valid:
		return 0
	case Neg, Abs, Sqrt, Floor, Ceil, Bool:
		return 1
	case Select:
		return 3
	}
	return 2
}

// Ins is an instruction. A, B and C are the places of earlier instructions in their program, but A of a leaf is the number
// of an input or a parameter.
type Ins struct {
	Op      Op
	A, B, C int32
}

// Args returns the instructions that i needs, in order.
func (i Ins) Args() []int32 {
	all := [3]int32{i.A, i.B, i.C}
	return append([]int32(nil), all[:i.Op.Operands()]...)
}

// None stands for no instruction.
const None = -1

// Program is a kernel's code. It is immutable. Every instruction is needed for the result, and no two are equal.
type Program struct {
	Code []Ins
	// Inputs and Params are how many columns and parameters the program works on.
	Inputs, Params int
	// Value is the instruction whose value is the result, None where only presence is asked for. Mask says which lanes
	// have a result; there always is one.
	Value, Mask int32

	key string
}

// Key is canonical: programs of equal key do the same to the same columns and parameters.
func (p *Program) Key() string { return p.key }

// LastUses returns, by instruction, the last one that needs it; len(p.Code) for those that are the result.
func (p *Program) LastUses() []int32 {
	last := make([]int32, len(p.Code))
	for i, in := range p.Code {
		last[i] = int32(i)
		for n, a := range [3]int32{in.A, in.B, in.C} {
			if n < in.Op.Operands() {
				last[a] = int32(i)
			}
		}
	}
	if p.Value != None {
		last[p.Value] = int32(len(p.Code))
	}
	last[p.Mask] = int32(len(p.Code))
	return last
}

// String lists the program, an instruction a line.
func (p *Program) String() string {
	var b strings.Builder
	for i, in := range p.Code {
		kind := "v"
		if in.Op.Mask() {
			kind = "m"
		}
		fmt.Fprintf(&b, "%s%d = %s", kind, i, in.Op)
		for n, a := range [3]int32{in.A, in.B, in.C} {
			if n < in.Op.Operands() || n == 0 {
				fmt.Fprintf(&b, " %d", a)
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "value %d, mask %d\n", p.Value, p.Mask)
	return b.String()
}

// Builder makes a Program: instructions that are equal become one.
type Builder struct {
	code   []Ins
	known  map[Ins]int32
	inputs int
	params int
}

// NewBuilder returns a builder of a program without instructions.
func NewBuilder() *Builder { return &Builder{known: map[Ins]int32{}} }

// Load returns the value of input n, and counts the inputs.
func (b *Builder) Load(n int) int32 {
	b.inputs = max(b.inputs, n+1)
	return b.emit(Ins{Op: Load, A: int32(n)})
}

// Valid returns the mask of input n, and counts the inputs.
func (b *Builder) Valid(n int) int32 {
	b.inputs = max(b.inputs, n+1)
	return b.emit(Ins{Op: Valid, A: int32(n)})
}

// Param returns a parameter of its own: the n-th call counts n-1.
func (b *Builder) Param() int32 {
	b.params++
	return b.emit(Ins{Op: Param, A: int32(b.params - 1)})
}

// Do returns the value or mask that op makes of args, which are what earlier calls returned.
func (b *Builder) Do(op Op, args ...int32) int32 {
	if op.Leaf() || len(args) != op.Operands() {
		panic(fmt.Sprintf("BUG: %s of %d instructions", op, len(args)))
	}
	var all [3]int32
	copy(all[:], args)
	in := Ins{Op: op, A: all[0], B: all[1], C: all[2]}
	for n, a := range args {
		wantMask := op == And || op == Or || op == AndNot || op == Bool || op == Select && n == 0
		if a < 0 || int(a) >= len(b.code) || b.code[a].Op.Mask() != wantMask {
			panic(fmt.Sprintf("BUG: operand %d of %s is not what it takes", n, op))
		}
	}
	if (op == And || op == Or) && in.A == in.B {
		return in.A
	}
	return b.emit(in)
}

func (b *Builder) emit(in Ins) int32 {
	if n, ok := b.known[in]; ok {
		return n
	}
	n := int32(len(b.code))
	b.code = append(b.code, in)
	b.known[in] = n
	return n
}

// Program returns the program with the given result: value may be None. What the result does not need is left out;
// inputs and parameters keep their numbers.
func (b *Builder) Program(value, mask int32) *Program {
	needed := make([]bool, len(b.code))
	need := func(n int32) {
		if n != None {
			needed[n] = true
		}
	}
	need(value)
	need(mask)
	for i := len(b.code) - 1; i >= 0; i-- {
		if needed[i] {
			for _, a := range b.code[i].Args() {
				need(a)
			}
		}
	}
	p := &Program{Inputs: b.inputs, Params: b.params, Value: None}
	place := make([]int32, len(b.code))
	for i, in := range b.code {
		if !needed[i] {
			continue
		}
		for n, a := range []*int32{&in.A, &in.B, &in.C} {
			if n < in.Op.Operands() {
				*a = place[*a]
			}
		}
		place[i] = int32(len(p.Code))
		p.Code = append(p.Code, in)
	}
	p.Mask = place[mask]
	if value != None {
		p.Value = place[value]
	}
	p.key = p.encode()
	return p
}

func (p *Program) encode() string {
	out := make([]byte, 0, 8+13*len(p.Code))
	number := func(n int32) { out = append(out, byte(n), byte(n>>8), byte(n>>16), byte(n>>24)) }
	for _, n := range []int32{int32(p.Inputs), int32(p.Params), p.Value, p.Mask} {
		number(n)
	}
	for _, in := range p.Code {
		out = append(out, byte(in.Op))
		number(in.A)
		number(in.B)
		number(in.C)
	}
	return string(out)
}

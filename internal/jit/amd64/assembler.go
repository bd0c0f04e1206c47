package amd64

// reg is a register by its number: general, vector or mask.
type reg uint8

// The general registers.
const (
	rax reg = iota
	rcx
	rdx
	rbx
	rsp
	rbp
	rsi
	rdi
	r8
	r9
	r10
	r11
	r12
	r13
	r14
	r15
)

// operand is what an instruction's ModRM byte names: a register, or memory at base + index<<scale + disp.
type operand struct {
	base, index reg
	scale       uint8
	direct      bool // the register base itself
	disp        int32
}

// noIndex is the register that cannot be an index.
const noIndex = rsp

func direct(r reg) operand { return operand{base: r, index: noIndex, direct: true} }

func at(base reg, disp int32) operand { return operand{base: base, index: noIndex, disp: disp} }

// assembler appends instructions. The encodings are those of the Intel 64 and IA-32 Architectures Software Developer's
// Manual, volume 2, chapter 2.
type assembler struct{ code []byte }

func (a *assembler) here() int { return len(a.code) }

func (a *assembler) bytes(b ...byte) { a.code = append(a.code, b...) }

func (a *assembler) int32(n int32) {
	a.code = append(a.code, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}

// modrm appends the ModRM byte, and SIB and displacement where there are any. unit is what EVEX counts a displacement of
// one byte in; 1 elsewhere.
func (a *assembler) modrm(r reg, o operand, unit int32) {
	field := byte(r&7) << 3
	if o.direct {
		a.code = append(a.code, 3<<6|field|byte(o.base&7))
		return
	}
	short := o.disp%unit == 0 && o.disp/unit == int32(int8(o.disp/unit))
	var mod byte
	switch {
	case o.disp == 0 && o.base&7 != rbp: // RBP and R13 without a displacement stand for something else
	case short:
		mod = 1 << 6
	default:
		mod = 2 << 6
	}
	if o.index == noIndex && o.base&7 != rsp {
		a.code = append(a.code, mod|field|byte(o.base&7))
	} else {
		a.code = append(a.code, mod|field|byte(rsp), o.scale<<6|byte(o.index&7)<<3|byte(o.base&7))
	}
	switch mod {
	case 1 << 6:
		a.code = append(a.code, byte(o.disp/unit))
	case 2 << 6:
		a.int32(o.disp)
	}
}

// Legacy instructions: the opcode's last byte.
const (
	opAddImmediate = 0x83 // /0 with a byte
	opAddLong      = 0x81 // /0 with four bytes, /7 compares
	opAnd          = 0x23
	opOr           = 0x0b
	opOrInto       = 0x09
	opXor          = 0x33
	opCompare      = 0x3b
	opLoadWord     = 0x8b
	opStoreWord    = 0x89
	opShift        = 0xc1 // /1 rotates right, /4 shifts left, by a byte
	opStoreNumber  = 0xc7 // /0 with four bytes, sign-extended
	opInvert       = 0xf7 // /2
	opIncrement    = 0xff // /0
)

// legacy appends a 64-bit instruction of r, or of the opcode's extension that stands for r, and o.
func (a *assembler) legacy(op byte, r reg, o operand) {
	const rexW = 0x48
	rex := byte(rexW) | byte(r>>3)<<2 | byte(o.base>>3)
	if !o.direct {
		rex |= byte(o.index>>3) << 1
	}
	a.code = append(a.code, rex, op)
	a.modrm(r, o, 1)
}

// move copies a general register.
func (a *assembler) move(d, s reg) {
	if d != s {
		a.legacy(opLoadWord, d, direct(s))
	}
}

// zero clears a general register.
func (a *assembler) zero(r reg) {
	if r >= r8 {
		a.code = append(a.code, 0x45) // REX.R and REX.B; 32 bits are enough, the rest is cleared too
	}
	a.code = append(a.code, opXor)
	a.modrm(r, direct(r), 1)
}

// number sets the low 32 bits of RAX to n and clears the rest.
func (a *assembler) number(n int32) {
	a.code = append(a.code, 0xb8)
	a.int32(n)
}

func (a *assembler) add(r reg, n int32) {
	if n == int32(int8(n)) {
		a.legacy(opAddImmediate, 0, direct(r))
		a.code = append(a.code, byte(n))
		return
	}
	a.legacy(opAddLong, 0, direct(r))
	a.int32(n)
}

// compareNumber compares r with a small n.
func (a *assembler) compareNumber(r reg, n int8) {
	a.legacy(opAddImmediate, 7, direct(r))
	a.code = append(a.code, byte(n))
}

func (a *assembler) shiftLeft(o operand, n byte) {
	a.legacy(opShift, 4, o)
	a.code = append(a.code, n)
}

func (a *assembler) rotateRight(o operand, n byte) {
	a.legacy(opShift, 1, o)
	a.code = append(a.code, n)
}

// storeZero clears 8 bytes of memory.
func (a *assembler) storeZero(o operand) {
	a.legacy(opStoreNumber, 0, o)
	a.int32(0)
}

// jumpBelow jumps to target, an earlier place, where the last comparison found less, without signs.
func (a *assembler) jumpBelow(target int) {
	const shortLength, longLength = 2, 6
	if distance := target - (a.here() + shortLength); distance >= -128 {
		a.code = append(a.code, 0x72, byte(distance))
		return
	}
	distance := target - (a.here() + longLength)
	a.code = append(a.code, 0x0f, 0x82)
	a.int32(int32(distance))
}

// leave ends the code: the upper halves of the vectors are cleared, without which later SSE instructions would be slow.
func (a *assembler) leave() {
	a.code = append(a.code, 0xc5, 0xf8, 0x77, 0xc3)
}

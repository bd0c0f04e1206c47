package arm64

import "encoding/binary"

// general and vector are registers X0–X30 and V0–V31.
type (
	general uint32
	vector  uint32
)

// The general registers' use; what lies between fixedInputs and scratch holds addresses of inputs.
const (
	arguments general = iota
	words
	word
	lane
	spill
	resultValues
	firstInput
	scratch    general = 16
	scratchTwo general = 17
	zero       general = 31 // reads as 0
)

// bits is the vector register for the bits of the present lanes; those below it are allocated.
const bits vector = 31

// vectorOp is an instruction of full vector registers without its operands. Encodings are those of the Arm Architecture
// Reference Manual for A-profile, chapters C4 and C7.
type vectorOp uint32

// Three operands.
const (
	opFADD  vectorOp = 0x4e60d400
	opFSUB  vectorOp = 0x4ee0d400
	opFMUL  vectorOp = 0x6e60dc00
	opFDIV  vectorOp = 0x6e60fc00
	opFCMGT vectorOp = 0x6ee0e400
	opFCMGE vectorOp = 0x6e60e400
	opFCMEQ vectorOp = 0x4e60e400
	opAND   vectorOp = 0x4e201c00
	opBIC   vectorOp = 0x4e601c00
	opORR   vectorOp = 0x4ea01c00
	opBSL   vectorOp = 0x6e601c00 // d = n where d is set, m elsewhere
	opBIT   vectorOp = 0x6ea01c00 // d = n where m is set
	opBIF   vectorOp = 0x6ee01c00 // d = n where m is not set
	opCMTST vectorOp = 0x4ee08c00 // all ones in lanes where n and m have a bit in common
	opADDP  vectorOp = 0x4ee0bc00 // sums of the halves of n, and of m
)

// Two operands.
const (
	opFNEG   vectorOp = 0x6ee0f800
	opFABS   vectorOp = 0x4ee0f800
	opFSQRT  vectorOp = 0x6ee1f800
	opFRINTM vectorOp = 0x4e619800
	opFRINTP vectorOp = 0x4ee18800
	opNOT    vectorOp = 0x6e205800
	opDUP    vectorOp = 0x4e080400 // both lanes = lane 0 of n
	opSHL2   vectorOp = 0x4f425400 // each lane two bits to the left
)

// One operand.
const (
	opZero vectorOp = 0x6f00e400 // MOVI d, #0
	opOne  vectorOp = 0x6f03f600 // FMOV d, #1.0
)

// condition is when a branch is taken.
type condition uint32

const (
	notEqual condition = 1
	lower    condition = 3 // unsigned
)

// assembler collects instructions, all of one word.
type assembler struct{ code []uint32 }

func (a *assembler) emit(ins uint32) { a.code = append(a.code, ins) }

// append adds instructions, none of which depends on where it stands.
func (a *assembler) append(code []uint32) { a.code = append(a.code, code...) }

// bytes returns the code as it stands in memory.
func (a *assembler) bytes() []byte {
	out := make([]byte, 0, 4*len(a.code))
	for _, ins := range a.code {
		out = binary.LittleEndian.AppendUint32(out, ins)
	}
	return out
}

func (a *assembler) three(op vectorOp, d, n, m vector) {
	a.emit(uint32(op) | uint32(m)<<16 | uint32(n)<<5 | uint32(d))
}
func (a *assembler) two(op vectorOp, d, n vector) { a.three(op, d, n, 0) }
func (a *assembler) one(op vectorOp, d vector)    { a.three(op, d, 0, 0) }

// move copies a vector register.
func (a *assembler) move(d, n vector) { a.three(opORR, d, n, n) }

// fromGeneral sets lane 0 of d to n and lane 1 to 0; intoSecond sets lane 1 alone.
func (a *assembler) fromGeneral(d vector, n general) { a.emit(0x9e670000 | uint32(n)<<5 | uint32(d)) }
func (a *assembler) intoSecond(d vector, n general)  { a.emit(0x4e181c00 | uint32(n)<<5 | uint32(d)) }

// access is a load or store: its form with an unsigned offset in units of size bytes, and its form with a register.
type access struct{ immediate, register, size uint32 }

func loadVector() access  { return access{0x3dc00000, 0x3ce06800, 16} }
func storeVector() access { return access{0x3d800000, 0x3ca06800, 16} }
func loadDouble() access  { return access{0xfd400000, 0xfc606800, 8} } // the register's other half becomes 0
func storeDouble() access { return access{0xfd000000, 0xfc206800, 8} }
func loadWord() access    { return access{0xf9400000, 0xf8606800, 8} }

// offsets is how many offsets an instruction can bear, in units of the access.
const offsets = 1 << 12

// at accesses base+offset in bytes, a multiple of the access' size. It may use scratchTwo, which base is not.
func (a *assembler) at(x access, t uint32, base general, offset uint32) {
	if n := offset / x.size; n < offsets {
		a.emit(x.immediate | n<<10 | uint32(base)<<5 | t)
		return
	}
	a.constant(scratchTwo, offset)
	a.indexed(x, t, base, scratchTwo)
}

// indexed accesses base+index in bytes.
func (a *assembler) indexed(x access, t uint32, base, index general) {
	a.emit(x.register | uint32(index)<<16 | uint32(base)<<5 | t)
}

// scaled accesses base+size·index.
func (a *assembler) scaled(x access, t uint32, base, index general) {
	a.emit(x.register | 1<<12 | uint32(index)<<16 | uint32(base)<<5 | t)
}

// constant sets d to n.
func (a *assembler) constant(d general, n uint32) {
	const half = 16
	a.emit(0xd2800000 | n&0xffff<<5 | uint32(d)) // MOVZ
	if n>>half != 0 {
		a.emit(0xf2a00000 | n>>half<<5 | uint32(d)) // MOVK
	}
}

// add adds n < 4096 to d.
func (a *assembler) add(d general, n uint32) { a.emit(0x91000000 | n<<10 | uint32(d)<<5 | uint32(d)) }

// compare sets the flags to n - m.
func (a *assembler) compare(n, m general) {
	a.emit(0xeb000000 | uint32(m)<<16 | uint32(n)<<5 | uint32(zero))
}

// testLow sets the flags to the lowest so many bits of n.
func (a *assembler) testLow(n general, count uint32) {
	a.emit(0xf2400000 | (count-1)<<10 | uint32(n)<<5 | uint32(zero))
}

func (a *assembler) ret() { a.emit(0xd65f03c0) }

// skipUnlessZero jumps over the next instruction where n is not 0.
func (a *assembler) skipUnlessZero(n general) { a.emit(0xb5000040 | uint32(n)) }

// here returns the place of the next instruction, for branch.
func (a *assembler) here() int { return len(a.code) }

// conditionalReach is how many instructions a conditional branch reaches back.
const conditionalReach = 1 << 18

// branch jumps back to place where c holds. Code can be longer than a conditional branch reaches: then it jumps over one
// that reaches further, 2²⁵ instructions.
func (a *assembler) branch(c condition, place int) {
	if back := place - a.here(); back >= -conditionalReach {
		a.emit(0x54000000 | uint32(back)&0x7ffff<<5 | uint32(c))
		return
	}
	a.emit(0x54000000 | 2<<5 | uint32(c^1)) // the opposite condition, over the next instruction
	a.emit(0x14000000 | uint32(place-a.here())&0x3ffffff)
}

package amd64

// opcode is a vector or mask instruction: its last byte, and the rest of what the prefix says.
type opcode uint32

// Parts of an opcode beyond its last byte.
const (
	map0F   opcode = 1 << 8
	map0F38 opcode = 2 << 8
	map0F3A opcode = 3 << 8
	size66  opcode = 1 << 12 // the prefix that elsewhere is byte 66
	wide    opcode = 1 << 16 // W in EVEX
	long    opcode = 1 << 17 // L in VEX: 256 bits, or three mask registers
)

// The instructions that both AVX2 and AVX-512 have, and the prefixes' difference is all there is to them.
const (
	pd        = map0F | size66 | wide | long
	opLoad    = pd | 0x10
	opStore   = pd | 0x11
	opMove    = pd | 0x28
	opSqrt    = pd | 0x51
	opVAnd    = pd | 0x54
	opVAndN   = pd | 0x55 // not the first, and the second
	opVOr     = pd | 0x56
	opVXor    = pd | 0x57
	opAdd     = pd | 0x58
	opMul     = pd | 0x59
	opSub     = pd | 0x5c
	opDiv     = pd | 0x5e
	opCmp     = pd | 0xc2
	opShiftBy = pd | 0x73 // /2 right, /6 left, quadwords by a byte
	opRound   = map0F3A | size66 | wide | long | 0x09
	opSpread  = map0F38 | size66 | wide | long | 0x19 // vbroadcastsd
)

// Those of AVX2 alone.
const (
	opBlendV      = map0F3A | size66 | long | 0x4b
	opSignBits    = map0F | size66 | long | 0x50 // vmovmskpd
	opSpreadWord  = map0F38 | size66 | long | 0x59
	opEqualWords  = map0F38 | size66 | long | 0x29
	opEqualHalfs  = map0F | size66 | long | 0x76
	opAndBits     = map0F | size66 | long | 0xdb
	opFromGeneral = map0F | size66 | 0x6e
	opWidenBytes  = map0F38 | size66 | long | 0x32 // bytes to quadwords
)

// Those of AVX-512 alone.
const (
	opBlendM    = map0F38 | size66 | wide | 0x65
	opTernary   = map0F3A | size66 | 0x25
	opMaskLoad  = map0F | size66 | 0x90
	opMaskStore = map0F | size66 | 0x91
	opMaskBits  = map0F | size66 | 0x93 // to a general register
	opMaskAnd   = map0F | size66 | long | 0x41
	opMaskAndN  = map0F | size66 | long | 0x42
	opMaskOr    = map0F | size66 | long | 0x45
)

// flip returns 1 where bit n of r is clear: prefixes hold register bits inverted.
func flip(r reg, n uint) byte { return byte(^r>>n) & 1 }

// vex appends an instruction with a VEX prefix: r, v and o are the operands that ModRM's reg, VEX.vvvv and ModRM's rm name.
func (a *assembler) vex(op opcode, r, v reg, o operand) {
	const twoBytes, threeBytes = 0xc5, 0xc4
	x := byte(1)
	if !o.direct {
		x = flip(o.index, 3)
	}
	last := (^byte(v)&15)<<3 | byte(op>>12)&3
	if op&long != 0 {
		last |= 1 << 2
	}
	b, where := flip(o.base, 3), byte(op>>8)&3
	if x == 1 && b == 1 && where == 1 {
		a.code = append(a.code, twoBytes, flip(r, 3)<<7|last, byte(op))
	} else {
		a.code = append(a.code, threeBytes, flip(r, 3)<<7|x<<6|b<<5|where, last, byte(op))
	}
	a.modrm(r, o, 1)
}

// The rest of what an EVEX prefix says.
const (
	evex512       = 2 << 5
	evexBroadcast = 1 << 4
	evexZero      = 1 << 7
)

// evex appends an instruction on 512 bits with an EVEX prefix. more is evexBroadcast, evexZero and the mask register. unit
// is how many bytes of memory o has.
func (a *assembler) evex(op opcode, r, v reg, o operand, more byte, unit int32) {
	x := flip(o.base, 4)
	if !o.direct {
		x = flip(o.index, 3)
	}
	w := byte(0)
	if op&wide != 0 {
		w = 1 << 7
	}
	a.code = append(a.code, 0x62,
		flip(r, 3)<<7|x<<6|flip(o.base, 3)<<5|flip(r, 4)<<4|byte(op>>8)&3,
		w|(^byte(v)&15)<<3|1<<2|byte(op>>12)&3,
		evex512|flip(v, 4)<<3|more,
		byte(op))
	a.modrm(r, o, unit)
}

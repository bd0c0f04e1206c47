package native

import (
	"encoding/binary"
	"slices"
)

// The functions that tests run, assembled by hand. Each says what it does in assembly.

// dumpArguments copies the argument block's first 13 words to V.
func dumpArguments() []byte {
	return instructions(
		0xf9401001, // ldr x1, [x0, #32]
		0xd28001a2, // mov x2, #13
		// word:
		0xf8408403, // ldr x3, [x0], #8
		0xf8008423, // str x3, [x1], #8
		0xf1000442, // subs x2, x2, #1
		0x54ffffa1, // b.ne word
		0xd65f03c0, // ret
	)
}

// addParam makes V of input 0's values plus parameter 0, and OK of its bitmap.
func addParam() []byte {
	return instructions(
		0xf9400001, // ldr x1, [x0]
		0xf9401402, // ldr x2, [x0, #40]
		0xf9401803, // ldr x3, [x0, #48]
		0xf9401004, // ldr x4, [x0, #32]
		0xf9400c05, // ldr x5, [x0, #24]
		0xf9400406, // ldr x6, [x0, #8]
		0xfd4000c1, // ldr d1, [x6]
		// word:
		0xf8408466, // ldr x6, [x3], #8
		0xf80084a6, // str x6, [x5], #8
		0xd2800807, // mov x7, #64
		// lane:
		0xfc408440, // ldr d0, [x2], #8
		0x1e612800, // fadd d0, d0, d1
		0xfc008480, // str d0, [x4], #8
		0xf10004e7, // subs x7, x7, #1
		0x54ffff81, // b.ne lane
		0xf1000421, // subs x1, x1, #1
		0x54fffee1, // b.ne word
		0xd65f03c0, // ret
	)
}

// fillSpill sets all bits of as many slots of the spill area as parameter 0 says (as a whole number's bits), and makes the
// first word of OK the area's address.
func fillSpill() []byte {
	return instructions(
		0xf9400801, // ldr x1, [x0, #16]
		0xf9400c02, // ldr x2, [x0, #24]
		0xf9000041, // str x1, [x2]
		0xf9400402, // ldr x2, [x0, #8]
		0xf9400042, // ldr x2, [x2]
		0x92800003, // mov x3, #-1
		0xd37df042, // lsl x2, x2, #3
		// word:
		0xb4000082, // cbz x2, end
		0xf8008423, // str x3, [x1], #8
		0xd1000442, // sub x2, x2, #1
		0x17fffffd, // b word
		// end:
		0xd65f03c0, // ret
	)
}

// clobber sets all bits of every register that code may use: X0 to X17 and V0 to V31.
func clobber() []byte {
	code := []uint32{0x92800000} // mov x0, #-1
	for r := range uint32(17) {
		code = append(code, 0xaa0003e1+r) // mov x1…, x0
	}
	for r := range uint32(32) {
		code = append(code, 0x6f07e7e0+r) // movi v.2d, #-1
	}
	return instructions(append(code, 0xd65f03c0)...) // ret
}

// padded returns the code of a function that does nothing, so many bytes long, a multiple of 4.
func padded(size int) []byte {
	code := slices.Repeat([]uint32{0xd503201f}, size/4) // nop
	code[len(code)-1] = 0xd65f03c0                      // ret
	return instructions(code...)
}

func instructions(code ...uint32) []byte {
	var out []byte
	for _, i := range code {
		out = binary.LittleEndian.AppendUint32(out, i)
	}
	return out
}

// Package arm64 turns kernel.Program into machine code for arm64 with the 128-bit vector instructions that each such
// processor has: two lanes a register.
//
// It is pure: bytes out, on every host; who runs them is internal/jit/native. Results are those of kernel.Interpreter bit
// for bit, so nothing is reordered, merged or approximated, and operands keep their order.
//
// # Shape of the code
//
// A program is cut into four parts by how often they have to run (see layout):
//
//	once           parameters, spread over both lanes of a register
//	for each word of 64 lanes:
//	  before       masks of nothing but validity, all 64 lanes in one operation
//	  32 times:
//	    lanes      arithmetic and comparisons, two lanes at a time; a mask is all ones or all zeros a lane
//	  after        masks of validity and of comparisons, all 64 lanes in one operation
//
// A mask changes its form between the parts with one instruction a step. The bits register holds the bits that the step's
// two lanes have in a word: CMTST of a word with it makes lanes, BIT of lanes under it collects a word, of which even
// bits stand in the first half of the register and odd ones in the second until both are added.
//
// # Registers
//
//	X0         the argument block        X5        the result's values
//	X1, X2     words in all, word        X6–X15    values of the inputs that are loaded first
//	X3         byte of the lane          X16, X17  short-lived
//	X4         spill area                V31       the bits of the present lanes
//
// V0–V30 are for what outlives a part, from the top, and for the rest. Nothing else is touched.
package arm64

// Package amd64 turns kernel.Program into machine code for amd64, with 256-bit vectors (AVX2, four lanes a register) or
// with 512-bit ones (AVX-512 F, DQ, BW and VL, eight lanes a register).
//
// It is pure: bytes out, on every host; who runs them is internal/jit/native. Results are those of kernel.Interpreter bit
// for bit, so nothing is reordered, merged or approximated, and operands keep their order.
//
// # Shape of the code
//
// A strip is the lanes of one register. A program is cut into parts by how often they have to run (see layout):
//
//	once           addresses, parameters and constants that have a register for good
//	for each word of 64 lanes:
//	  early        masks of nothing but validity that strips want: all 64 lanes in one operation
//	  for each strip:
//	    strip      arithmetic, comparisons, and masks that are wanted lane by lane
//	  late         masks of validity and of comparisons, all 64 lanes in one operation
//
// A mask of the strips that the late part wants is collected: its bits are appended to a word, strip by strip. A mask of
// the early part that the strips want stands in the spill area, and is expanded where it is wanted. Lane by lane a mask is
// a mask register in AVX-512, and a vector of all ones or all zeros in AVX2.
//
// # Registers
//
//	RDI   the argument block            RDX   number of the word
//	RSI   the spill area                RCX   byte of the lane in columns of values
//	RAX   short-lived                   RBX   number of the strip in its word; in the other parts a word
//	R15   a word                        R8–R13  collected words and addresses of columns, or words
//
// RSP, RBP and R14 are left alone. All vectors and masks are for values, but for what parameters and constants take for
// good from the top.
package amd64

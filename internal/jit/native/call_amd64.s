//go:build linux

#include "textflag.h"

// func call(entry uintptr, args *uint64)
//
// The frame takes 24 bytes with the saved frame pointer and the return address; NOSPLIT, so that nothing between the
// caller's look at the addresses and the code can move the stack. Go wants X15 to be zero when it goes on, and R14 and
// RBP as they were, which machine code leaves alone.
TEXT ·call(SB), NOSPLIT, $8-16
	MOVQ entry+0(FP), AX
	MOVQ args+8(FP), DI
	CALL AX
	XORPS X15, X15
	RET

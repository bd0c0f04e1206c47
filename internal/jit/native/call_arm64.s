//go:build linux

#include "textflag.h"

// func call(entry uintptr, args *uint64)
//
// The assembler saves the link register and the frame pointer around the call. NOSPLIT, so that nothing between the
// caller's look at the addresses and the code can move the stack.
TEXT ·call(SB), NOSPLIT, $0-16
	MOVD entry+0(FP), R16
	MOVD args+8(FP), R0
	CALL (R16)
	RET

//go:build linux

#include "textflag.h"

// CTR_EL0 says how long the lines are, as logarithms of words of 4 bytes: bits 16 to 19 for data, 0 to 3 for instructions.

// func cleanData(begin *byte, size int)
TEXT ·cleanData(SB), NOSPLIT, $0-16
	MOVD begin+0(FP), R0
	MOVD size+8(FP), R1
	ADD  R0, R1, R1
	MRS  CTR_EL0, R2
	UBFX $16, R2, $4, R2
	MOVD $4, R3
	LSL  R2, R3, R3
	SUB  $1, R3, R4
	BIC  R4, R0, R0

line:
	DC   CVAU, R0
	ADD  R3, R0, R0
	CMP  R1, R0
	BLO  line
	DSB  $11           // all processors that share memory
	RET

// func forgetInstructions(begin *byte, size int)
TEXT ·forgetInstructions(SB), NOSPLIT, $0-16
	MOVD begin+0(FP), R0
	MOVD size+8(FP), R1
	ADD  R0, R1, R1
	MRS  CTR_EL0, R2
	AND  $15, R2, R2
	MOVD $4, R3
	LSL  R2, R3, R3
	SUB  $1, R3, R4
	BIC  R4, R0, R0

line:
	WORD $0xd50b7520   // IC IVAU, X0: the assembler has no name for it
	ADD  R3, R0, R0
	CMP  R1, R0
	BLO  line
	DSB  $11
	ISB  $15
	RET

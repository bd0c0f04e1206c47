package amd64

// Encodings returns the code of each kind of instruction, with registers and displacements at their ends.
func Encodings() []byte {
	a := &assembler{}
	encodeGeneral(a)
	encodeVectors(a)
	a.leave()
	for a.here() < 300 {
		a.zero(r15)
	}
	a.jumpBelow(a.here() - 126)
	a.jumpBelow(a.here() - 127)
	a.jumpBelow(0)
	return a.code
}

func encodeGeneral(a *assembler) {
	for _, r := range []reg{rax, rdi, r8, r15} {
		a.zero(r)
		a.move(r, rcx)
		a.move(rcx, r)
		a.add(r, 127)
		a.add(r, 128)
		a.compareNumber(r, 16)
		a.shiftLeft(direct(r), 63)
		a.rotateRight(direct(r), 8)
		a.legacy(opInvert, 2, direct(r))
		a.legacy(opIncrement, 0, direct(r))
		for _, op := range []byte{opAnd, opOr, opOrInto, opXor, opCompare, opLoadWord, opStoreWord} {
			a.legacy(op, r, at(rsi, 0))
			a.legacy(op, rcx, at(r, 127))
			a.legacy(op, r, at(r13, 0))    // needs a displacement
			a.legacy(op, r, at(r12, -128)) // needs SIB
			a.legacy(op, r, operand{base: r, index: rdx, scale: 3, disp: 128})
			a.legacy(op, r, operand{base: r13, index: r8, disp: -129})
		}
		a.storeZero(at(r, 8))
		a.rotateRight(at(r, 1<<20), 4)
	}
	a.number(0x08040201)
}

func encodeVectors(a *assembler) {
	memory := []operand{
		direct(0), direct(7), direct(8), direct(15), at(rsi, 0), at(r13, 64), at(rsi, 8128), at(rsi, 8192),
		{base: r9, index: rcx, disp: 480}, {base: r12, index: rbx, disp: 63}, {base: rax, index: r8, disp: -64},
	}
	three := []opcode{opVAnd, opVAndN, opVXor, opAdd, opMul, opSub, opDiv}
	for _, op := range append(three, opAndBits, opEqualWords, opEqualHalfs) {
		a.vex(op, 3, 12, direct(5))
		a.vex(op, 13, 2, direct(9))
	}
	for _, o := range memory {
		a.vex(opAdd, 15, 1, o)
		a.vex(opSqrt, 1, 0, o)
		a.vex(opRound, 9, 0, o)
		a.bytes(roundDown)
		a.vex(opCmp, 1, 15, o)
		a.bytes(lessEqual)
		a.vex(opBlendV, 15, 0, o)
		a.bytes(15 << 4)
		if !o.direct {
			for _, op := range []opcode{opLoad, opStore, opSpread, opSpreadWord, opMaskLoad, opMaskStore} {
				a.vex(op, 7, 0, o)
			}
		}
		a.evex(opAdd, 31, 1, o, 0, slotBytes)
		a.evex(opSqrt, 16, 0, o, 0, slotBytes)
		a.evex(opRound, 8, 0, o, 0, slotBytes)
		a.bytes(roundUp)
		a.evex(opCmp, 7, 16, o, 0, slotBytes)
		a.bytes(notEqual)
		a.evex(opBlendM, 15, 31, o, 7, slotBytes)
		if !o.direct {
			a.evex(opDiv, 24, 23, o, evexBroadcast, wordBytes)
			a.evex(opBlendM, 2, 3, o, evexBroadcast|1, wordBytes)
			for _, op := range []opcode{opLoad, opStore} {
				a.evex(op, 17, 0, o, 0, slotBytes)
			}
			a.evex(opSpread, 30, 0, o, 0, wordBytes)
		}
	}
	for _, op := range three {
		a.evex(op, 3, 20, direct(29), 0, slotBytes)
		a.evex(op, 19, 4, direct(16), 0, slotBytes)
	}
	for _, op := range []opcode{opMaskAnd, opMaskAndN, opMaskOr} {
		a.vex(op, 1, 7, direct(2))
	}
	a.vex(opMaskBits, rax, 0, direct(7))
	a.vex(opSignBits, rax, 0, direct(15))
	a.evex(opMove, 9, 0, direct(31), evexZero|5, slotBytes)
	for n := range constants {
		for _, isa := range []ISA{AVX2, AVX512} {
			c := &compiler{isa: isa}
			c.literal(14, n)
			a.bytes(c.code...)
		}
	}
	c := &compiler{isa: AVX2, layout: layout{expands: true}}
	c.startBits()
	c.nextBits()
	a.bytes(c.code...)
}

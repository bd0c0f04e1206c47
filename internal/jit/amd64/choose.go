package amd64

import "github.com/tocsin/tocsin/internal/kernel"

// What operations cost on eight lanes, in cycles. The divider takes as long for one vector of 512 bits as for two of 256;
// everything else takes half as long, and some of it less.
const (
	divideCycles = 16
	rootCycles   = 24
	// perCycle is how many instructions of AVX2 a processor does in a cycle, at least.
	perCycle = 4
	// roundInstructions is what a strip has besides: the loop, and the collecting of its masks.
	roundInstructions = 4
)

// Choose returns the better instruction set for p where the processor has both.
//
// That is AVX-512, by up to two times, more with every mask. Measured on programs of rules and on random ones, at 64 and at
// 1,024 lanes, the two come within a few percent of each other where the divider is the limit, with AVX2 ahead by 2 % where
// it is by far: there AVX2 is chosen, which on some processors also leaves the clock alone.
func Choose(p *kernel.Program) ISA {
	divider, rest := 0, 2*roundInstructions
	for i := range p.Code {
		switch p.Code[i].Op {
		case kernel.Param, kernel.And, kernel.Or, kernel.AndNot:
		case kernel.Div:
			divider += divideCycles
		case kernel.Sqrt:
			divider += rootCycles
		case kernel.Less, kernel.LessEqual, kernel.Equal, kernel.NotEqual, kernel.Select, kernel.Floor, kernel.Ceil:
			rest += 2 * 3
		default:
			rest += 2
		}
	}
	const byFar = 3
	if divider*perCycle > byFar*rest {
		return AVX2
	}
	return AVX512
}

// Package kernel is the arithmetic of rules as small programs: columns of numbers in, a column out.
//
// A Program is what a run of element-wise nodes of a plan computes, in one piece: straight-line code whose every
// instruction makes one new value, a float64 a lane or a bit a lane, of earlier ones. It is the contract between those who
// have something to compute (exec) and those who compute it: the Interpreter of this package, vectorised Go and the
// reference for all others, or machine code made elsewhere. It must not know expressions, labels, time or machine code.
package kernel

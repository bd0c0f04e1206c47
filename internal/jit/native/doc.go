// Package native runs machine code: it says what the processor can do, owns the memory in which code stands, and calls it.
//
// It is the only room with assembly and executable memory. Code memory is mapped twice, once to write and once to
// execute, so that no address is ever both; that is also what a process under PR_SET_MDWE may do. The package must
// not know how code comes to be: it takes bytes that keep the calling convention described at Function.Run, and cannot
// tell whether they do.
//
// On other systems than Linux and other processors than amd64 and arm64 there is only an Open that says so.
package native

import "errors"

// ErrFull is returned by Arena.Add where the arena's bound leaves no room. Freeing code helps, or a higher bound.
var ErrFull = errors.New("code memory is full")

// CPU is what the processor and the operating system let machine code use.
type CPU struct {
	// AVX2 is the base of machine code on amd64.
	AVX2 bool
	// AVX512 means the instruction sets F, DQ, BW and VL.
	AVX512 bool
	// NEON is the base of machine code on arm64.
	NEON bool
}

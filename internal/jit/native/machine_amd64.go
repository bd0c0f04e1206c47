//go:build linux

package native

import "golang.org/x/sys/cpu"

// Features returns what machine code may use here.
func Features() CPU {
	x := &cpu.X86
	return CPU{
		AVX2:   x.HasAVX2,
		AVX512: x.HasAVX2 && x.HasAVX512F && x.HasAVX512DQ && x.HasAVX512BW && x.HasAVX512VL,
	}
}

// fenceFresh says whether threads must be told of code in memory that they never executed. On amd64 they fetch it from
// caches that have seen the writes.
const fenceFresh = false

// storeNumber returns the code of a function that makes the first word of its argument block n.
func storeNumber(n int) []byte {
	return []byte{
		0x48, 0xc7, 0x07, byte(n), 0, 0, 0, // mov qword [rdi], n
		0xc3, // ret
	}
}

// fillTraps fills b with INT3.
func fillTraps(b []byte) {
	for i := range b {
		b[i] = 0xcc
	}
}

// makeCoherent brings what was written at one address to where instructions are fetched from the other. On amd64 that is
// the processor's work.
func makeCoherent(_, _ []byte) {}

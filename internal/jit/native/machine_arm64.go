//go:build linux

package native

import (
	"encoding/binary"

	"golang.org/x/sys/cpu"
)

// Features returns what machine code may use here.
func Features() CPU { return CPU{NEON: cpu.ARM64.HasASIMD} }

// fenceFresh says whether threads must be told of code in memory that they never executed: on arm64 they may have fetched
// there, guessing.
const fenceFresh = true

// storeNumber returns the code of a function that makes the first word of its argument block n.
func storeNumber(n int) []byte {
	var out []byte
	for _, instruction := range [...]uint32{
		0xd2800001 | uint32(n)<<5, // mov x1, #n
		0xf9000001,                // str x1, [x0]
		0xd65f03c0,                // ret
	} {
		out = binary.LittleEndian.AppendUint32(out, instruction)
	}
	return out
}

// fillTraps fills b with UDF #0.
func fillTraps(b []byte) { clear(b) }

// makeCoherent brings what was written at one address to where instructions are fetched from the other.
func makeCoherent(writable, executable []byte) {
	cleanData(&writable[0], len(writable))
	forgetInstructions(&executable[0], len(executable))
}

// cleanData writes the data cache's lines of size bytes from begin back to where instruction fetches see them.
//
//go:noescape
func cleanData(begin *byte, size int)

// forgetInstructions drops the lines of size bytes from begin from all processors' instruction caches.
//
//go:noescape
func forgetInstructions(begin *byte, size int)

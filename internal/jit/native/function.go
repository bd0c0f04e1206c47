//go:build linux && (amd64 || arm64)

package native

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/tocsin/tocsin/internal/kernel"
)

// Function is machine code that can run. It is safe for concurrent use with different blocks.
type Function struct {
	entry   atomic.Uintptr // 0 once freed
	arena   *Arena
	segment *segment
	at      int // bytes from the segment's begin
	size    int // bytes
}

// Places in the argument block, counted in words of 8 bytes.
const (
	argWords  = 0
	argParams = 1
	argSpill  = 2
	argOK     = 3
	argV      = 4
	argInputs = 5 // two words an input
)

// slotWords is how many words of 8 bytes a slot of the spill area takes: as many as the widest register.
const slotWords = 8

// Run computes b.V and b.OK with machine code compiled from p, which spills to so many slots. It panics where b is not what
// p works on. It allocates where b's scratch memory is too small yet, and not from then on.
//
// Nothing can stop machine code, and the collector waits for it: so it is called for a few words after the other, for as
// many as it surely does within callTime. Each time it gets the address of an argument block in RDI (amd64) or R0 (arm64): words
// of 8 bytes that hold the number of words; the addresses of the parameters, of the spill area (64-byte slots at a multiple
// of 64), of the result's bitmap and of its values; and for each input the addresses of its values and of its bitmap.
// Where there is no such slice, the address is 0. The code returns without having called, keeps the stack pointer, on
// amd64 RBP and R14, on arm64 R18 and R26 to R30, and forgets all addresses. Anything else is its to use.
func (f *Function) Run(b *kernel.Block, p *kernel.Program, spill int) {
	p.Check(b)
	entry := f.entry.Load()
	if entry == 0 || f.arena.closed.Load() {
		panic("BUG: a run of machine code that was freed")
	}
	if b.Words == 0 {
		return
	}
	// The block's slices are of heap memory, which does not move. The argument block is kept with the block, rather than
	// on the stack, for the same reason; it holds addresses as numbers, so b must stay alive until the code is done.
	spillAt := argInputs + 2*p.Inputs
	args := b.Scratch(spillAt + slotWords*spill + slotWords - 1)
	head := (*[argInputs]uint64)(args)
	head[argWords] = uint64(b.Words)
	head[argParams] = address(b.Params)
	head[argSpill] = (address(args[spillAt:]) + alignment - 1) &^ (alignment - 1)
	head[argOK] = address(b.OK)
	head[argV] = address(b.V)
	inputs, columns := b.In[:p.Inputs], args[argInputs:]
	for i := range inputs {
		pair := (*[2]uint64)(columns)
		pair[0], pair[1] = address(inputs[i].V), address(inputs[i].OK)
		columns = columns[2:]
	}
	for left, step := b.Words, wordsPerCall(p); ; {
		n := min(left, step)
		head[argWords] = uint64(n)
		call(entry, &head[0])
		if left -= n; left == 0 {
			break
		}
		ahead(head, args[argInputs:spillAt], uint64(n))
	}
	runtime.KeepAlive(b)
}

// callTime is how long one call of machine code may take, in nanoseconds; wordTime and stepTime are what a word of a
// column that has to come from memory takes at worst, and an instruction of a program for all lanes of a word.
const (
	callTime = 40_000
	wordTime = 100
	stepTime = 20
)

// wordsPerCall returns for how many words at most p's code is called at a time.
func wordsPerCall(p *kernel.Program) int {
	return max(1, callTime/(wordTime*(p.Inputs+1)+stepTime*len(p.Code)))
}

// ahead moves the addresses n words on, those that there are.
func ahead(head *[argInputs]uint64, columns []uint64, n uint64) {
	const bitmapBytes, valueBytes = 8, 8 * kernel.WordLanes
	move := func(at *uint64, bytes uint64) {
		if *at != 0 {
			*at += bytes * n
		}
	}
	move(&head[argOK], bitmapBytes)
	move(&head[argV], valueBytes)
	for i := 0; i < len(columns); i += 2 {
		move(&columns[i], valueBytes)
		move(&columns[i+1], bitmapBytes)
	}
}

// address returns where the elements of s stand, 0 where there are none.
func address[T any](s []T) uint64 {
	if len(s) == 0 {
		return 0
	}
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(s))))
}

// Address returns where the code begins, 0 once it is freed. It is for people and profilers.
func (f *Function) Address() uintptr { return f.entry.Load() }

// Size returns how many bytes the code has.
func (f *Function) Size() int { return f.size }

// room returns how many bytes the code occupies.
func (f *Function) room() int { return roundUp(f.size, alignment) }

// Free gives the code's memory back. The function may not be running; to run it afterwards panics, and so does freeing it
// twice.
func (f *Function) Free() {
	if f.entry.Swap(0) == 0 {
		panic("BUG: machine code was freed twice")
	}
	f.arena.release(f)
}

// call calls the code at entry with args in the register where code expects it. It is written in assembly, and not marked
// as keeping its arguments from the heap: that way the compiler never puts the memory of a block on a stack, which may
// move.
func call(entry uintptr, args *uint64)

package jit

import (
	"sync/atomic"

	"github.com/tocsin/tocsin/internal/kernel"
)

// The tiers, as places in arrays.
const (
	interpreted = iota
	machineCode
	tiers
)

// runner is one user's access to a kernel. It counts its runs by itself, so that users of one kernel on several processors
// do not wait for each other's cache line; and it is as large as two lines, so that neighbours do not either.
//
// entered counts runs in machine code that began, a run ends by adding 1 and, from bit leftBits on, its words to left. As
// fewer than 2^leftBits runs of a runner are ever under way, the low bits of both tell how many are, and so how many of
// left's are runs: two atomic additions a run say all, and more would cost half as much as the smallest kernel.
type runner struct {
	entered, left atomic.Uint64
	slow          counts // interpreted runs

	kernel  *shared
	library *Library
	place   int // in kernel.runners

	_ [128 - 7*8]byte
}

const (
	leftBits = 16
	leftMask = 1<<leftBits - 1
)

// counts are a runner's runs in tier 1, and their words.
type counts struct{ runs, words atomic.Uint64 }

// Run implements kernel.Runner. Every 64th run in machine code is timed.
func (r *runner) Run(b *kernel.Block) {
	if r.kernel.code.Load() == nil {
		r.interpret(b)
		return
	}
	run := r.entered.Add(1)
	c := r.kernel.code.Load() // Whoever takes it away from now on waits for this run to end.
	if c == nil {
		r.entered.Add(^uint64(0))
		r.interpret(b)
		return
	}
	defer r.end(b) // even by a panic: what never ended would be waited for
	if run%timedEvery == 1 {
		r.timed(b, c, run)
		return
	}
	c.function.Run(b, r.kernel.program, c.spill)
}

func (r *runner) end(b *kernel.Block) { r.left.Add(1 + uint64(b.Words)<<leftBits) }

// busy reports whether a run may be using code that it found before the call.
func (r *runner) busy() bool {
	left := r.left.Load() // first: what enters meanwhile counts as busy
	return (r.entered.Load()-left)&leftMask != 0
}

// ran returns runs in machine code that have ended, and their words.
func (r *runner) ran() (runs, words uint64) {
	for {
		left := r.left.Load()
		entered := r.entered.Load()
		if r.left.Load() == left {
			runs = entered - (entered-left)&leftMask
			return runs, (left - runs) >> leftBits
		}
	}
}

// Tier implements kernel.Runner.
func (r *runner) Tier() int { return r.kernel.tier() }

// Why implements kernel.Runner.
func (r *runner) Why() string {
	if r.kernel.code.Load() != nil {
		return ""
	}
	r.library.mu.Lock()
	defer r.library.mu.Unlock()
	return r.library.why(r.kernel)
}

// ID implements kernel.Runner.
func (r *runner) ID() string { return r.kernel.id }

// Close implements kernel.Runner.
func (r *runner) Close() { r.library.release(r) }

package jit

import (
	"sync/atomic"
	"time"

	"github.com/tocsin/tocsin/internal/kernel"
)

// Reading the clock twice costs more than the smallest kernels, so not every run is timed: of a runner's runs in machine
// code the first, for itself, and every 64th after it, for those before it too; of its interpreted runs all that are long,
// and of the others the first and every eighth.
const (
	timedEvery     = 64
	timedEverySlow = 8
	longWords      = 16
)

// took is what the timed runs of a kernel took in one tier.
type took struct {
	// nanos and words are of the timed runs alone; total is what all runs took, as far as timed runs can stand for others.
	nanos, words, total atomic.Uint64
}

// add counts a timed run that stands for so many.
func (t *took) add(d time.Duration, words, standsFor int) {
	n := uint64(max(d, 0))
	t.nanos.Add(n)
	t.words.Add(uint64(words))
	t.total.Add(n * uint64(standsFor))
}

// standsFor returns for how many runs the run of that number, from 1 on, stands where every n-th is timed.
func standsFor(run uint64, n int) int {
	if run == 1 {
		return 1
	}
	return n
}

// timed runs code and measures it.
func (r *runner) timed(b *kernel.Block, c *code, run uint64) {
	begin := r.library.clock()
	c.function.Run(b, r.kernel.program, c.spill)
	r.kernel.took[machineCode].add(r.library.clock()-begin, b.Words, standsFor(run, timedEvery))
}

// interpret runs in tier 1 and asks for code where that has become dear.
func (r *runner) interpret(b *kernel.Block) {
	k, l := r.kernel, r.library
	run := r.slow.runs.Add(1)
	weight := 1
	if b.Words < longWords {
		if run%timedEverySlow != 1 {
			k.interpreter.Run(b)
			r.slow.words.Add(uint64(b.Words))
			return
		}
		weight = standsFor(run, timedEverySlow)
	}
	begin := l.clock()
	k.interpreter.Run(b)
	d := l.clock() - begin
	r.slow.words.Add(uint64(b.Words))
	k.took[interpreted].add(d, b.Words, weight)
	if k.heat.Add(int64(d)*int64(weight)) >= l.hotAfter.Load() {
		l.want(k)
	}
}

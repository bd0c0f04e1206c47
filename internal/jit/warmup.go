package jit

import (
	"context"
	"fmt"

	"github.com/tocsin/tocsin/internal/kernel"
)

// warmWords is how many words of dummy lanes a kernel is warmed up with.
const warmWords = 4

// WarmUp waits until nothing waits to be compiled any more, and then runs every compiled kernel once on lanes of zeros, so
// that its code has been fetched when the first evaluation comes. Those runs are not counted. Where nothing is compiled it
// returns at once. The error is ctx's, with how many kernels were left.
func (l *Library) WarmUp(ctx context.Context) error {
	for {
		l.mu.Lock()
		compiles := l.arena != nil
		l.mu.Unlock()
		left, idle := l.queue.waiting()
		if left == 0 || !compiles {
			break
		}
		select {
		case <-idle:
		case <-ctx.Done():
			left, _ := l.queue.waiting()
			return fmt.Errorf("warming kernels up: %d are left to compile: %w", left, ctx.Err())
		}
	}
	l.mu.Lock()
	all := make([]*shared, 0, len(l.kernels))
	for _, k := range l.kernels {
		all = append(all, k)
	}
	l.mu.Unlock()
	var b dummy
	for i, k := range all {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("warming kernels up: %d of %d are left to run: %w", len(all)-i, len(all), err)
		}
		l.warm(k, &b)
	}
	return nil
}

// warm runs k once. It holds mu, which keeps the code from being taken away.
func (l *Library) warm(k *shared, d *dummy) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := k.code.Load(); c != nil {
		c.function.Run(d.of(k.program), k.program, c.spill)
	}
}

// dummy is a block whose columns are zero, for one program after the other.
type dummy struct {
	block kernel.Block
	zeros kernel.Input
}

// of returns the block with all the columns that p wants.
func (d *dummy) of(p *kernel.Program) *kernel.Block {
	b := &d.block
	if b.Words == 0 {
		b.Words, b.OK, b.V = warmWords, make([]uint64, warmWords), make([]float64, warmWords*kernel.WordLanes)
		d.zeros = kernel.Input{V: make([]float64, warmWords*kernel.WordLanes), OK: make([]uint64, warmWords)}
	}
	for len(b.In) < p.Inputs {
		b.In = append(b.In, d.zeros)
	}
	for len(b.Params) < p.Params {
		b.Params = append(b.Params, 0)
	}
	return b
}

package jit

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

// BenchmarkRun compares a run through the library with a call of the code itself, on one word.
func BenchmarkRun(b *testing.B) {
	l := open(b, Options{})
	p := nth(1)
	var r kernel.Runner = l.Open(p, "x")
	warm(b, l)
	block := kerneltest.Block(rand.New(rand.NewPCG(13, 13)), p, 1)
	c := r.(*runner).kernel.code.Load()
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			c.function.Run(block, p, c.spill)
		}
	})
	b.Run("library", func(b *testing.B) {
		for b.Loop() {
			r.Run(block)
		}
	})
	b.Run("interpreted", func(b *testing.B) {
		i := kernel.NewInterpreter(p)
		for b.Loop() {
			i.Run(block)
		}
	})
}

// distinct returns n programs of the size of rules' expressions.
func distinct(n int) []*kernel.Program {
	r := rand.New(rand.NewPCG(14, 14))
	ps, known := make([]*kernel.Program, 0, n), map[string]bool{}
	for len(ps) < n {
		if p := kerneltest.Program(r, 4+r.IntN(16)); !known[p.Key()] {
			ps, known[p.Key()] = append(ps, p), true
		}
	}
	return ps
}

// BenchmarkCompile opens 10,000 distinct kernels and waits until all are compiled and warm.
func BenchmarkCompile(b *testing.B) {
	const n = 10_000
	ps := distinct(n)
	instructions := 0
	for _, p := range ps {
		instructions += len(p.Code)
	}
	var s Stats
	for b.Loop() {
		l := open(b, Options{})
		runners := make([]kernel.Runner, n)
		for i, p := range ps {
			runners[i] = l.Open(p, "x")
		}
		warm(b, l)
		s = l.Stats()
		require.Equal(b, n, s.Compiled)
		require.NoError(b, l.Close())
	}
	b.ReportMetric(s.CompileTime.Seconds(), "compile-cpu-s")
	b.ReportMetric(float64(s.CodeBytes)/n, "code-B/kernel")
	b.ReportMetric(float64(instructions)/n, "instructions/kernel")
}

// BenchmarkOpen is what opening a kernel costs whoever opens it, interpreter included.
func BenchmarkOpen(b *testing.B) {
	ps := distinct(10_000)
	for _, shared := range []bool{false, true} {
		b.Run(fmt.Sprintf("shared=%t", shared), func(b *testing.B) {
			l := open(b, Options{Mode: Off})
			n := 0
			for b.Loop() {
				if shared {
					l.Open(ps[0], "x")
				} else {
					r := l.Open(ps[n%len(ps)], "x")
					b.StopTimer()
					r.Close()
					b.StartTimer()
				}
				n++
			}
		})
	}
}

// BenchmarkStats looks at 10,000 kernels with two users each.
func BenchmarkStats(b *testing.B) {
	l := open(b, Options{Mode: Off})
	for _, p := range distinct(10_000) {
		l.Open(p, "x")
		l.Open(p, "x")
	}
	for b.Loop() {
		l.Stats()
	}
}

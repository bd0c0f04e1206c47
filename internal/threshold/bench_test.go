package threshold_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/threshold"
)

const (
	benchLanes = 65_536
	benchLines = 1000
)

// pair is two columns that differ in a share of their lanes, and in which words they do.
type pair struct {
	v     [2][]float64
	ok    []uint64
	words []uint32
	moved []uint64
}

func newPair(r *rand.Rand, share float64) *pair {
	p := &pair{ok: make([]uint64, column.Words(benchLanes))}
	p.v[0] = make([]float64, benchLanes)
	for i := range p.v[0] {
		p.v[0][i] = r.Float64() * 100
	}
	p.v[1] = append([]float64(nil), p.v[0]...)
	for w := range p.ok {
		p.ok[w] = r.Uint64() | r.Uint64() | r.Uint64() | r.Uint64()
		var moved uint64
		for i := range column.WordLanes {
			if r.Float64() < share {
				p.v[1][w*column.WordLanes+i] = r.Float64() * 100
				moved |= 1 << i
			}
		}
		if moved != 0 {
			p.words = append(p.words, uint32(w))
			p.moved = append(p.moved, moved)
		}
	}
	return p
}

func newBenchIndex(r *rand.Rand, run kernel.Runner, ops ...threshold.Op) *threshold.Index {
	x := threshold.New(run)
	for i := range benchLines {
		x.Add(ops[i%len(ops)], r.Float64()*100)
	}
	return x
}

func shares() []float64 { return []float64{0, 0.001, 0.01, 0.1, 1} }

// BenchmarkFull is the whole column, of which a share has other values than before.
func BenchmarkFull(b *testing.B) {
	for name, run := range runners(b, threshold.Check()) {
		for _, share := range shares() {
			b.Run(fmt.Sprintf("check=%s/changed=%v%%", name, share*100), func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 2))
				x, p := newBenchIndex(r, run, threshold.Greater), newPair(r, share)
				x.Full(p.v[0], p.ok)
				b.ReportAllocs()
				was := x.Stats()
				for i := 0; b.Loop(); i++ {
					x.Full(p.v[1-i%2], p.ok)
				}
				b.ReportMetric(float64(x.Stats().Toggles-was.Toggles)/float64(b.N), "toggles/op")
			})
		}
	}
}

// BenchmarkUpdate is the words that changed only, with lists of what did.
func BenchmarkUpdate(b *testing.B) {
	for name, run := range runners(b, threshold.Check()) {
		for _, share := range shares()[1:] {
			b.Run(fmt.Sprintf("check=%s/changed=%v%%", name, share*100), func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 2))
				x, p := newBenchIndex(r, run, threshold.Greater), newPair(r, share)
				x.Full(p.v[0], p.ok)
				for i := range 2 {
					x.Update(p.words, p.moved, p.v[1-i%2], p.ok)
				}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					x.ClearChanges()
					x.Update(p.words, p.moved, p.v[1-i%2], p.ok)
				}
			})
		}
	}
}

// BenchmarkAllComparisons has lines of every kind, some with the same constant.
func BenchmarkAllComparisons(b *testing.B) {
	for _, share := range shares() {
		b.Run(fmt.Sprintf("changed=%v%%", share*100), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			x, p := threshold.New(nil), newPair(r, share)
			for i := range benchLines {
				x.Add(threshold.Op(i%6), p.v[0][i%700])
			}
			x.Full(p.v[0], p.ok)
			for i := 0; b.Loop(); i++ {
				x.Full(p.v[1-i%2], p.ok)
			}
		})
	}
}

// BenchmarkLoad is lines that come when lanes have values: all of them to none, and one to all others.
func BenchmarkLoad(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	p := newPair(r, 0)
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			newBenchIndex(r, nil, threshold.Greater).Full(p.v[0], p.ok)
		}
	})
	b.Run("one", func(b *testing.B) {
		x := newBenchIndex(r, nil, threshold.Greater)
		x.Full(p.v[0], p.ok)
		for b.Loop() {
			l := x.Add(threshold.Less, 50)
			x.Update(nil, nil, p.v[0], p.ok)
			x.Remove(l)
		}
	})
}

// BenchmarkLineByLine is what the index spares: every line computes every lane.
func BenchmarkLineByLine(b *testing.B) {
	build := kernel.NewBuilder()
	above := build.Do(kernel.Less, build.Param(), build.Load(0))
	program := build.Program(kernel.None, build.Do(kernel.And, build.Valid(0), above))
	for name, run := range runners(b, program) {
		b.Run(name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			p := newPair(r, 0)
			block := kernel.Block{Words: len(p.ok), Params: make([]float64, 1)}
			block.In = []kernel.Input{{V: p.v[0], OK: p.ok}}
			var results [benchLines][]uint64
			for i := range results {
				results[i] = make([]uint64, len(p.ok))
			}
			for b.Loop() {
				for i := range results {
					block.Params[0], block.OK = float64(i)/10, results[i]
					run.Run(&block)
				}
			}
		})
	}
}

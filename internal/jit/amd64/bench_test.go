//go:build linux && amd64

package amd64_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/jit/amd64"
	"github.com/tocsin/tocsin/internal/kernel"
)

// block is random columns between 1 and 100 in which every lane has a value.
func block(p *kernel.Program, words int) *kernel.Block {
	r := rand.New(rand.NewPCG(1, 1))
	b := &kernel.Block{Words: words, OK: make([]uint64, words)}
	if p.Value != kernel.None {
		b.V = make([]float64, words*kernel.WordLanes)
	}
	for range p.Inputs {
		in := kernel.Input{V: make([]float64, words*kernel.WordLanes), OK: make([]uint64, words)}
		for i := range in.V {
			in.V[i] = 1 + 99*r.Float64()
		}
		for i := range in.OK {
			in.OK[i] = ^uint64(0)
		}
		b.In = append(b.In, in)
	}
	for range p.Params {
		b.Params = append(b.Params, 1+99*r.Float64())
	}
	return b
}

func BenchmarkRun(b *testing.B) {
	m := newMachine(b)
	for _, e := range examples() {
		for _, isa := range m.isas {
			code := amd64.Compile(e.program, isa)
			f, err := m.arena.Add(code.Bytes)
			require.NoError(b, err)
			for _, words := range []int{1, 16, 1024} {
				lanes := words * kernel.WordLanes
				b.Run(fmt.Sprintf("%s/%s/%d", e.name, isa, lanes), func(b *testing.B) {
					in := block(e.program, words)
					for b.Loop() {
						f.Run(in, e.program, code.Spill)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(lanes), "ns/lane")
				})
			}
			f.Free()
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, e := range examples() {
		for _, isa := range []amd64.ISA{amd64.AVX2, amd64.AVX512} {
			b.Run(fmt.Sprintf("%s/%s", e.name, isa), func(b *testing.B) {
				b.ReportAllocs()
				size := 0
				for b.Loop() {
					size = len(amd64.Compile(e.program, isa).Bytes)
				}
				b.ReportMetric(float64(size), "bytes")
			})
		}
	}
}

package amd64_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/jit/amd64"
	"github.com/tocsin/tocsin/internal/kernel"
)

// TestEverythingCompiles: however much lives at the same time; and it does not fit into registers, or the tests that run
// such programs would not test anything.
func TestEverythingCompiles(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 100, 1000} {
		for _, e := range crowd(n) {
			for _, isa := range []amd64.ISA{amd64.AVX2, amd64.AVX512} {
				code := amd64.Compile(e.program, isa)
				require.NotEmpty(t, code.Bytes)
				if wants := map[string]int{"values": 8, "masks": 8, "words": 8, "collected": 12}[e.name]; n >= 100 && wants > 0 {
					require.Greater(t, code.Spill, n/wants/2, "%s for %s", e.name, isa)
				}
			}
		}
	}
}

// TestNothingSpillsInRules: what rules compute fits into registers.
func TestNothingSpillsInRules(t *testing.T) {
	for _, e := range examples() {
		for _, isa := range []amd64.ISA{amd64.AVX2, amd64.AVX512} {
			require.LessOrEqual(t, amd64.Compile(e.program, isa).Spill, 1, "%s for %s", e.name, isa)
		}
	}
	require.Zero(t, amd64.Compile(ratio(), amd64.AVX2).Spill)
}

func TestChoose(t *testing.T) {
	for _, e := range examples() {
		require.Equal(t, amd64.AVX512, amd64.Choose(e.program), e.name)
	}
	b := kernel.NewBuilder()
	v := b.Load(0)
	for range 3 {
		v = b.Do(kernel.Div, v, b.Load(1))
	}
	require.Equal(t, amd64.AVX2, amd64.Choose(b.Program(v, b.Valid(0))))
}

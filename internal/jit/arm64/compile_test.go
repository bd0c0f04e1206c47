package arm64

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

// TestEveryProgramCompiles compiles what needs far more than there is, on every host.
func TestEveryProgramCompiles(t *testing.T) {
	for name, make := range crowds() {
		for _, n := range []int{1, 2, 31, 500, 5000} {
			code := Compile(make(rand.New(rand.NewPCG(1, 2)), n))
			last := binary.LittleEndian.Uint32(code.Bytes[len(code.Bytes)-4:])
			require.Equal(t, uint32(0xd65f03c0), last, "the last instruction returns: %s", name)
			require.LessOrEqual(t, code.Spill, 2*n)
		}
	}
}

// TestRegistersBeforeMemory: what fits into registers is not spilled, and what spills does so with as few slots as are
// needed at the same time.
func TestRegistersBeforeMemory(t *testing.T) {
	crowd := func(n int) Code { return Compile(crowdOfValues(rand.New(rand.NewPCG(1, 2)), n)) }
	require.Zero(t, crowd(30).Spill)
	// All but 31 of 62 values wait in memory, four to a slot; one of them is an input, which is read again.
	require.InDelta(t, 31/4, crowd(62).Spill, 1)
	require.InDelta(t, 15_000/4, crowd(15_031).Spill, 1)
}

func BenchmarkCompile(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, p := range map[string]*kernel.Program{"ratio": ratio(), "size=120": kerneltest.Program(r, 120)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Compile(p)
			}
		})
	}
}

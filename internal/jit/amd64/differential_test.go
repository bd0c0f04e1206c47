//go:build linux && amd64

package amd64_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/jit/amd64"
	"github.com/tocsin/tocsin/internal/jit/native"
	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

// machine runs programs as machine code.
type machine struct {
	arena *native.Arena
	isas  []amd64.ISA
}

func newMachine(t testing.TB) *machine {
	m := &machine{}
	if f := native.Features(); f.AVX2 {
		m.isas = append(m.isas, amd64.AVX2)
		if f.AVX512 {
			m.isas = append(m.isas, amd64.AVX512)
		}
	}
	if len(m.isas) == 0 {
		t.Skip("SKIP: this processor has no AVX2")
	}
	arena, err := native.Open(4 << 20)
	if err != nil {
		t.Skipf("SKIP: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, arena.Close()) })
	_, err = arena.Add([]byte{0xc3}) // While there is some code, memory is not given back to the system again and again.
	require.NoError(t, err)
	m.arena = arena
	return m
}

// run runs p on b as machine code.
func (m *machine) run(t testing.TB, p *kernel.Program, isa amd64.ISA, b *kernel.Block) {
	code := amd64.Compile(p, isa)
	f, err := m.arena.Add(code.Bytes)
	require.NoError(t, err)
	f.Run(b, p, code.Spill)
	f.Free()
}

// differ says how machine code and interpreter differ on the block.
func (m *machine) differ(t testing.TB, p *kernel.Program, b *kernel.Block) string {
	want := kerneltest.Clone(b)
	kernel.NewInterpreter(p).Run(want)
	for _, isa := range m.isas {
		got := kerneltest.Clone(b)
		m.run(t, p, isa, got)
		if d := kerneltest.Differ(p, want, got); d != "" {
			return fmt.Sprintf("%s: %s", isa, d)
		}
	}
	return ""
}

// seedOf is the present time, or TOCSIN_TEST_SEED to see a failure again.
func seedOf(t testing.TB) uint64 {
	seed := uint64(time.Now().UnixNano())
	if again := os.Getenv("TOCSIN_TEST_SEED"); again != "" {
		n, err := strconv.ParseUint(again, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("TOCSIN_TEST_SEED=%d", seed)
	return seed
}

// TestDifferential: machine code computes what the interpreter computes, bit for bit.
func TestDifferential(t *testing.T) {
	m := newMachine(t)
	seed := seedOf(t)
	for n := range uint64(40_000) {
		r := rand.New(rand.NewPCG(seed, n))
		p := kerneltest.Program(r, 1+r.IntN(120))
		words := []int{1, 1, 2, 3, 5, 17}[r.IntN(6)]
		if d := m.differ(t, p, kerneltest.Block(r, p, words)); d != "" {
			t.Fatalf("program %d: %s", n, d)
		}
	}
}

// TestCrowded: what does not fit into registers is spilled, and comes back.
func TestCrowded(t *testing.T) {
	m := newMachine(t)
	seed := seedOf(t)
	for _, n := range []int{5, 14, 15, 16, 17, 31, 33, 40, 70, 300} {
		for _, e := range append(crowd(n), example{"every", "", every()}) {
			r := rand.New(rand.NewPCG(seed, uint64(n)))
			for range 5 {
				if d := m.differ(t, e.program, kerneltest.Block(r, e.program, 1+r.IntN(4))); d != "" {
					t.Fatalf("%d %s: %.2000s", n, e.name, d)
				}
			}
		}
	}
}

// TestLengths: each length is computed whole, and nothing beyond it.
func TestLengths(t *testing.T) {
	m := newMachine(t)
	r := rand.New(rand.NewPCG(seedOf(t), 0))
	for _, e := range examples() {
		for _, words := range []int{1, 2, 3, 7, 64, 257, kernel.MaxWords} {
			b := kerneltest.Block(r, e.program, words)
			require.Empty(t, m.differ(t, e.program, b), e.name)
			for _, isa := range m.isas {
				got := kerneltest.Block(r, e.program, words)
				got.Words--
				got.OK[words-1] = 0x0123456789abcdef
				if got.V != nil {
					got.V[got.Words*kernel.WordLanes] = 42
				}
				m.run(t, e.program, isa, got)
				require.Equal(t, uint64(0x0123456789abcdef), got.OK[words-1])
				if got.V != nil {
					require.Equal(t, 42.0, got.V[got.Words*kernel.WordLanes])
				}
			}
		}
	}
}

// TestResultWhereAnInputStands: a result may overwrite what it is made of.
func TestResultWhereAnInputStands(t *testing.T) {
	m := newMachine(t)
	seed := seedOf(t)
	for n := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, n))
		p := kerneltest.Program(r, 1+r.IntN(60))
		b := kerneltest.Block(r, p, 1+r.IntN(3))
		want := kerneltest.Clone(b)
		kernel.NewInterpreter(p).Run(want)
		if p.Inputs == 0 {
			continue
		}
		for _, isa := range m.isas {
			got := kerneltest.Clone(b)
			got.In = nil
			for _, in := range b.In {
				got.In = append(got.In, kernel.Input{V: slices.Clone(in.V), OK: slices.Clone(in.OK)})
			}
			got.OK = got.In[r.IntN(p.Inputs)].OK
			if got.V != nil {
				got.V = got.In[r.IntN(p.Inputs)].V
			}
			m.run(t, p, isa, got)
			if d := kerneltest.Differ(p, want, got); d != "" {
				t.Fatalf("program %d: %s: %s", n, isa, d)
			}
		}
	}
}

// FuzzDifferential: the fuzzer's bytes are a program and its columns, by way of a seed.
func FuzzDifferential(f *testing.F) {
	m := newMachine(f)
	f.Add(uint64(1), uint64(1), byte(40), byte(1))
	f.Add(uint64(2), uint64(7), byte(255), byte(3))
	f.Fuzz(func(t *testing.T, program, columns uint64, size, words byte) {
		p := kerneltest.Program(rand.New(rand.NewPCG(program, 0)), 1+int(size))
		b := kerneltest.Block(rand.New(rand.NewPCG(columns, 1)), p, 1+int(words%4))
		if d := m.differ(t, p, b); d != "" {
			t.Fatal(d)
		}
	})
}

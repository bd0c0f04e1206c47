//go:build linux

package arm64

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/jit/native"
	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

// seedOf is the present time, or TOCSIN_TEST_SEED to see a failure again.
func seedOf(t testing.TB) uint64 {
	seed := uint64(time.Now().UnixNano())
	if again := os.Getenv("TOCSIN_TEST_SEED"); again != "" {
		var err error
		seed, err = strconv.ParseUint(again, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("seed %d", seed)
	return seed
}

// bench runs programs in both tiers.
type bench struct {
	arena   *native.Arena
	spilled int // how many of the programs spilled
}

func newBench(t testing.TB) *bench {
	if !native.Features().NEON {
		t.Skip("LOUD SKIP: this processor has no vector instructions")
	}
	arena, err := native.Open(8 << 20)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, arena.Close()) })
	return &bench{arena: arena}
}

// same runs p over b in machine code, and requires the interpreter's results and that the word after them is left alone.
func (n *bench) same(t testing.TB, p *kernel.Program, b *kernel.Block) {
	t.Helper()
	want := kerneltest.Clone(b)
	kernel.NewInterpreter(p).Run(want)
	const mark = 12345
	b.OK = append(b.OK, mark)
	for range kernel.WordLanes {
		b.V = append(b.V, mark)
	}
	n.run(t, p, b)
	require.EqualValues(t, mark, b.OK[b.Words])
	for _, x := range b.V[len(b.V)-kernel.WordLanes:] {
		require.EqualValues(t, mark, x)
	}
	if diff := kerneltest.Differ(p, want, b); diff != "" {
		t.Fatalf("interpreter and machine code differ: %s", diff)
	}
}

func (n *bench) run(t testing.TB, p *kernel.Program, b *kernel.Block) {
	t.Helper()
	code := Compile(p)
	if code.Spill > 0 {
		n.spilled++
	}
	f, err := n.arena.Add(code.Bytes)
	require.NoError(t, err)
	defer f.Free()
	f.Run(b, p, code.Spill)
}

// TestRandomPrograms holds programs of all sizes to the interpreter.
func TestRandomPrograms(t *testing.T) {
	r := rand.New(rand.NewPCG(seedOf(t), 0))
	n := newBench(t)
	const programs = 4000
	for range programs {
		size := 1 + r.IntN(120)
		if r.IntN(20) == 0 {
			size *= 10 // of these, some spill
		}
		p := kerneltest.Program(r, size)
		n.same(t, p, kerneltest.Block(r, p, 1+r.IntN(3)))
	}
	require.Greater(t, n.spilled, programs/200)
}

func TestLongRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(seedOf(t), 0))
	n := newBench(t)
	for _, words := range []int{0, 1, 2, 63, 64, 65, 500, kernel.MaxWords} {
		p := kerneltest.Program(r, 30)
		n.same(t, p, kerneltest.Block(r, p, words))
	}
}

// TestResultIsAnInput lets the result stand where each of the inputs stands.
func TestResultIsAnInput(t *testing.T) {
	r := rand.New(rand.NewPCG(seedOf(t), 0))
	n := newBench(t)
	for range 500 {
		p := kerneltest.Program(r, 1+r.IntN(80))
		b := kerneltest.Block(r, p, 2)
		want := kerneltest.Clone(b)
		kernel.NewInterpreter(p).Run(want)
		v, ok := r.IntN(p.Inputs), r.IntN(p.Inputs)
		if p.Value != kernel.None {
			b.V = b.In[v].V
		}
		b.OK = b.In[ok].OK
		n.run(t, p, b)
		if diff := kerneltest.Differ(p, want, b); diff != "" {
			t.Fatalf("values in input %d, mask in input %d: %s", v, ok, diff)
		}
	}
}

// TestMuchAtOnce runs programs that need more of everything than there are registers: values, masks in either form,
// inputs, parameters and words that lanes are collected in.
func TestMuchAtOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(seedOf(t), 0))
	n := newBench(t)
	for _, size := range []int{2, 9, 10, 11, 20, 26, 27, 28, 29, 30, 31, 32, 33, 40, 64, 100} {
		for _, make := range crowds() {
			p := make(r, size)
			for range 3 {
				n.same(t, p, kerneltest.Block(r, p, 3))
			}
		}
	}
	require.Greater(t, n.spilled, 20)
}

// TestFarOffsets runs programs whose inputs, parameters and slots lie beyond what instructions can address by a number.
func TestFarOffsets(t *testing.T) {
	r := rand.New(rand.NewPCG(seedOf(t), 0))
	n := newBench(t)
	for _, make := range crowds() {
		p := make(r, 4500)
		n.same(t, p, kerneltest.Block(r, p, 1))
	}
	require.Positive(t, n.spilled)
}

// TestLongCode runs programs whose loops are longer than a conditional branch reaches.
func TestLongCode(t *testing.T) {
	r := rand.New(rand.NewPCG(seedOf(t), 0))
	n := newBench(t)
	b := kernel.NewBuilder()
	v := b.Load(0)
	other := b.Load(1)
	for range 140_000 {
		v = b.Do(kernel.Neg, b.Do(kernel.Sub, v, other))
	}
	p := b.Program(v, b.Valid(0))
	require.Greater(t, len(Compile(p).Bytes), 1<<20)
	n.same(t, p, kerneltest.Block(r, p, 1))
}

// TestEveryRegisterMayDie runs one operation with each combination of operands that are needed again and such that are
// not: which instruction selects depends on that.
func TestEveryRegisterMayDie(t *testing.T) {
	r := rand.New(rand.NewPCG(seedOf(t), 0))
	n := newBench(t)
	for again := range 8 {
		for same := range 2 {
			b := kernel.NewBuilder()
			x := b.Do(kernel.Add, b.Load(0), b.Load(1))
			y := x
			if same == 0 {
				y = b.Do(kernel.Sub, b.Load(0), b.Load(1))
			}
			m := b.Do(kernel.Less, b.Load(0), b.Load(2))
			v := b.Do(kernel.Select, m, x, y)
			for k, a := range []int32{b.Do(kernel.Bool, m), x, y} {
				if again>>k&1 != 0 {
					v = b.Do(kernel.Mul, v, a)
				}
			}
			p := b.Program(v, b.Do(kernel.AndNot, b.Valid(0), b.Do(kernel.LessEqual, v, b.Load(2))))
			n.same(t, p, kerneltest.Block(r, p, 4))
		}
	}
}

func BenchmarkRatio(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	n := newBench(b)
	p := ratio()
	block := kerneltest.Block(r, p, kernel.MaxWords)
	code := Compile(p)
	f, err := n.arena.Add(code.Bytes)
	require.NoError(b, err)
	b.SetBytes(kernel.MaxWords * kernel.WordLanes * 8)
	for b.Loop() {
		f.Run(block, p, code.Spill)
	}
}

package kernel_test

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

// randomProgram is one of either generator, of about size instructions.
func randomProgram(r *rand.Rand, size int) *kernel.Program {
	if r.IntN(2) == 0 {
		return kerneltest.Program(r, size)
	}
	return decode(randomBytes(r, 3*size))
}

// requireReference runs p over b and requires what the reference says, bit for bit.
func requireReference(t testing.TB, p *kernel.Program, run kernel.Runner, b *kernel.Block) {
	t.Helper()
	want := kerneltest.Clone(b)
	reference(p, want)
	run.Run(b)
	if diff := kerneltest.Differ(p, want, b); diff != "" {
		t.Fatalf("the reference and the interpreter differ: %s", diff)
	}
}

func TestInterpreterAgainstTheReference(t *testing.T) {
	seed := seedOf(t)
	for i := range uint64(600) {
		r := rand.New(rand.NewPCG(seed, i))
		p := randomProgram(r, 1+r.IntN(150))
		run := kernel.NewInterpreter(p)
		for _, words := range []int{0, 1, 2, 5} {
			requireReference(t, p, run, kerneltest.Block(r, p, words))
		}
	}
}

// TestEveryOperation holds each operation to the reference by itself, over all pairs of the numbers that go wrong.
func TestEveryOperation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for op := range kernel.Op(kernel.Ops) {
		t.Run(op.String(), func(t *testing.T) {
			b := kernel.NewBuilder()
			value, mask := b.Load(0), b.Valid(0)
			switch {
			case op == kernel.Load || op == kernel.Valid:
			case op == kernel.Param:
				value = b.Param()
			case op == kernel.Select:
				value = b.Do(op, b.Valid(1), value, b.Load(1))
			case op == kernel.Bool:
				value = b.Do(op, b.Valid(1))
			case op.Mask() && b.Do(kernel.Bool, mask) >= 0 && op >= kernel.And:
				mask = b.Do(op, mask, b.Valid(1))
			case op.Mask():
				mask = b.Do(op, value, b.Load(1))
			case op.Operands() == 1:
				value = b.Do(op, value)
			default:
				value = b.Do(op, value, b.Load(1))
			}
			p := b.Program(value, mask)
			run := kernel.NewInterpreter(p)
			for range 50 {
				requireReference(t, p, run, kerneltest.Block(r, p, 3))
			}
		})
	}
}

// TestParameterAfterOthers: a parameter stands for the whole run, so no instruction before it may write to its register.
func TestParameterAfterOthers(t *testing.T) {
	b := kernel.NewBuilder()
	x := b.Load(0)
	sum := b.Do(kernel.Add, x, x)
	neg := b.Do(kernel.Neg, sum) // the sum is not needed any more
	p := b.Program(b.Do(kernel.Mul, neg, b.Param()), b.Valid(0))
	block := kerneltest.Block(rand.New(rand.NewPCG(3, 4)), p, 2)
	for i := range block.In[0].V {
		block.In[0].V[i] = float64(i)
	}
	block.Params[0] = 10
	requireReference(t, p, kernel.NewInterpreter(p), block)
	for w := range block.OK {
		block.OK[w] = math.MaxUint64
	}
	require.Equal(t, -60.0, block.V[3])
}

// TestResultWhereAnInputStands gives each input in turn to the result.
func TestResultWhereAnInputStands(t *testing.T) {
	seed := seedOf(t)
	for i := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, i))
		p := randomProgram(r, 1+r.IntN(60))
		for n := range p.Inputs {
			b := kerneltest.Block(r, p, 3)
			want := kerneltest.Clone(b)
			reference(p, want)
			if p.Value != kernel.None {
				b.V = b.In[n].V
			}
			b.OK = b.In[n].OK
			kernel.NewInterpreter(p).Run(b)
			if diff := kerneltest.Differ(p, want, b); diff != "" {
				t.Fatalf("seed %d, program %d, result in input %d: %s", seed, i, n, diff)
			}
		}
	}
}

// TestTwoInputsInOneColumn: the same column may be several inputs.
func TestTwoInputsInOneColumn(t *testing.T) {
	b := kernel.NewBuilder()
	p := b.Program(b.Do(kernel.Div, b.Load(0), b.Load(1)), b.Do(kernel.And, b.Valid(0), b.Valid(1)))
	block := kerneltest.Block(rand.New(rand.NewPCG(5, 6)), p, 2)
	block.In[1] = block.In[0]
	requireReference(t, p, kernel.NewInterpreter(p), block)
}

// TestOnlyTheBlockIsWritten: inputs stay as they are, and so do words past the block's.
func TestOnlyTheBlockIsWritten(t *testing.T) {
	seed := seedOf(t)
	for i := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, i))
		p := randomProgram(r, 1+r.IntN(60))
		b := kerneltest.Block(r, p, 4)
		var before []kernel.Input
		for _, in := range b.In {
			before = append(before, kernel.Input{V: slices.Clone(in.V), OK: slices.Clone(in.OK)})
		}
		const untouched = 12345
		for n := range b.V {
			b.V[n] = untouched
		}
		for n := range b.OK {
			b.OK[n] = untouched
		}
		b.Words = 2
		kernel.NewInterpreter(p).Run(b)
		for n, in := range b.In {
			require.True(t, slices.EqualFunc(before[n].V, in.V, sameBits), "input %d of program %d", n, i)
			require.Equal(t, before[n].OK, in.OK)
		}
		require.Equal(t, []uint64{untouched, untouched}, b.OK[2:])
		for n := 2 * kernel.WordLanes; n < len(b.V); n++ {
			require.Equal(t, float64(untouched), b.V[n])
		}
	}
}

func sameBits(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

// TestOneBlockForManyPrograms: a block's scratch grows with whoever needs most, and what stands in it does not matter.
func TestOneBlockForManyPrograms(t *testing.T) {
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 0))
	shared := &kernel.Block{}
	for range 200 {
		p := randomProgram(r, 1+r.IntN(100))
		b := kerneltest.Block(r, p, 1+r.IntN(3))
		shared.Words, shared.In, shared.Params, shared.V, shared.OK = b.Words, b.In, b.Params, b.V, b.OK
		requireReference(t, p, kernel.NewInterpreter(p), shared)
		for i, s := range shared.Scratch(1 + r.IntN(40)) {
			require.Zero(t, s&1, "scratch %d", i)
		}
	}
}

// TestOneInterpreterManyBlocks runs one interpreter from several goroutines; the race detector watches.
func TestOneInterpreterManyBlocks(t *testing.T) {
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 0))
	p := kerneltest.Program(r, 80)
	run := kernel.NewInterpreter(p)
	shared := kerneltest.Block(r, p, 3)
	want := kerneltest.Clone(shared)
	reference(p, want)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			b := kerneltest.Clone(shared)
			for range 50 {
				run.Run(b)
				if diff := kerneltest.Differ(p, want, b); diff != "" {
					t.Errorf("seed %d: %s", seed, diff)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestRunsDoNotAllocate(t *testing.T) {
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20 {
		p := randomProgram(r, 1+r.IntN(120))
		run, b := kernel.NewInterpreter(p), kerneltest.Block(r, p, 2)
		run.Run(b) // takes the registers
		require.Zero(t, testing.AllocsPerRun(20, func() { run.Run(b) }), p.String())
	}
}

func TestInterpreterNamesItself(t *testing.T) {
	b := kernel.NewBuilder()
	var run kernel.Runner = kernel.NewInterpreter(b.Program(kernel.None, b.Valid(0)))
	require.Equal(t, 1, run.Tier())
	require.Empty(t, run.ID())
	run.Close()
}

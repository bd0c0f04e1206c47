package kernel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

const quietBit = 1 << 51

// The NaN that a processor makes of operands that are none.
const (
	madeByAMD64 = 0xfff8000000000000
	madeByARM64 = 0x7ff8000000000000
)

// nans are NaN with payloads that can be told from each other, both signs, quiet and signalling.
func nans() []uint64 {
	return []uint64{
		0x7ff8000000000000, 0xfff8000000000000, 0x7ff8000000000001, 0xfff8000000000111, 0x7fffffffffffffff,
		0x7ff0000000000002, 0xfff0000000000003, 0x7ff0000000000777, 0xfff7ffffffffffff,
	}
}

func isNaN(bits uint64) bool { return bits&^(1<<63) > 0x7ff0000000000000 }

func isSignalling(bits uint64) bool { return isNaN(bits) && bits&quietBit == 0 }

// chosenNaN is which NaN an operation makes of operands one of which at least is NaN, as the processors' manuals have it
// ("Rules for Handling NaNs" in Intel's Software Developer's Manual, volume 1, section 4.8.3.5; FPProcessNaNs in Arm's
// Architecture Reference Manual): on amd64 the first operand that is NaN, on arm64 the first that is signalling, else the
// first that is NaN; made quiet.
func chosenNaN(a, b uint64) uint64 {
	if runtime.GOARCH == "arm64" && !isSignalling(a) && isSignalling(b) || !isNaN(a) {
		return b | quietBit
	}
	return a | quietBit
}

func madeNaN() uint64 {
	if runtime.GOARCH == "arm64" {
		return madeByARM64
	}
	return madeByAMD64
}

func needsKnownNaNs(t *testing.T) {
	t.Helper()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skipf("SKIPPED: what %s makes of NaN is not written down here", runtime.GOARCH)
	}
}

// TestOperandsKeepTheirOrder pins what the Go compiler does not promise: that of a+b and a*b, which it may turn round, a
// is the processor's first operand, in the interpreter's loops and in the reference alike. Machine code is compared with
// both.
func TestOperandsKeepTheirOrder(t *testing.T) {
	needsKnownNaNs(t)
	operands := append(nans(), math.Float64bits(0), math.Float64bits(-2.5), 0x7ff0000000000000, 0xfff0000000000000)
	scalar := map[kernel.Op]func(a, b float64) float64{kernel.Add: add, kernel.Sub: sub, kernel.Mul: mul, kernel.Div: div}
	for op, do := range scalar {
		b := kernel.NewBuilder()
		p := b.Program(b.Do(op, b.Load(0), b.Load(1)), b.Valid(0))
		run := kernel.NewInterpreter(p)
		block := kerneltest.Block(rand.New(rand.NewPCG(7, 8)), p, 1)
		for _, x := range operands {
			for _, y := range operands {
				if !isNaN(x) && !isNaN(y) {
					continue
				}
				for i := range kernel.WordLanes {
					block.In[0].V[i], block.In[1].V[i] = math.Float64frombits(x), math.Float64frombits(y)
				}
				run.Run(block)
				what := fmt.Sprintf("%s of %#016x and %#016x", op, x, y)
				requireBits(t, chosenNaN(x, y), do(math.Float64frombits(x), math.Float64frombits(y)), "the reference: "+what)
				for _, got := range block.V {
					requireBits(t, chosenNaN(x, y), got, what)
				}
			}
		}
	}
}

func requireBits(t *testing.T, want uint64, got float64, what string) {
	t.Helper()
	if math.Float64bits(got) != want {
		t.Fatalf("%s is %#016x, not %#016x", what, math.Float64bits(got), want)
	}
}

// TestOneOperandNaNs: what operations of one operand make of NaN, and which NaN comes of numbers.
func TestOneOperandNaNs(t *testing.T) {
	needsKnownNaNs(t)
	inf := math.Inf(1)
	for _, x := range nans() {
		number := math.Float64frombits(x)
		requireBits(t, x^1<<63, one(kernel.Neg, number), "neg")
		requireBits(t, x&^(1<<63), one(kernel.Abs, number), "abs")
		for _, op := range []kernel.Op{kernel.Sqrt, kernel.Floor, kernel.Ceil} {
			requireBits(t, x|quietBit, one(op, number), fmt.Sprintf("%s of %#016x", op, x))
		}
	}
	requireBits(t, madeNaN(), one(kernel.Sqrt, -1), "sqrt of -1")
	requireBits(t, madeNaN(), two(kernel.Sub, inf, inf), "∞-∞")
	requireBits(t, madeNaN(), two(kernel.Add, inf, -inf), "∞-∞")
	requireBits(t, madeNaN(), two(kernel.Mul, inf, 0), "∞·0")
	requireBits(t, madeNaN(), two(kernel.Div, 0, 0), "0/0")
	requireBits(t, madeNaN(), two(kernel.Div, inf, inf), "∞/∞")
}

// TestNaNsPass: what is not computed with stays as it is, signalling NaN included.
func TestNaNsPass(t *testing.T) {
	for _, x := range nans() {
		number := math.Float64frombits(x)
		b := kernel.NewBuilder()
		requireBits(t, x, lane(b.Program(b.Load(0), b.Valid(0)), number, 0), "load")
		b = kernel.NewBuilder()
		b.Load(0)
		requireBits(t, x, lane(b.Program(b.Param(), b.Valid(0)), 0, 0, number), "param")
		for _, m := range []uint64{0, 1, math.MaxUint64} {
			b = kernel.NewBuilder()
			p := b.Program(b.Do(kernel.Select, b.Valid(1), b.Load(0), b.Load(1)), b.Valid(0))
			block := kerneltest.Block(rand.New(rand.NewPCG(9, 9)), p, 1)
			other := math.Float64frombits(x ^ 1<<63)
			block.In[0].V[0], block.In[1].V[0], block.In[1].OK[0] = number, other, m
			kernel.NewInterpreter(p).Run(block)
			want := x
			if m == 0 {
				want = x ^ 1<<63
			}
			requireBits(t, want, block.V[0], "select")
		}
	}
}

func one(op kernel.Op, x float64) float64 {
	b := kernel.NewBuilder()
	return lane(b.Program(b.Do(op, b.Load(0)), b.Valid(0)), x, 0)
}

func two(op kernel.Op, x, y float64) float64 {
	b := kernel.NewBuilder()
	return lane(b.Program(b.Do(op, b.Load(0), b.Load(1)), b.Valid(0)), x, y)
}

// lane runs p over inputs that hold x and y in all lanes, and returns what comes out of the last.
func lane(p *kernel.Program, x, y float64, params ...float64) float64 {
	b := &kernel.Block{Words: 1, Params: params, V: make([]float64, kernel.WordLanes), OK: make([]uint64, 1)}
	for _, n := range []float64{x, y} {
		in := kernel.Input{V: make([]float64, kernel.WordLanes), OK: []uint64{math.MaxUint64}}
		for i := range in.V {
			in.V[i] = n
		}
		b.In = append(b.In, in)
	}
	kernel.NewInterpreter(p).Run(b)
	return b.V[kernel.WordLanes-1]
}

// TestNothingIsMerged: x·y-r with r the rounded product is zero, and what rounding lost where multiplication and
// subtraction become one instruction.
func TestNothingIsMerged(t *testing.T) {
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 0))
	merged := 0
	for range 200 {
		x, y := r.NormFloat64(), r.NormFloat64()
		for _, op := range []kernel.Op{kernel.Add, kernel.Sub} {
			b := kernel.NewBuilder()
			product, param := b.Do(kernel.Mul, b.Load(0), b.Load(1)), b.Param()
			rounded := mul(x, y)
			if math.FMA(x, y, -rounded) != 0 {
				merged++
			}
			forward := b.Program(b.Do(op, product, param), b.Valid(0))
			backward := b.Program(b.Do(op, param, product), b.Valid(0))
			if op == kernel.Add {
				rounded = -rounded
			}
			require.Zero(t, lane(forward, x, y, rounded))
			require.Zero(t, lane(backward, x, y, rounded))
		}
	}
	require.Positive(t, merged, "the test tells one from the other")
}

//go:build linux && (amd64 || arm64)

package native

import (
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
)

func TestArgumentBlock(t *testing.T) {
	f := add(t, opened(t, 1<<20, Open), dumpArguments())
	p, b := sum(4), block(3, 4)
	b.Params = make([]float64, 5)
	f.Run(b, p, 2)
	got := make([]uint64, 13)
	for i := range got {
		got[i] = math.Float64bits(b.V[i])
	}
	spill := got[argSpill]
	want := []uint64{3, address(b.Params), spill, address(b.OK), address(b.V)}
	for i := range b.In {
		want = append(want, address(b.In[i].V), address(b.In[i].OK))
	}
	require.Equal(t, want, got)
	require.Zero(t, spill%64)
}

func TestAbsentColumnsHaveNoAddress(t *testing.T) {
	f := add(t, opened(t, 1<<20, Open), dumpArguments())
	builder := kernel.NewBuilder()
	p := builder.Program(builder.Load(1), builder.Do(kernel.And, builder.Valid(0), builder.Valid(1)))
	b := block(1, 2)
	b.In[0].V, b.Params = b.In[0].V[:0], nil
	f.Run(b, p, 0)
	require.Zero(t, math.Float64bits(b.V[argParams]))
	require.Zero(t, math.Float64bits(b.V[argInputs]))
	require.NotZero(t, math.Float64bits(b.V[argInputs+1]))
}

func TestRunComputes(t *testing.T) {
	for name, how := range openers(t) {
		t.Run(name, func(t *testing.T) {
			f := add(t, opened(t, 1<<20, how), addParam())
			for _, words := range []int{1, 2, 63, kernel.MaxWords} {
				for _, inputs := range []int{1, 4, 17, 100} {
					b := block(words, inputs)
					f.Run(b, sum(inputs), inputs)
					requireSum(t, b)
				}
			}
			b := block(2, 1)
			b.Words = 0
			f.Run(b, sum(1), 0)
			require.Equal(t, make([]uint64, 2), b.OK, "a run of no words does nothing")
		})
	}
}

func TestResultMayStandWhereAnInputStands(t *testing.T) {
	f := add(t, opened(t, 1<<20, Open), addParam())
	b := block(5, 1)
	b.V, b.OK = b.In[0].V, b.In[0].OK
	f.Run(b, sum(1), 0)
	requireSum(t, b)
}

func TestSpillArea(t *testing.T) {
	f := add(t, opened(t, 1<<20, Open), fillSpill())
	r := random(t)
	b := block(1, 1)
	for range 2000 {
		slots := r.IntN(40)
		if r.IntN(100) == 0 {
			b = block(1, 1) // scratch memory of another size and place
		}
		b.Params[0] = math.Float64frombits(uint64(slots))
		f.Run(b, sum(1), slots)
		spill, scratch := b.OK[0], b.Scratch(argInputs+2+slotWords*slots+slotWords-1)
		require.Zero(t, spill%64)
		if slots == 0 {
			continue
		}
		first := (spill - address(scratch)) / 8
		require.GreaterOrEqual(t, first, uint64(argInputs+2), "slots stand behind the arguments")
		require.LessOrEqual(t, first+uint64(slotWords*slots), uint64(len(scratch)), "slots stand in scratch memory")
		require.Equal(t, uint64(math.MaxUint64), scratch[first+uint64(slotWords*slots)-1])
	}
}

// TestRegistersMayBeClobbered calls code that leaves nothing as it was, between work of Go that relies on its registers.
func TestRegistersMayBeClobbered(t *testing.T) {
	f := add(t, opened(t, 1<<20, Open), clobber())
	p := sum(1)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			b := block(1, 1)
			for i := range 2000 {
				n, x := g*1_000_000+i, float64(i)
				words := [8]uint64{1, 2, 3, 4, 5, 6, 7, 8}
				f.Run(b, p, 0)
				var zeros [16]uint64 // The compiler clears it with X15.
				if n != g*1_000_000+i || x != float64(i) || words != [8]uint64{1, 2, 3, 4, 5, 6, 7, 8} || zeros != [16]uint64{} {
					t.Errorf("call %d: Go's values changed: %d %v %v %v", i, n, x, words, zeros)
					return
				}
				if i%100 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
}

func TestConcurrentRuns(t *testing.T) {
	f := add(t, opened(t, 1<<20, Open), addParam())
	p := sum(3)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			b := block(1+g, 3)
			for range 300 {
				clear(b.V)
				clear(b.OK)
				f.Run(b, p, g)
				requireSum(t, b)
			}
		})
	}
	wg.Wait()
}

func TestRunDoesNotAllocate(t *testing.T) {
	f := add(t, opened(t, 1<<20, Open), addParam())
	for _, inputs := range []int{1, 16, 17} {
		b, p := block(1, inputs), sum(inputs)
		require.Zero(t, testing.AllocsPerRun(100, func() { f.Run(b, p, 5) }), "%d inputs", inputs)
	}
}

// TestColumnsOfTheCallersFrame has blocks that never leave a function: their columns must still not be on its stack, which
// moves when the recursion grows it.
func TestColumnsOfTheCallersFrame(t *testing.T) {
	f := add(t, opened(t, 1<<20, Open), addParam())
	p := sum(1)
	done := make(chan bool)
	go func() { done <- grow(200, f, p) }()
	require.True(t, <-done)
}

func grow(depth int, f *Function, p *kernel.Program) bool {
	var v [64]float64
	ok := [1]uint64{7}
	b := kernel.Block{Words: 1, Params: []float64{1}, In: []kernel.Input{{V: v[:], OK: ok[:]}}, V: v[:], OK: ok[:]}
	f.Run(&b, p, 0)
	if depth > 0 && !grow(depth-1, f, p) {
		return false
	}
	f.Run(&b, p, 0)
	return v == [64]float64(repeat(2)) && ok[0] == 7
}

func repeat(x float64) []float64 {
	out := make([]float64, 64)
	for i := range out {
		out[i] = x
	}
	return out
}

func TestFeatures(t *testing.T) {
	c := Features()
	require.Equal(t, runtime.GOARCH == "arm64", c.NEON)
	require.False(t, runtime.GOARCH == "arm64" && (c.AVX2 || c.AVX512))
	require.False(t, c.AVX512 && !c.AVX2)
}

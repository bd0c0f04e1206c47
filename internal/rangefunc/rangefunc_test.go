package rangefunc_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/rangefunc"
)

// TestLookupKnowsAll: of upstream's functions of a range only those of the selector's labels are left out.
func TestLookupKnowsAll(t *testing.T) {
	for name, f := range parser.Functions {
		matrix := slices.Index(f.ArgTypes, parser.ValueTypeMatrix)
		info, ok := rangefunc.Lookup(name)
		if matrix < 0 || name == "absent_over_time" {
			require.False(t, ok, name)
			continue
		}
		require.True(t, ok, name)
		require.Contains(t, names(), name)
		require.Equal(t, matrix, info.Matrix, name)
		require.Equal(t, len(f.ArgTypes)-1, info.Scalars, name)
	}
}

func TestValidArgs(t *testing.T) {
	require.True(t, rangefunc.ValidArgs("quantile_over_time", [2]float64{7, 0}))
	require.True(t, rangefunc.ValidArgs("double_exponential_smoothing", [2]float64{0.5, 0.1}))
	for _, args := range [][2]float64{{0, 0.5}, {1, 0.5}, {0.5, 0}, {0.5, 1}, {-1, 2}} {
		require.False(t, rangefunc.ValidArgs("double_exponential_smoothing", args))
	}
}

// TestQuantileOf holds selection to sorting, over many lengths and duplicates.
func TestQuantileOf(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		values := make([]float64, 1+r.IntN(100))
		spread := 1 + r.IntN(100)
		for i := range values {
			values[i] = float64(r.IntN(spread))
		}
		sorted := slices.Clone(values)
		slices.Sort(sorted)
		phi := r.Float64()
		rank := phi * float64(len(values)-1)
		k := int(rank)
		weight := rank - float64(k)
		want := sorted[k]*(1-weight) + sorted[min(k+1, len(sorted)-1)]*weight
		require.Equal(t, want, rangefunc.QuantileOf(phi, values))
		slices.Sort(values)
		require.Equal(t, sorted, values, "values are reordered only")
	}
}

func TestNothingIsAllocated(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	ts, vs := randomTimes(r, 40, 1e12), randomValues(r, 40)
	w := &rangefunc.Window{Start: 0, End: 1e12, At: 1e12, Args: [2]float64{0.5, 0.5}, Scratch: make([]float64, 40)}
	for _, name := range names() {
		info, _ := rangefunc.Lookup(name)
		require.Zero(t, testing.AllocsPerRun(10, func() { info.Func(ts, vs, w) }), name)
	}
}

func BenchmarkFunctions(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	ts, vs := make([]int64, 20), make([]float64, 20)
	for i := range ts {
		ts[i], vs[i] = int64(i)*15_000, float64(i)*100+r.Float64()
	}
	w := &rangefunc.Window{Start: -10_000, End: 290_000, At: 290_000, Args: [2]float64{0.9, 0.5}}
	for _, name := range names() {
		info, _ := rangefunc.Lookup(name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				info.Func(ts, vs, w)
			}
		})
	}
}

package bench

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"
)

func TestSameVector(t *testing.T) {
	v := func(values ...float64) (out promql.Vector) {
		for i, f := range values {
			out = append(out, promql.Sample{Metric: labels.FromStrings("i", string(rune('a'+i))), F: f})
		}
		return out
	}
	reverse := promql.Vector{v(1, 2)[1], v(1, 2)[0]}
	require.NoError(t, sameVector(v(1, 2), reverse))
	require.NoError(t, sameVector(v(1e9), v(1e9+0.5)))
	require.NoError(t, sameVector(v(math.NaN(), math.Inf(1)), v(math.NaN(), math.Inf(1))))
	require.NoError(t, sameVector(nil, promql.Vector{}))
	require.ErrorContains(t, sameVector(v(1), v(1+1e-8)), "upstream has 1")
	require.ErrorContains(t, sameVector(v(0), v(1e-300)), "upstream has 0")
	require.ErrorContains(t, sameVector(v(1), v(1, 2)), "2 elements, upstream has 1")
	require.ErrorContains(t, sameVector(v(1, 2), promql.Vector{v(1)[0], v(1)[0]}), "is there twice")
	require.ErrorContains(t, sameVector(v(math.Inf(1)), v(math.Inf(-1))), "upstream has +Inf")
	require.ErrorContains(t, sameVector(v(1), v(math.NaN())), "NaN")
}

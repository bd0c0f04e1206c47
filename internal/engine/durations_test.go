package engine

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestDurations(t *testing.T) {
	d := newDurations("x_seconds", "X.")
	now := time.Unix(1_700_000_000, 0)
	_, count, sum, quantiles := d.read(now)
	require.Zero(t, count)
	require.Zero(t, sum)
	require.True(t, math.IsNaN(quantiles[0.5]))

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var all []float64
	for range 5000 {
		v := math.Exp(random.NormFloat64()*3 - 8)
		all = append(all, v)
		d.Observe(v)
	}
	slices.Sort(all)
	_, count, _, quantiles = d.read(now.Add(time.Second))
	require.EqualValues(t, 5000, count)
	for q, got := range quantiles {
		require.InEpsilon(t, all[int(q*5000)-1], got, 0.02, "%g", q)
	}

	// What is older than two periods is forgotten, but for count and sum.
	for i := range 3 {
		_, count, _, quantiles = d.read(now.Add(time.Duration(i+1) * durationPeriod))
	}
	require.EqualValues(t, 5000, count)
	require.True(t, math.IsNaN(quantiles[0.9]))
	for _, v := range []float64{0, -1, math.NaN(), math.Inf(1), 1e-300, 1e300} {
		d.Observe(v)
	}
	_, _, _, quantiles = d.read(now)
	require.InEpsilon(t, math.Ldexp(1, minDurationExp), quantiles[0.5], 0.02)
	require.NoError(t, prometheus.NewPedanticRegistry().Register(d))
}

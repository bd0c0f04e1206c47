package bench

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPercentileIsNearestRank(t *testing.T) {
	xs := []float64{35, 20, 15, 50, 40}
	for p, want := range map[float64]float64{1: 15, 20: 15, 21: 20, 40: 20, 50: 35, 80: 40, 99: 50, 100: 50} {
		require.Equal(t, want, percentile(xs, p), "p%v", p)
	}
	require.Equal(t, []float64{35, 20, 15, 50, 40}, xs, "the values were moved")
	require.Zero(t, percentile(nil, 99))
	require.Equal(t, 7.0, percentile([]float64{7}, 1))
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	require.Equal(t, 99.0, percentile(hundred, 99))
	require.Equal(t, 50.0, percentile(hundred, 50))
}

func TestMedian(t *testing.T) {
	require.Zero(t, median(nil))
	require.Equal(t, 3.0, median([]float64{9, 3, 1}))
	require.Equal(t, 2.5, median([]float64{4, 1, 3, 2}))
}

func TestRoundKeepsSignificantDigits(t *testing.T) {
	for x, want := range map[float64]float64{0: 0, 1234.5: 1230, 0.0012345: 0.00123, 9.996: 10, -1.2345: -1.23, 999_500: 1_000_000} {
		require.InDelta(t, want, round(x, 3), 1e-12, "%v", x)
	}
	require.True(t, math.IsInf(round(math.Inf(1), 3), 1))
}

func TestNumbersForPeople(t *testing.T) {
	require.Equal(t, []string{"0", "999", "1,000", "-1,234,567"}, []string{count(0), count(999), count(1000), count(-1234567)})
	require.Equal(t, []string{"0", "1.23", "12.3", "123", "1,230", "1,230,000", "0.00123"},
		[]string{number(0), number(1.234), number(12.34), number(123.4), number(1234), number(1_234_000), number(0.001234)})
}

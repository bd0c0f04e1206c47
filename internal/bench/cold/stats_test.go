package cold

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPercentile(t *testing.T) {
	ten := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for p, want := range map[float64]float64{1: 1, 10: 1, 11: 2, 50: 5, 95: 10, 99: 10, 100: 10} {
		require.Equal(t, want, percentile(ten, p), "%v", p)
	}
	require.Zero(t, percentile(nil, 50))
	require.Equal(t, 3.0, percentile([]float64{3}, 1))
}

func TestSummarise(t *testing.T) {
	xs := make([]float64, 200)
	for i := range xs {
		xs[i] = float64(200 - i)
	}
	require.Equal(t, latencies{avg: 100.5, p50: 100, p95: 190, p99: 198, max: 200}, summarise(xs))
	require.Equal(t, 200.0, xs[0], "left as it was")
	require.Equal(t, latencies{}, summarise(nil))
}

func TestBreakEven(t *testing.T) {
	for _, c := range []struct {
		compile, without, with float64
		want                   any
	}{
		{0.001, 3e-6, 1e-6, 500.0},
		{0.001, 4e-6, 1e-6, 334.0}, // 333.3 evaluations
		{0, 2, 1, 0.0},
		{0.001, 1e-6, 1e-6, nil},
		{0.001, 1e-6, 2e-6, nil},
		{0.001, math.NaN(), 2e-6, nil},
		{0.001, 0, 2e-6, nil},
	} {
		got := breakEven(c.compile, c.without, c.with)
		if c.want == nil {
			require.Nil(t, got, "%+v", c)
			continue
		}
		require.NotNil(t, got, "%+v", c)
		require.Equal(t, c.want, *got, "%+v", c)
	}
}

func TestRound(t *testing.T) {
	for x, want := range map[float64]float64{
		0: 0, 1.23456: 1.235, 0.000123456: 0.0001235, 123456.7: 123457, 99.999: 100, -1.23456: -1.235, 5e-324: 5e-324,
	} {
		require.Equal(t, want, round(x), "%v", x)
	}
	require.True(t, math.IsInf(round(math.Inf(1)), 1))
}

func TestNumber(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 0.001234: "0.00123", 1.239: "1.24", 123.4: "123", 999.4: "999", 1234.5: "1,235", 1234567: "1,234,567",
	} {
		require.Equal(t, want, number(x), "%v", x)
	}
}

package cold

import (
	"math"
	"slices"
)

// percentile returns the p-th percentile (0 < p ≤ 100) of xs by nearest rank: the smallest value that at least p percent
// of the values do not exceed. It is 0 for no values. xs must be in ascending order.
func percentile(xs []float64, p float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(xs))))
	return xs[min(max(rank, 1), len(xs))-1]
}

// latencies are the figures of a set of latencies, in the unit that they were given in.
type latencies struct{ avg, p50, p95, p99, max float64 }

// summarise leaves xs as it is; all is 0 for no values.
func summarise(xs []float64) latencies {
	if len(xs) == 0 {
		return latencies{}
	}
	sorted := slices.Sorted(slices.Values(xs))
	var sum float64
	for _, x := range sorted {
		sum += x
	}
	return latencies{
		avg: sum / float64(len(sorted)), p50: percentile(sorted, 50), p95: percentile(sorted, 95),
		p99: percentile(sorted, 99), max: sorted[len(sorted)-1],
	}
}

// breakEven returns after how many evaluations of a rule the time that compiling took is won back, where one takes without
// seconds interpreted and with seconds in machine code; nil where it never is.
func breakEven(compile, without, with float64) *float64 {
	if !(without > with) {
		return nil
	}
	n := math.Ceil(compile / (without - with))
	return &n
}

// round keeps four significant digits, so that nothing pretends to more than was measured.
func round(x float64) float64 {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	scale := math.Pow(10, float64(3-int(math.Floor(math.Log10(math.Abs(x))))))
	if scale < 1 {
		scale = 1 // All digits of an integer part.
	}
	if y := math.Round(x*scale) / scale; !math.IsInf(y, 0) && !math.IsNaN(y) {
		return y
	}
	return x // So small that the scale has no number.
}

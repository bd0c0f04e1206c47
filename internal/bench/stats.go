package bench

import (
	"math"
	"slices"
)

// percentile returns the p-th percentile (0 < p ≤ 100) of xs by nearest rank: the smallest value that at least p percent
// of the values do not exceed. It is 0 for no values. xs is left as it is.
func percentile(xs []float64, p float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(xs))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// median returns the value in the middle, or the mean of the two that are; 0 for no values. xs is left as it is.
func median(xs []float64) float64 {
	n := len(xs)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(xs))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// round keeps digits significant digits, so that JSON and tables do not pretend to more than was measured.
func round(x float64, digits int) float64 {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	shift := digits - 1 - int(math.Floor(math.Log10(math.Abs(x))))
	if shift < 0 {
		scale := math.Pow(10, float64(-shift))
		return math.Round(x/scale) * scale
	}
	scale := math.Pow(10, float64(shift))
	return math.Round(x*scale) / scale
}

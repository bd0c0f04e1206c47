package rangefunc

import (
	"math"

	"github.com/prometheus/prometheus/util/kahansum"
)

// Sum is the compensated sum of the values (Neumaier).
func Sum(_ []int64, v []float64, _ *Window) (float64, bool) {
	var sum, c float64
	for _, x := range v {
		sum, c = kahansum.Inc(x, sum, c)
	}
	if math.IsInf(sum, 0) {
		return sum, true
	}
	return sum + c, len(v) > 0
}

// Avg is the mean: the compensated sum divided by the number of values. Where the sum overflows, a running mean is kept
// from there on.
func Avg(_ []int64, v []float64, _ *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	sum, c := v[0], 0.
	for i, x := range v[1:] {
		more, moreC := kahansum.Inc(x, sum, c)
		if math.IsInf(more, 0) {
			return runningMean(v[i+1:], i+1, sum, c), true
		}
		sum, c = more, moreC
	}
	n := float64(len(v))
	return sum/n + c/n, true
}

// runningMean continues with v the mean of n values whose sum is sum and c.
func runningMean(v []float64, n int, sum, c float64) float64 {
	count := float64(n)
	mean := sum / count
	c /= count
	for _, x := range v {
		count++
		q := (count - 1) / count
		mean, c = kahansum.Inc(x/count, q*mean, q*c)
	}
	return mean + c
}

// Stdvar is the population variance by Welford's method with compensated sums.
func Stdvar(_ []int64, v []float64, _ *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	var count, mean, cMean, aux, cAux float64
	for _, x := range v {
		count++
		delta := x - (mean + cMean)
		mean, cMean = kahansum.Inc(delta/count, mean, cMean)
		aux, cAux = kahansum.Inc(delta*(x-(mean+cMean)), aux, cAux)
	}
	return (aux + cAux) / count, true
}

// Stddev is the population standard deviation.
func Stddev(t []int64, v []float64, w *Window) (float64, bool) {
	variance, ok := Stdvar(t, v, w)
	return math.Sqrt(variance), ok
}

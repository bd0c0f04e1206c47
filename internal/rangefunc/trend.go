package rangefunc

import (
	"math"

	"github.com/prometheus/prometheus/util/kahansum"
)

// Deriv is the slope, per second, of the least-squares line through the samples.
func Deriv(t []int64, v []float64, _ *Window) (float64, bool) {
	if len(t) < 2 {
		return 0, false
	}
	slope, _ := regression(t, v, t[0])
	return slope, true
}

// PredictLinear is where the least-squares line will be Args[0] seconds after the evaluation.
func PredictLinear(t []int64, v []float64, w *Window) (float64, bool) {
	if len(t) < 2 {
		return 0, false
	}
	slope, intercept := regression(t, v, w.At)
	return slope*w.Args[0] + intercept, true
}

// regression returns the least-squares line through the samples: its slope per second and its value at time at.
func regression(t []int64, v []float64, at int64) (slope, intercept float64) {
	v = v[:len(t)]
	if constant(v) {
		if !finite(v[0]) {
			return math.NaN(), math.NaN()
		}
		return 0, v[0]
	}
	var x, cx, y, cy, xy, cxy, xx, cxx float64
	for i, ms := range t {
		s := float64(ms-at) / 1e3
		x, cx = kahansum.Inc(s, x, cx)
		y, cy = kahansum.Inc(v[i], y, cy)
		xy, cxy = kahansum.Inc(s*v[i], xy, cxy)
		xx, cxx = kahansum.Inc(s*s, xx, cxx)
	}
	x, y, xy, xx = x+cx, y+cy, xy+cxy, xx+cxx
	n := float64(len(t))
	covariance := xy - x*y/n
	variance := xx - x*x/n
	slope = covariance / variance
	return slope, y/n - slope*x/n
}

// constant reports whether all values are equal. NaN equals nothing, but a range of one sample has no other.
func constant(v []float64) bool {
	for _, x := range v[1:] {
		if x != v[0] {
			return false
		}
	}
	return true
}

// DoubleExponentialSmoothing smooths the values with factor Args[0] and their trend with factor Args[1], both between 0
// and 1, and returns the last smoothed value (Holt's linear method).
func DoubleExponentialSmoothing(_ []int64, v []float64, w *Window) (float64, bool) {
	if len(v) < 2 {
		return 0, false
	}
	smooth, trending := w.Args[0], w.Args[1]
	before, level := 0., v[0]
	trend := v[1] - v[0]
	for i, x := range v[1:] {
		if i > 0 {
			trend = trending*(level-before) + (1-trending)*trend
		}
		before, level = level, smooth*x+(1-smooth)*(level+trend)
	}
	return level, true
}

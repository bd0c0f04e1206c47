package rangefunc

import "math"

// Quantile is the φ-quantile, φ being Args[0], interpolated linearly between the two values around it. NaN is less than
// any number. φ below 0 gives -Inf, above 1 +Inf, NaN NaN.
func Quantile(_ []int64, v []float64, w *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	values := w.scratch(len(v))
	copy(values, v)
	return QuantileOf(w.Args[0], values), true
}

// Mad is the median absolute deviation from the median; NaN where a value is.
func Mad(_ []int64, v []float64, w *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	values := w.scratch(len(v))
	for i, x := range v {
		if x != x {
			return x, true
		}
		values[i] = x
	}
	median := QuantileOf(0.5, values)
	for i, x := range values {
		values[i] = math.Abs(x - median)
	}
	return QuantileOf(0.5, values), true
}

// scratch returns memory for n values.
func (w *Window) scratch(n int) []float64 {
	if cap(w.Scratch) < n {
		w.Scratch = make([]float64, max(n, 2*cap(w.Scratch)))
	}
	return w.Scratch[:n]
}

// QuantileOf is the φ-quantile of values, which it reorders. See Quantile.
func QuantileOf(phi float64, values []float64) float64 {
	switch {
	case len(values) == 0 || phi != phi:
		return math.NaN()
	case phi < 0:
		return math.Inf(-1)
	case phi > 1:
		return math.Inf(1)
	}
	rank := phi * float64(len(values)-1)
	lower := int(math.Floor(rank))
	weight := rank - math.Floor(rank)
	nans := nansFirst(values)
	if lower < nans {
		return math.NaN()
	}
	a, b := neighbours(values[nans:], lower-nans)
	return a*(1-weight) + b*weight
}

// nansFirst moves all NaN to the front and returns how many there are.
func nansFirst(values []float64) int {
	n := 0
	for i, x := range values {
		if x != x {
			values[i], values[n] = values[n], x
			n++
		}
	}
	return n
}

// small is the length up to which sorting is faster than selecting.
const small = 12

// neighbours returns the k-th smallest of values, from 0, and the next; the last twice where there is none. It reorders
// values. They hold no NaN. Selection narrows the stretch that holds both by Hoare's partition around a median of three.
func neighbours(values []float64, k int) (float64, float64) {
	lo, hi := 0, len(values) // What is before lo is not greater, what is at or after hi is not less than what is between.
	for hi-lo > small {
		at := partition(values[lo:hi]) + lo
		if k < at {
			hi = at
		} else {
			lo = at
		}
	}
	insertionSort(values[lo:hi])
	if k+1 < hi {
		return values[k], values[k+1]
	}
	if hi == len(values) {
		return values[k], values[k]
	}
	next := values[hi]
	for _, x := range values[hi+1:] {
		if x < next {
			next = x
		}
	}
	return values[k], next
}

// partition reorders a so that nothing before the returned place, which is neither 0 nor len(a), is greater than what is
// at or after it.
func partition(a []float64) int {
	last := len(a) - 1
	pivot := median(a[0], a[last/2], a[last])
	i, j := -1, len(a)
	for {
		for i++; a[i] < pivot; i++ {
		}
		for j--; a[j] > pivot; j-- {
		}
		if i >= j {
			return max(i, 1)
		}
		a[i], a[j] = a[j], a[i]
	}
}

func median(a, b, c float64) float64 { return max(min(a, b), min(max(a, b), c)) }

func insertionSort(a []float64) {
	for i := 1; i < len(a); i++ {
		x := a[i]
		j := i
		for ; j > 0 && a[j-1] > x; j-- {
			a[j] = a[j-1]
		}
		a[j] = x
	}
}

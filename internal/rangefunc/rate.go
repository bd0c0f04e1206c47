package rangefunc

// Rate is the per-second increase of a counter, extrapolated to the whole range.
func Rate(t []int64, v []float64, w *Window) (float64, bool) {
	if len(t) < 2 {
		return 0, false
	}
	last := len(t) - 1
	return Extrapolate(CounterIncrease(v), v[0], t[0], t[last], last, true, w.Start, w.End, w.Seconds()), true
}

// Increase is the increase of a counter, extrapolated to the whole range.
func Increase(t []int64, v []float64, w *Window) (float64, bool) {
	if len(t) < 2 {
		return 0, false
	}
	last := len(t) - 1
	return Extrapolate(CounterIncrease(v), v[0], t[0], t[last], last, true, w.Start, w.End, 1), true
}

// Delta is the difference between the ends of the range, extrapolated.
func Delta(t []int64, v []float64, w *Window) (float64, bool) {
	if len(t) < 2 {
		return 0, false
	}
	last := len(t) - 1
	return Extrapolate(v[last]-v[0], v[0], t[0], t[last], last, false, w.Start, w.End, 1), true
}

// CounterIncrease returns by how much a counter rose over its samples: after a fall it is taken to have begun at zero.
// v has one element at least.
func CounterIncrease(v []float64) float64 {
	prev := v[0]
	rise := v[len(v)-1] - prev
	for _, cur := range v[1:] {
		if cur < prev {
			rise += prev
		}
		prev = cur
	}
	return rise
}

// Extrapolate extends rise, which was seen between the first sample at firstT with value first and the last one at lastT,
// steps intervals later, to the range from start to end, and divides it by seconds. Times are in milliseconds; steps is
// not 0. It is upstream's rule: a range's end that lies within 1.1 mean intervals of the nearest sample is reached,
// otherwise half an interval is added; a counter is not extended to before the time at which it would have been zero.
func Extrapolate(rise, first float64, firstT, lastT int64, steps int, counter bool, start, end int64, seconds float64) float64 {
	toStart := float64(firstT-start) / 1000
	toEnd := float64(end-lastT) / 1000
	sampled := float64(lastT-firstT) / 1000
	mean := sampled / float64(steps)
	threshold := mean * 1.1
	if toStart >= threshold {
		toStart = mean / 2
	}
	// Where first is not less than rise, it was zero longer ago than sampled: no need to divide.
	if counter && rise > 0 && first >= 0 && (first < rise || sampled < toStart) {
		if toZero := sampled * (first / rise); toZero < toStart {
			toStart = toZero
		}
	}
	if toEnd >= threshold {
		toEnd = mean / 2
	}
	factor := (sampled + toStart + toEnd) / sampled
	return rise * (factor / seconds)
}

// Irate is the per-second increase of a counter between the last two samples.
func Irate(t []int64, v []float64, _ *Window) (float64, bool) {
	if len(t) < 2 {
		return 0, false
	}
	n := len(t)
	rise := v[n-1]
	if !(v[n-1] < v[n-2]) {
		rise -= v[n-2]
	}
	return rise / (float64(t[n-1]-t[n-2]) / 1000), true
}

// Idelta is the difference between the last two samples.
func Idelta(t []int64, v []float64, _ *Window) (float64, bool) {
	if len(t) < 2 {
		return 0, false
	}
	return v[len(t)-1] - v[len(t)-2], true
}

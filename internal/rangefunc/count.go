package rangefunc

import "math"

// Changes counts how often the value changed; NaN equals NaN.
func Changes(_ []int64, v []float64, _ *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	n := 0
	prev := v[0]
	for _, cur := range v[1:] {
		if Changed(prev, cur) {
			n++
		}
		prev = cur
	}
	return float64(n), true
}

// Changed reports whether cur is another value than prev; NaN equals NaN.
func Changed(prev, cur float64) bool { return cur != prev && (cur == cur || prev == prev) }

// Resets counts how often the value fell.
func Resets(_ []int64, v []float64, _ *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	n := 0
	prev := v[0]
	for _, cur := range v[1:] {
		if cur < prev {
			n++
		}
		prev = cur
	}
	return float64(n), true
}

// Count is the number of samples.
func Count(_ []int64, v []float64, _ *Window) (float64, bool) { return float64(len(v)), len(v) > 0 }

// Present is 1 where there are samples.
func Present(_ []int64, v []float64, _ *Window) (float64, bool) { return 1, len(v) > 0 }

// First is the oldest sample's value.
func First(_ []int64, v []float64, _ *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	return v[0], true
}

// Last is the newest sample's value.
func Last(_ []int64, v []float64, _ *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	return v[len(v)-1], true
}

// TimeOfFirst is the time of the oldest sample, in seconds.
func TimeOfFirst(t []int64, _ []float64, _ *Window) (float64, bool) {
	if len(t) == 0 {
		return 0, false
	}
	return float64(t[0]) / 1000, true
}

// TimeOfLast is the time of the newest sample, in seconds.
func TimeOfLast(t []int64, _ []float64, _ *Window) (float64, bool) {
	if len(t) == 0 {
		return 0, false
	}
	return float64(t[len(t)-1]) / 1000, true
}

// Min is the smallest value; NaN where all are.
func Min(_ []int64, v []float64, _ *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	least := v[0]
	for _, x := range v {
		if x < least || least != least {
			least = x
		}
	}
	return least, true
}

// Max is the greatest value; NaN where all are.
func Max(_ []int64, v []float64, _ *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	most := v[0]
	for _, x := range v {
		if x > most || most != most {
			most = x
		}
	}
	return most, true
}

// TimeOfMin is the time of the newest of the samples with the smallest value, in seconds.
func TimeOfMin(t []int64, v []float64, _ *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	at := 0
	for i, x := range v {
		if x <= v[at] || math.IsNaN(v[at]) {
			at = i
		}
	}
	return float64(t[at]) / 1000, true
}

// TimeOfMax is the time of the newest of the samples with the greatest value, in seconds.
func TimeOfMax(t []int64, v []float64, _ *Window) (float64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	at := 0
	for i, x := range v {
		if x >= v[at] || math.IsNaN(v[at]) {
			at = i
		}
	}
	return float64(t[at]) / 1000, true
}

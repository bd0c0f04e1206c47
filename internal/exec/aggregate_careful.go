package exec

import "math"

// careful folds a group whose sum may overflow, value by value, as PromQL does: Neumaier's summation; an average whose
// sum would overflow goes on as a running mean.
type careful struct {
	v, c    float64 // sum, or mean, and its compensation
	n       float64
	running bool // v is the mean
}

// add takes in x, for an average if avg.
func (k *careful) add(x float64, avg bool) {
	k.n++
	if k.n == 1 {
		k.v = x
		return
	}
	if !k.running {
		v, c := neumaier(k.v, k.c, x)
		if !avg || !math.IsInf(v, 0) {
			k.v, k.c = v, c
			return
		}
		k.running = true
		k.v /= k.n - 1
		k.c /= k.n - 1
	}
	q := (k.n - 1) / k.n
	k.v, k.c = neumaier(q*k.v, q*k.c, x/k.n)
}

func (k *careful) value(avg bool) float64 {
	if avg && !k.running {
		return k.v/k.n + k.c/k.n
	}
	return k.v + k.c
}

// neumaier adds x to sum, with the error so far in c. An overflow has no error.
func neumaier(sum, c, x float64) (float64, float64) {
	t := sum + x
	switch {
	case math.IsInf(t, 0):
		return t, 0
	case math.Abs(sum) >= math.Abs(x):
		return t, c + ((sum - t) + x)
	}
	return t, c + ((x - t) + sum)
}

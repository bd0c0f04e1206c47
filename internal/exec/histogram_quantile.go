package exec

import (
	"math"

	"github.com/prometheus/prometheus/util/almost"
)

// bucketTolerance is the relative difference of two counts up to which PromQL takes them for equal.
const bucketTolerance = 1e-12

// buckets are those of one histogram that have a value: upper bounds in ascending order, each once, and cumulative
// counts.
type buckets struct {
	bound, count []float64
}

func (b *buckets) reset() { b.bound, b.count = b.bound[:0], b.count[:0] }

// add appends a bucket whose bound is not below the last one's; buckets of equal bound are one.
func (b *buckets) add(bound, count float64) {
	if last := len(b.bound) - 1; last >= 0 && b.bound[last] == bound {
		b.count[last] += count
		return
	}
	b.bound, b.count = append(b.bound, bound), append(b.count, count)
}

// quantile returns the φ-quantile, 0 ≤ φ ≤ 1, of the histogram as PromQL estimates it: linear interpolation within the
// bucket that the rank falls into, of which the lowest begins at 0 and the highest, which must be +Inf, yields its lower
// bound. It changes counts. There must be a bucket.
func (b *buckets) quantile(phi float64) float64 {
	last := len(b.bound) - 1
	if last < 1 || !math.IsInf(b.bound[last], 1) {
		return math.NaN()
	}
	b.rise()
	total := b.count[last]
	if total == 0 {
		return math.NaN()
	}
	rank := phi * total
	i, j := 0, last // The first bucket below last that reaches the rank, last if none does.
	for i < j {
		if h := (i + j) / 2; b.count[h] >= rank {
			j = h
		} else {
			i = h + 1
		}
	}
	switch {
	case i == last:
		return b.bound[last-1]
	case i == 0 && b.bound[0] <= 0:
		return b.bound[0]
	case i == 0:
		return b.bound[0] * (rank / b.count[0])
	}
	low, below := b.bound[i-1], b.count[i-1]
	return low + (b.bound[i]-low)*((rank-below)/(b.count[i]-below))
}

// rise makes the counts ascend: a count that is lower than one before, or higher by no more than rounding makes it,
// becomes equal to that.
func (b *buckets) rise() {
	highest := b.count[0]
	for i, n := range b.count {
		if d := n - highest; d > 2*bucketTolerance*(math.Abs(n)+math.Abs(highest)) && d > 1e-300 {
			highest = n // Clearly above, as nearly always: nothing to look at more closely.
			continue
		}
		if n == highest {
			continue
		}
		if n < highest || almost.Equal(highest, n, bucketTolerance) {
			b.count[i] = highest
			continue
		}
		highest = n
	}
}

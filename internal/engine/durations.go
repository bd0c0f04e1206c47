package engine

import (
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// durations is a summary of durations in seconds: their number, sum and, over the last minutes, a few quantiles. Unlike
// the client library's, which sorts what it observes and by that costs more than an evaluation that returns nothing, it
// counts in buckets whose bounds grow by a 32nd of a power of two, so that quantiles are right to 2 %.
type durations struct {
	desc *prometheus.Desc

	mu    sync.Mutex
	count uint64
	sum   float64
	// recent counts since began, older in the period before.
	recent, older durationBuckets
	began         time.Time
}

const (
	// durationPeriod is how long a period of counting is; quantiles are over one to two of them.
	durationPeriod = 5 * time.Minute
	// The buckets begin at 2^-30 s, about a nanosecond, and end at 2^14 s, some hours.
	minDurationExp, maxDurationExp = -30, 14
	// stepBits is the logarithm of the number of buckets in a power of two.
	stepBits = 5
)

type durationBuckets [(maxDurationExp - minDurationExp) << stepBits]uint32

func newDurations(name, help string) *durations {
	return &durations{desc: prometheus.NewDesc(name, help, nil, nil)}
}

// Observe adds a duration.
func (d *durations) Observe(seconds float64) {
	at := durationBucket(seconds)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count++
	d.sum += seconds
	d.recent[at]++
}

// durationBucket returns the place of a duration: the exponent and the first bits of the fraction.
func durationBucket(seconds float64) int {
	if !(seconds > 0) {
		return 0
	}
	const bias = 1023
	at := int(math.Float64bits(seconds)>>(52-stepBits)) - (minDurationExp+bias)<<stepBits
	return min(max(at, 0), len(durationBuckets{})-1)
}

// durationMiddle returns the duration in the middle of a bucket.
func durationMiddle(at int) float64 {
	exp, step := at>>stepBits+minDurationExp, at&(1<<stepBits-1)
	return math.Ldexp(1+(float64(step)+0.5)/(1<<stepBits), exp)
}

// Describe implements prometheus.Collector.
func (d *durations) Describe(to chan<- *prometheus.Desc) { to <- d.desc }

// Collect implements prometheus.Collector.
func (d *durations) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstSummary(d.read(time.Now()))
}

// read returns what is exposed at now, and begins a new period where it is time.
func (d *durations) read(now time.Time) (desc *prometheus.Desc, count uint64, sum float64, quantiles map[float64]float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	total := 0
	for i := range d.recent {
		total += int(d.recent[i] + d.older[i])
	}
	quantiles = map[float64]float64{}
	for _, q := range []float64{0.5, 0.9, 0.99} {
		quantiles[q] = d.quantile(int(math.Ceil(q * float64(total))))
	}
	if now.Sub(d.began) >= durationPeriod {
		d.older, d.recent, d.began = d.recent, durationBuckets{}, now
	}
	return d.desc, d.count, d.sum, quantiles
}

// quantile returns the duration of the given rank, from 1; NaN for 0.
func (d *durations) quantile(rank int) float64 {
	if rank == 0 {
		return math.NaN()
	}
	for i := range d.recent {
		if rank -= int(d.recent[i] + d.older[i]); rank <= 0 {
			return durationMiddle(i)
		}
	}
	panic("BUG: fewer durations than were counted")
}

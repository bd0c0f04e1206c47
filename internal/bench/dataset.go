package bench

import (
	"fmt"
	"math"
	"strconv"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

const (
	jobs   = 20
	zones  = 3
	shards = 50
	// interval is the time between two samples of a series, in milliseconds.
	interval = 15_000
	// earliest is how far into an interval the first series is sampled, in milliseconds.
	earliest = 1_000
	// backlog is how many samples every series has before anything is measured: 5 minutes and one interval, so that a
	// window of 5 minutes is full.
	backlog = 21
)

// dataset makes up the series of one class and their samples, one step (an interval) at a time. It is deterministic: the
// same seed gives the same samples. Series are numbered; a few in a row belong to one host and share its labels.
type dataset struct {
	shape  *shape
	seed   uint64
	series int
	step   uint64
	cur    []float64 // value by series
	// generation counts by host how often it was replaced by another one.
	generation []uint32
}

// shape is what the series of a class look like.
type shape struct {
	// perHost is how many series a host has.
	perHost int
	// identify adds what tells the host's series apart: metric name and labels.
	identify func(b *labels.Builder, d *dataset, host, slot int)
	// next is the value after v.
	next func(d *dataset, host, slot int, v float64) float64
}

func newDataset(s *shape, series int, seed uint64) *dataset {
	return &dataset{
		shape: s, seed: seed, series: series, cur: make([]float64, series),
		generation: make([]uint32, series/s.perHost+1),
	}
}

// hosts returns how many hosts the series belong to.
func (d *dataset) hosts() int { return (d.series + d.shape.perHost - 1) / d.shape.perHost }

func (d *dataset) count() int { return d.series }

func (d *dataset) labels(i int) labels.Labels {
	host, slot := i/d.shape.perHost, i%d.shape.perHost
	b := labels.NewBuilder(labels.EmptyLabels())
	instance := fmt.Sprintf("host-%06d:9100", host)
	if g := d.generation[host]; g > 0 {
		instance = fmt.Sprintf("host-%06d-%d:9100", host, g)
	}
	b.Set("instance", instance)
	b.Set("job", fmt.Sprintf("job-%02d", host%jobs))
	b.Set("zone", fmt.Sprintf("zone-%d", host%zones))
	b.Set("shard", shardName(host%shards))
	d.shape.identify(b, d, host, slot)
	return b.Labels()
}

func shardName(n int) string { return fmt.Sprintf("s%02d", n) }

func (d *dataset) advance() { d.step++ }

func (d *dataset) value(i int) float64 {
	d.cur[i] = d.shape.next(d, i/d.shape.perHost, i%d.shape.perHost, d.cur[i])
	return d.cur[i]
}

// offset makes hosts be scraped at different moments.
func (d *dataset) offset(i int) int64 {
	return earliest + int64(d.hash(uint64(i/d.shape.perHost), 7)%(interval-earliest))
}

// replace gives a host's place to a new host, whose counters start anew.
func (d *dataset) replace(host int) {
	d.generation[host]++
	first, end := d.seriesOf(host)
	clear(d.cur[first:end])
}

// seriesOf returns which series are a host's: those from first to before end.
func (d *dataset) seriesOf(host int) (first, end int) {
	return host * d.shape.perHost, min((host+1)*d.shape.perHost, d.series)
}

// constant is a number in [0,1) that belongs to a and what for ever; noise changes with every step.
func (d *dataset) constant(a int, what uint64) float64 { return unit(d.hash(uint64(a), what)) }

func (d *dataset) noise(a int, what uint64) float64 {
	return unit(d.hash(uint64(a)^d.step<<40, what))
}

func (d *dataset) hash(a, b uint64) uint64 { return mix(mix(a+d.seed) + b) }

func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// gauge is a level of the series' own between 0 and 100 with some noise.
func (d *dataset) gauge(i int) float64 {
	level := 98 * d.constant(i, 1)
	return math.Round(100*(level+2*d.noise(i, 2))) / 100
}

// increase is by how much a counter grows in one interval: most are slow, few are fast; at most about 1,000 a second.
func (d *dataset) increase(a int) float64 {
	u := d.constant(a, 3)
	return math.Floor(interval * u * u * u * u * (0.8 + 0.4*d.noise(a, 4)))
}

// restarts says whether a host's counters start anew in this interval: one in two thousand does.
func (d *dataset) restarts(host int) bool { return d.noise(host, 5) < 1.0/2000 }

// counted is a counter's next value.
func (d *dataset) counted(host int, v, increase float64) float64 {
	if d.restarts(host) {
		v = 0
	}
	return v + increase
}

// gaugeShape are gauges: ten a host.
func gaugeShape() *shape {
	return &shape{
		perHost: 10,
		identify: func(b *labels.Builder, _ *dataset, _, slot int) {
			b.Set(model.MetricNameLabel, "bench_temperature_celsius")
			b.Set("device", "dev"+strconv.Itoa(slot))
		},
		next: func(d *dataset, host, slot int, _ float64) float64 { return d.gauge(10*host + slot) },
	}
}

// counterShape are counters: ten a host.
func counterShape() *shape {
	return &shape{
		perHost: 10,
		identify: func(b *labels.Builder, _ *dataset, _, slot int) {
			b.Set(model.MetricNameLabel, "bench_requests_total")
			b.Set("handler", "/api/"+strconv.Itoa(slot))
		},
		next: func(d *dataset, host, slot int, v float64) float64 {
			return d.counted(host, v, d.increase(10*host+slot))
		},
	}
}

// errorShape are pairs of counters: five of requests and five of failed ones a host.
func errorShape() *shape {
	return &shape{
		perHost: 10,
		identify: func(b *labels.Builder, _ *dataset, _, slot int) {
			name := "bench_requests_total"
			if slot >= 5 {
				name = "bench_requests_failed_total"
			}
			b.Set(model.MetricNameLabel, name)
			b.Set("handler", "/api/"+strconv.Itoa(slot%5))
		},
		next: func(d *dataset, host, slot int, v float64) float64 {
			increase := d.increase(10*host + slot%5)
			if slot >= 5 {
				increase = math.Floor(increase * 0.002 * float64(1+host%jobs) * (0.5 + d.noise(10*host+slot, 6)))
			}
			return d.counted(host, v, increase)
		},
	}
}

// bucketBounds are the upper bounds of a host's one classic histogram, in seconds.
func bucketBounds() []float64 {
	return []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, math.Inf(1)}
}

// histogramShape is a classic histogram of ten buckets a host; observations are distributed exponentially with a mean
// that differs by job.
func histogramShape() *shape {
	bounds := bucketBounds()
	names := make([]string, len(bounds))
	for i, le := range bounds {
		names[i] = strconv.FormatFloat(le, 'g', -1, 64)
	}
	return &shape{
		perHost: len(bounds),
		identify: func(b *labels.Builder, _ *dataset, _, slot int) {
			b.Set(model.MetricNameLabel, "bench_duration_seconds_bucket")
			b.Set(labels.BucketLabel, names[slot])
		},
		next: func(d *dataset, host, slot int, v float64) float64 {
			mean := 0.02 * float64(1+host%jobs)
			return d.counted(host, v, math.Floor((100+d.increase(host))*(1-math.Exp(-bounds[slot]/mean))))
		},
	}
}

// joinShape are four gauges a host and one series that says how large the host is and whose.
func joinShape() *shape {
	return &shape{
		perHost: 5,
		identify: func(b *labels.Builder, _ *dataset, host, slot int) {
			if slot == 4 {
				b.Set(model.MetricNameLabel, "bench_capacity_bytes")
				b.Set("team", "team-"+strconv.Itoa(host%7))
				return
			}
			b.Set(model.MetricNameLabel, "bench_used_bytes")
			b.Set("device", "dev"+strconv.Itoa(slot))
		},
		next: func(d *dataset, host, slot int, _ float64) float64 {
			capacity := float64(int64(1) << (30 + host%8))
			if slot == 4 {
				return capacity
			}
			return math.Floor(capacity * d.gauge(5*host+slot) / 100)
		},
	}
}

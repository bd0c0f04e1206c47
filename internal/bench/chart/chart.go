package chart

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
)

// Point is one batch. Batch 0 is what came before the batches: it stands in the CSV and on the time line, not in the
// distribution.
type Point struct {
	Batch   int
	Latency time.Duration
	CPU     time.Duration
	RSS     int64 // bytes
}

// Scenario is one way of doing the same.
type Scenario struct {
	Name string
	// Words say for the legend what the name means; may be empty.
	Words  string
	Points []Point
}

// Profile is what several scenarios did. Scenarios of one name look the same in all profiles.
type Profile struct {
	Name, Title string
	Scenarios   []Scenario
}

// WriteCSV writes a line a batch under a heading with units.
func WriteCSV(w io.Writer, profiles []Profile) error {
	out := csv.NewWriter(w)
	lines := [][]string{{"scenario", "batch", "latency_ms", "cpu_ms", "rss_mib", "profile"}}
	for _, p := range profiles {
		for _, s := range p.Scenarios {
			for _, x := range s.Points {
				lines = append(lines, []string{
					s.Name, strconv.Itoa(x.Batch), millilogarithm(x.Latency), millilogarithm(x.CPU),
					strconv.FormatFloat(float64(x.RSS)/(1<<20), 'f', 2, 64), p.Name,
				})
			}
		}
	}
	if err := out.WriteAll(lines); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// milliseconds writes d to the nanosecond.
func millilogarithm(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Nanoseconds())/1e6, 'f', 6, 64)
}

// xy is a point of a line. A latency is the decimal logarithm of seconds: an axis that scales by itself would not leave
// the right room for its label.
type xy struct{ x, y float64 }

// distribution returns the share of the scenario's batches, in percent, that took no longer than x, as a line of steps.
func (s *Scenario) distribution() []xy {
	var took []float64
	for _, p := range s.Points {
		if p.Batch > 0 {
			took = append(took, logarithm(p.Latency))
		}
	}
	slices.Sort(took)
	line := make([]xy, 0, 2*len(took))
	for i, t := range took {
		n := float64(len(took))
		line = append(line, xy{t, 100 * float64(i) / n}, xy{t, 100 * float64(i+1) / n})
	}
	return line
}

// maxBuckets is how many points a time line has at most: more could not be told apart.
const maxBuckets = 100

// timeline returns the scenario's latencies by batch: the medians of runs of batches, and the band between the least and
// the largest of each.
func (s *Scenario) timeline() (median, low, high []xy) {
	points := slices.DeleteFunc(slices.Clone(s.Points), func(p Point) bool { return p.Batch == 0 })
	size := (len(points) + maxBuckets - 1) / maxBuckets
	for run := range slices.Chunk(points, max(size, 1)) {
		var took []float64
		var at float64
		for _, p := range run {
			took = append(took, logarithm(p.Latency))
			at += float64(p.Batch) / float64(len(run))
		}
		slices.Sort(took)
		median = append(median, xy{at, took[len(took)/2]})
		low = append(low, xy{at, took[0]})
		high = append(high, xy{at, took[len(took)-1]})
	}
	return median, low, high
}

// first returns the point of batch 0.
func (s *Scenario) first() (xy, bool) {
	for _, p := range s.Points {
		if p.Batch == 0 {
			return xy{0, logarithm(p.Latency)}, true
		}
	}
	return xy{}, false
}

// logarithm is that of d in seconds. No time at all, which has none, counts as a nanosecond.
func logarithm(d time.Duration) float64 { return math.Log10(max(d, time.Nanosecond).Seconds()) }

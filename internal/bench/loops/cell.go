package loops

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tocsin/tocsin/internal/kernel"
)

const (
	// sampleTime is about how long a loop is timed at once: far longer than reading the clock takes, short enough that many
	// samples are not disturbed.
	sampleTime = 200 * time.Microsecond
	// firstTimes is how often a loop runs to see how long it takes, firstSamples how often that is looked at.
	firstTimes   = 4
	firstSamples = 3
	// worthTiming is how many times slower than the fastest way of writing it in C another may be at first sight to take
	// part in the rounds.
	worthTiming = 1.3
)

// cell is an expression over so many lanes, and who competes in it.
type cell struct {
	number int
	expression
	lanes   int
	tier1   *contender
	tier2   *contender // nil where there is no machine code
	c       []*contender
	entries []*contender // all of them
}

// contender is one way to compute a cell.
type contender struct {
	// sample runs it so many times, once more before the clock starts, and returns nanoseconds a lane.
	sample func(times int) (float64, error)
	times  int
	took   []float64
}

// enter finds out who competes, checks that all compute the same, and how often each has to run for a sample. c is nil
// where there is no C.
func (x *cell) enter(in *[inputs]kernel.Input, compiled kernel.Runner, c *cProgram) error {
	want := x.block(in, x.lanes)
	interpreter := kernel.NewInterpreter(x.program())
	interpreter.Run(want)
	x.tier1 = goContender(interpreter, x.block(in, x.lanes), x.lanes)
	x.entries = []*contender{x.tier1}
	if compiled.Tier() == 2 {
		got := x.block(in, x.lanes)
		compiled.Run(got)
		if diff := differ(want, got, false); diff != "" {
			return fmt.Errorf("tier 1 and tier 2 differ: %s", diff)
		}
		x.tier2 = goContender(compiled, got, x.lanes)
		x.entries = append(x.entries, x.tier2)
	}
	for way := 0; c != nil && way < ways; way++ {
		got := x.block(in, x.lanes)
		known, err := c.run(x.number, way, got)
		if err != nil {
			return err
		}
		if !known {
			continue
		}
		if diff := differ(want, got, true); diff != "" {
			return fmt.Errorf("tier 1 and C differ: %s", diff)
		}
		x.c = append(x.c, &contender{sample: func(times int) (float64, error) {
			a, err := c.order(x.number, way, x.lanes, times)
			return a.NsPerLane, err
		}})
	}
	x.entries = append(x.entries, x.c...)
	return x.calibrate()
}

func goContender(r kernel.Runner, b *kernel.Block, lanes int) *contender {
	return &contender{sample: func(times int) (float64, error) {
		r.Run(b)
		begin := cpuTime()
		for range times {
			r.Run(b)
		}
		return float64(cpuTime()-begin) / (float64(times) * float64(lanes)), nil
	}}
}

// calibrate finds how often each contender runs for a sample, and leaves out ways in C that are out of the race.
func (x *cell) calibrate() error {
	first := map[*contender]float64{}
	for _, k := range x.entries {
		ns := math.Inf(1)
		times := firstTimes * max(1, 1024/x.lanes) // a run of a word is shorter than the clock is exact
		for range firstSamples {
			n, err := k.sample(times)
			if err != nil {
				return err
			}
			ns = min(ns, n)
		}
		first[k] = ns
		k.times = max(1, int(float64(sampleTime)/(max(ns, 0.001)*float64(x.lanes))))
	}
	best := math.Inf(1)
	for _, k := range x.c {
		best = min(best, first[k])
	}
	slow := func(k *contender) bool { return slices.Contains(x.c, k) && first[k] > worthTiming*best }
	x.entries = slices.DeleteFunc(x.entries, slow)
	x.c = slices.DeleteFunc(x.c, slow)
	return nil
}

// round times each contender once.
func (x *cell) round() error {
	for _, k := range x.entries {
		ns, err := k.sample(k.times)
		if err != nil {
			return err
		}
		k.took = append(k.took, ns)
	}
	return nil
}

// results returns a row for each tier.
func (x *cell) results() []Result {
	c := math.Inf(1) // the best of what C programmers may write
	for _, k := range x.c {
		c = min(c, slices.Min(k.took))
	}
	base := slices.Min(x.tier1.took)
	row := func(tier int, k *contender) Result {
		least := slices.Min(k.took)
		r := Result{
			Expr: x.text, Lanes: x.lanes, Tier: tier, NsPerLane: least, MedianNs: median(k.took), RatioToTier1: base / least,
		}
		if len(x.c) > 0 {
			ratio := least / c
			r.RatioToC, r.CNs = &ratio, c
		}
		return r
	}
	rows := []Result{row(1, x.tier1)}
	if x.tier2 != nil {
		rows = append(rows, row(2, x.tier2))
	}
	return rows
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/plan"
)

// contest is one set of plans evaluated by all tiers over one world.
type contest struct {
	w     *world
	plans []*plan.Plan
	// upstream are the numbers of the plans that tier 0 evaluates; their results are what the others are held to.
	upstream []int
	// pairs returns how many pairs of a rule and a series the plans with these numbers are.
	pairs func(plans []int) int
	ticks int
	// patience is for how long tier 0 is timed; it has one tick at least.
	patience time.Duration
}

// lane is one tier's part in a contest.
type lane struct {
	tier
	plans            []int
	pairs            int
	ns, allocs       []float64 // by tick: for all evaluations
	fed              time.Duration
	samples          int
	bytes            float64 // by series
	bailed, compared int
	buf              promql.Vector
	results          []promql.Vector // of the last tick, kept by tier 0 only
	spent            time.Duration
}

// run loads the plans into the tiers above tier 0, lets ticks go by, times each tier's evaluations and compares their
// results. The first tick is not timed. bytes is what history's head keeps of a series.
func (c *contest) run(ctx context.Context, tiers []tier, bytes float64) (results []EvalResult, err error) {
	defer func() {
		for _, t := range tiers {
			err = errors.Join(err, t.close())
		}
	}()
	zero := &lane{tier: upstream{c.w.store}, plans: c.upstream, bytes: bytes}
	lanes := []*lane{zero}
	for _, t := range tiers {
		l := &lane{tier: t, plans: all(len(c.plans))}
		if err := c.load(ctx, l, zero); err != nil {
			return nil, err
		}
		lanes = append(lanes, l)
	}
	for _, l := range lanes {
		l.pairs = max(1, c.pairs(l.plans))
	}
	c.w.watch = func(batch []history.Sample) {
		for _, l := range lanes {
			l.fed += l.feed(batch, c.w.now())
			l.samples += len(batch)
		}
	}
	defer func() { c.w.watch = nil }()
	for tick := range c.ticks + 1 {
		if err := c.tick(ctx, lanes, tick > 0); err != nil {
			return nil, err
		}
	}
	return c.results(lanes), nil
}

// load gives the plans to a tier, evaluates each once, so that everything that is kept is there, and weighs it.
func (c *contest) load(ctx context.Context, l, zero *lane) error {
	before := heap()
	if err := l.load(ctx, c.plans, c.w.store, c.w.now()); err != nil {
		return fmt.Errorf("load rules into tier %d: %w", l.number(), err)
	}
	if err := c.evaluate(ctx, l, zero); err != nil {
		return err
	}
	l.bytes = max(0, heap()-before) / float64(c.w.data.count())
	return nil
}

// tick brings the samples of an interval and has every tier evaluate its plans. Tier 0 comes last, so that its garbage is
// not the others' burden.
func (c *contest) tick(ctx context.Context, lanes []*lane, timed bool) error {
	if err := c.w.advance(ctx); err != nil {
		return err
	}
	zero := lanes[0]
	runtime.GC() // What writing samples left behind is nobody's cost.
	for i := range lanes {
		l := lanes[(i+1)%len(lanes)]
		if l == zero && (!timed || len(l.ns) > 0 && l.spent > c.patience) {
			continue
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		if err := c.evaluate(ctx, l, zero); err != nil {
			return err
		}
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		l.spent += took
		if timed {
			l.ns = append(l.ns, float64(took.Nanoseconds()))
			l.allocs = append(l.allocs, float64(after.Mallocs-before.Mallocs))
		}
		if l == zero {
			if err := c.compare(ctx, lanes); err != nil {
				return err
			}
		}
	}
	return nil
}

// evaluate has the tier evaluate its plans as of now; what it leaves to tier 0 is evaluated there.
func (c *contest) evaluate(ctx context.Context, l, zero *lane) error {
	at := c.w.now()
	l.bailed = 0
	l.results = l.results[:0]
	for _, i := range l.plans {
		v, err := l.eval(ctx, c.plans[i], at, l.buf[:0])
		if exec.AsBail(err) != nil {
			l.bailed++
			v, err = zero.eval(ctx, c.plans[i], at, nil)
		}
		if err != nil {
			return fmt.Errorf("tier %d, rule %s: %w", l.number(), c.plans[i], err)
		}
		if l == zero {
			l.results = append(l.results, v)
		} else {
			l.buf = v
		}
	}
	return nil
}

// compare holds the tiers to the results that tier 0 has just had.
func (c *contest) compare(ctx context.Context, lanes []*lane) error {
	var errs []error
	for _, l := range lanes[1:] {
		for n, i := range c.upstream {
			got, err := l.eval(ctx, c.plans[i], c.w.now(), l.buf[:0])
			if exec.AsBail(err) != nil {
				continue
			}
			if err == nil {
				err = sameVector(lanes[0].results[n], got)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("WRONG RESULT: tier %d, rule %s: %w", l.number(), c.plans[i], err))
				continue
			}
			l.compared++
		}
	}
	return errors.Join(errs...)
}

func (c *contest) results(lanes []*lane) []EvalResult {
	out := make([]EvalResult, 0, len(lanes))
	base := median(lanes[0].ns) / float64(lanes[0].pairs)
	for _, l := range lanes {
		ns := median(l.ns)
		r := EvalResult{
			Series: c.w.data.count(), Rules: len(l.plans), Tier: l.number(),
			NSPerRuleSeries: ns / float64(l.pairs),
			NSPerRule:       ns / float64(len(l.plans)),
			AllocsPerEval:   median(l.allocs) / float64(len(l.plans)),
			BytesPerSeries:  l.bytes,
			RatioToUpstream: 1,
			Bailed:          l.bailed, Ticks: len(l.ns), Compared: l.compared,
		}
		if l.number() > 0 {
			r.RatioToUpstream = base / r.NSPerRuleSeries
			r.FeedNS = float64(l.fed.Nanoseconds()) / float64(max(1, l.samples))
		}
		out = append(out, r)
	}
	return out
}

// heap returns how many bytes are in use once the garbage is gone.
func heap() float64 {
	runtime.GC()
	runtime.GC() // Finalizers and pools let go in the second round.
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

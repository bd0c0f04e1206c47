package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/plan"
)

const (
	// extrasSeries is the size over which churn and arrivals are measured.
	extrasSeries = 100_000
	// churnTicks is how many intervals the measurement of churn takes: every other one has churn, the first two are not
	// counted.
	churnTicks = 2 + 2*5
	// churnShare is the part of the hosts that is replaced in an interval with churn.
	churnShare = 0.01
)

// extras measures what only tiers above tier 0 have: the cost of churn and of arrivals, with all rules of the class.
func (e *evaluation) extras(ctx context.Context, w *world, d *dataset, c *Class) (err error) {
	plans, err := e.compile(c.rules(e.rules(d.series)))
	if err != nil {
		return err
	}
	tiers := upperTiers(w.store)
	defer func() {
		w.watch = nil
		for _, t := range tiers {
			err = errors.Join(err, t.close())
		}
	}()
	for _, t := range tiers {
		p := &follower{tier: t, zero: upstream{w.store}, w: w, plans: plans}
		if err := p.begin(ctx); err != nil {
			return err
		}
		e.Progress(fmt.Sprintf("%s: churn over %d series", c.Name, d.series))
		churn, err := p.churn(ctx, d)
		if err != nil {
			return err
		}
		churn.Class = c.Name
		e.report.Churn = append(e.report.Churn, churn)
		if _, ok := t.(streamer); !ok {
			continue
		}
		e.Progress(fmt.Sprintf("%s: arrivals over %d series", c.Name, d.series))
		for _, k := range []int{1, 100, 10_000} {
			a, err := p.arrival(ctx, d, k)
			if err != nil {
				return err
			}
			a.Class = c.Name
			e.report.Arrivals = append(e.report.Arrivals, a)
		}
	}
	return nil
}

// follower is one tier that is fed what a world commits.
type follower struct {
	tier
	zero  upstream
	w     *world
	plans []*plan.Plan
	fed   time.Duration
	buf   promql.Vector
}

// begin loads the plans, evaluates each once and has the tier fed from then on.
func (f *follower) begin(ctx context.Context) error {
	if err := f.load(ctx, f.plans, f.w.store, f.w.now()); err != nil {
		return err
	}
	f.w.watch = func(batch []history.Sample) { f.fed += f.feed(batch, f.w.now()) }
	_, err := f.evaluate(ctx)
	return err
}

// evaluate evaluates all plans and returns how long it took.
func (f *follower) evaluate(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	for _, p := range f.plans {
		v, err := f.eval(ctx, p, f.w.now(), f.buf[:0])
		if exec.AsBail(err) != nil {
			v, err = f.zero.eval(ctx, p, f.w.now(), nil)
		}
		if err != nil {
			return 0, fmt.Errorf("tier %d, rule %s: %w", f.number(), p, err)
		}
		f.buf = v
	}
	return time.Since(began), nil
}

// churn compares intervals with and without churn.
func (f *follower) churn(ctx context.Context, d *dataset) (ChurnResult, error) {
	replaced := max(1, int(churnShare*float64(d.hosts())))
	r := ChurnResult{Series: d.series, Rules: len(f.plans), Tier: f.number(), Replaced: replaced * d.shape.perHost}
	var feeds, evals [2][]float64
	next := 0
	for tick := range churnTicks {
		kind := tick % 2
		f.fed = 0
		if kind == 1 {
			if err := f.w.replaceHosts(ctx, d, next, replaced); err != nil {
				return r, err
			}
			next += replaced
		}
		if err := f.w.advance(ctx); err != nil {
			return r, err
		}
		runtime.GC()
		took, err := f.evaluate(ctx)
		if err != nil {
			return r, err
		}
		if tick >= 2 {
			feeds[kind] = append(feeds[kind], milliseconds(f.fed))
			evals[kind] = append(evals[kind], milliseconds(took))
		}
	}
	r.SteadyFeed, r.SteadyEval = median(feeds[0]), median(evals[0])
	r.ChurnFeed, r.ChurnEval = median(feeds[1]), median(evals[1])
	r.SteadyMS, r.ChurnMS = r.SteadyFeed+r.SteadyEval, r.ChurnFeed+r.ChurnEval
	return r, f.verify(ctx)
}

// verify compares a few of the rules' results with upstream's.
func (f *follower) verify(ctx context.Context) error {
	var errs []error
	for _, i := range sample(3, len(f.plans)) {
		want, err := f.zero.eval(ctx, f.plans[i], f.w.now(), nil)
		if err != nil {
			return err
		}
		got, err := f.eval(ctx, f.plans[i], f.w.now(), f.buf[:0])
		if exec.AsBail(err) != nil {
			continue
		}
		if err == nil {
			err = sameVector(want, got)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("WRONG RESULT after churn: tier %d, rule %s: %w", f.number(), f.plans[i], err))
		}
	}
	return errors.Join(errs...)
}

// arrival measures batches of one sample each for k series that are spread over all.
func (f *follower) arrival(ctx context.Context, d *dataset, k int) (ArrivalResult, error) {
	s := f.tier.(streamer)
	s.stream(f.plans)
	if _, err := f.evaluate(ctx); err != nil { // Arrivals are followed from an evaluation on.
		return ArrivalResult{}, err
	}
	r := ArrivalResult{Series: d.series, Rules: len(f.plans), Tier: f.number(), Changed: min(k, d.series)}
	var feeds, pulses []float64
	rounds := 20
	for round := range rounds + 2 {
		d.advance()
		f.w.late++
		at := f.w.now() + f.w.late
		f.fed = 0
		if err := f.w.write(ctx, func(a storage.Appender) error {
			for n := range r.Changed {
				// A stride that has no factor in common with the number of series visits each once.
				i := int((uint64(n)*stride + uint64(round)) % uint64(d.series))
				if err := f.w.append(a, i, at, d.value(i)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return r, err
		}
		began := time.Now()
		r.Touched = s.pulse(at)
		if took := time.Since(began); round >= 2 {
			feeds, pulses = append(feeds, microseconds(f.fed)), append(pulses, microseconds(took))
		}
	}
	r.FeedUS, r.PulseUS = median(feeds), median(pulses)
	if r.Touched == 0 {
		return r, errors.New("samples arrived, and no rule was touched")
	}
	return r, nil
}

// stride is prime, and divides no number of series that is in use.
const stride = 7_919

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin/tocsin/internal/plan"
)

// EvalOptions says what RunEval measures. The zero value is the full profile.
type EvalOptions struct {
	// Quick is a small profile that ends soon: fewer ticks, less patience with tier 0, no churn, no arrivals, and the
	// variants without sharing over the first of Series only.
	Quick bool
	// Series are the sizes; default 1,000, 100,000 and, unless Quick, 1,000,000.
	Series []int
	// Rules a class; default 1,000, over more than 50,000 series 200 if Quick, over more than 500,000 series 100.
	Rules int
	// Ticks that are timed; default 3 if Quick, 5 otherwise.
	Ticks int
	// Seed of the samples; default 1.
	Seed uint64
	// Files are rule files to evaluate whole.
	Files []string
	// Dir is where temporary directories are made; empty means the system's.
	Dir string
	// Progress is told what is being done; nil is fine.
	Progress func(string)
}

// WithDefaults returns o with defaults in place of zeros.
func (o EvalOptions) WithDefaults() EvalOptions {
	if len(o.Series) == 0 {
		o.Series = []int{1_000, 100_000}
		if !o.Quick {
			o.Series = append(o.Series, 1_000_000)
		}
	}
	if o.Ticks == 0 {
		o.Ticks = 5
		if o.Quick {
			o.Ticks = 3
		}
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// Validate says which field of o (with its defaults) cannot be used.
func (o EvalOptions) Validate() error {
	for _, s := range o.Series {
		if s < 10 || s > 10_000_000 {
			return fmt.Errorf("series: %d is not between 10 and 10000000", s)
		}
	}
	if o.Rules < 0 || o.Rules > 100_000 {
		return fmt.Errorf("rules: %d is not between 0, the default, and 100000", o.Rules)
	}
	if o.Ticks < 1 {
		return fmt.Errorf("ticks: %d is not positive", o.Ticks)
	}
	return nil
}

// evaluation is one run of RunEval.
type evaluation struct {
	EvalOptions
	compiler *plan.Compiler
	report   *EvalReport
}

// RunEval measures evaluations on all tiers. A tier whose results differ from upstream's ends it with an error that says
// so; the report then has what was found until there.
func RunEval(ctx context.Context, o EvalOptions) (*EvalReport, error) {
	o = o.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	e := &evaluation{
		EvalOptions: o, compiler: newCompiler(),
		report: &EvalReport{Machine: ThisMachine(), Seed: o.Seed, Ticks: o.Ticks},
	}
	for _, series := range o.Series {
		for classes := Classes(); len(classes) > 0; {
			n := 1
			for n < len(classes) && classes[n].family == classes[0].family {
				n++
			}
			if err := e.family(ctx, classes[:n], series); err != nil {
				return e.report, err
			}
			classes = classes[n:]
		}
	}
	for _, f := range o.Files {
		if err := e.file(ctx, f); err != nil {
			return e.report, fmt.Errorf("%s: %w", f, err)
		}
	}
	return e.report, nil
}

func newCompiler() *plan.Compiler { return plan.NewCompiler(plan.Options{}) }

// family measures classes that are about the same series.
func (e *evaluation) family(ctx context.Context, classes []Class, series int) (err error) {
	e.Progress(fmt.Sprintf("%s: writing %d series", classes[0].family, series))
	d := newDataset(classes[0].shape(), series, e.Seed)
	w, err := newWorld(e.Dir, d, backlog+len(classes)*(e.Ticks+1)+churnTicks)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	before := heap()
	for range backlog {
		if err := w.advance(ctx); err != nil {
			return err
		}
	}
	bytes := max(0, heap()-before) / float64(series)
	for i := range classes {
		if classes[i].unshared && !e.measuresUnshared(series) {
			continue
		}
		if err := e.class(ctx, w, d, &classes[i], bytes); err != nil {
			return fmt.Errorf("%s, %d series: %w", classes[i].Name, series, err)
		}
	}
	if e.Quick || series != extrasSeries {
		return nil
	}
	return e.extras(ctx, w, d, &classes[0])
}

// measuresUnshared says whether the variants without sharing are measured over so many series.
func (e *evaluation) measuresUnshared(series int) bool { return !e.Quick || series == e.Series[0] }

func (e *evaluation) class(ctx context.Context, w *world, d *dataset, c *Class, bytes float64) error {
	e.Progress(fmt.Sprintf("%s: evaluating over %d series", c.Name, d.series))
	plans, err := e.compile(c.rules(c.rulesFor(e.rules(d.series), d.series)))
	if err != nil {
		return err
	}
	con := &contest{
		w: w, plans: plans, upstream: sample(e.upstreamRules(d.series), len(plans)), ticks: e.Ticks, patience: e.patience(),
		pairs: func(rules []int) int { return c.selected(d, rules) },
	}
	results, err := con.run(ctx, upperTiers(w.store), bytes)
	for i := range results {
		results[i].Class = c.Name
	}
	e.report.Results = append(e.report.Results, results...)
	return err
}

// rules is how many rules a class has over so many series.
func (e *evaluation) rules(series int) int {
	switch {
	case e.Rules > 0:
		return e.Rules
	case series > 500_000:
		return 100
	case series > 50_000 && e.Quick:
		return 200
	}
	return 1_000
}

// upstreamRules is how many of the rules tier 0 evaluates at each tick.
func (e *evaluation) upstreamRules(series int) int {
	if e.Quick {
		return min(max(20_000/series, 1), 20)
	}
	return min(max(300_000/series, 1), 100)
}

// patience is for how long tier 0 is timed in each class.
func (e *evaluation) patience() time.Duration {
	if e.Quick {
		return 500 * time.Millisecond
	}
	return 20 * time.Second
}

func (e *evaluation) compile(rules []string) ([]*plan.Plan, error) {
	out := make([]*plan.Plan, 0, len(rules))
	for _, r := range rules {
		p, err := e.compiler.Compile(r)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", strings.TrimSpace(r), err)
		}
		out = append(out, p)
	}
	return out, nil
}

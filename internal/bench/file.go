package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// file evaluates all rules of a rule file over series that are made up for it.
func (e *evaluation) file(ctx context.Context, path string) (err error) {
	plans, err := e.readRules(path)
	if err != nil {
		return err
	}
	src := newFileSource(plans, e.Seed)
	if src.series == 0 {
		return errors.New("no rule has a selector that series could be made up for")
	}
	e.Progress(fmt.Sprintf("%s: %d rules over %d series", path, len(plans), src.series))
	w, err := newWorld(e.Dir, src, backlog+e.Ticks+1)
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
	bytes := max(0, heap()-before) / float64(src.series)
	good := working(ctx, w, plans)
	con := &contest{
		w: w, plans: good, upstream: all(len(good)), ticks: e.Ticks, patience: e.patience(),
		pairs: func([]int) int { return max(1, src.selected(good)) },
	}
	results, err := con.run(ctx, upperTiers(w.store), bytes)
	for _, r := range results {
		r.Class = filepath.Base(path)
		f := FileResult{EvalResult: r, File: path, Failed: len(plans) - len(good)}
		for _, p := range good {
			if t, _ := p.Tier(); t >= plan.Tier1 {
				f.Tier1++
			}
		}
		e.report.Files = append(e.report.Files, f)
	}
	return err
}

func (e *evaluation) readRules(path string) ([]*plan.Plan, error) {
	f, errs := rule.ParseFile(path, e.compiler)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	var plans []*plan.Plan
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			plans = append(plans, r.Plan)
		}
	}
	if len(plans) == 0 {
		return nil, errors.New("no rules")
	}
	return plans, nil
}

// working returns the plans that do not fail on upstream: over series that are made up, a match that is one-to-one in
// life may not be.
func working(ctx context.Context, w *world, plans []*plan.Plan) []*plan.Plan {
	var good []*plan.Plan
	for _, p := range plans {
		if _, err := (upstream{w.store}).eval(ctx, p, w.now(), nil); err == nil {
			good = append(good, p)
		}
	}
	return good
}

package ruletest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/rule"
)

// caseRun is one test case while it runs.
type caseRun struct {
	file     string
	index    int
	test     *testCase
	pos      positions
	interval time.Duration // Between evaluations, and the default step of subqueries.
	fuzzy    bool
	options  Options

	loader *promqltest.LazyLoader
	engine *promql.Engine
	groups []*engine.Group
	errors []string
	debug  []string
}

// report is what the case has shown so far.
func (r *caseRun) report() TestReport {
	return TestReport{
		Name: r.test.title(r.index), Line: r.pos.line("tests", r.index),
		OK: len(r.errors) == 0, Errors: append([]string{}, r.errors...), Debug: r.debug,
	}
}

// fail records a complaint about the node at path below the test.
func (r *caseRun) fail(text string, path ...any) {
	line := r.pos.line(append([]any{"tests", r.index}, path...)...)
	r.errors = append(r.errors, located{line: line, text: fmt.Sprintf("test %q: %s", r.test.title(r.index), strings.TrimRight(text, "\n"))}.in(r.file))
}

// run runs the case on fresh storage. What is wrong stands in the report.
func (r *caseRun) run(ctx context.Context, rules []*rule.Group) {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	if !r.open() {
		return
	}
	defer func() {
		if err := r.close(); err != nil {
			r.fail(err.Error())
		}
	}()
	if !r.prepare(ctx, rules) || !r.evaluate(ctx) {
		return
	}
	r.checkExprs(ctx)
	if r.options.Debug {
		r.debug = append(r.dump(ctx), fmt.Sprintf("took %v", time.Since(began).Round(time.Millisecond)))
	}
}

// open makes the storage and the query engine, and reads the input series.
func (r *caseRun) open() bool {
	loader, err := promqltest.NewLazyLoader(r.test.loadCommand(), promqltest.LazyLoaderOpts{
		EnableAtModifier: true, EnableNegativeOffset: true, StartTime: r.test.Start.Time,
	})
	if err != nil {
		r.failInput(err)
		return false
	}
	r.loader = loader
	r.loader.SubqueryInterval = r.interval
	r.engine = newQueryEngine(r.options.Compiler, r.interval)
	return true
}

// failInput records which of the input series the loader refused, where that can be told.
func (r *caseRun) failInput(err error) {
	for i, s := range r.test.InputSeries {
		if _, _, seriesErr := r.options.Compiler.Parser().ParseSeriesDesc(s.Series + " " + s.Values); seriesErr != nil {
			r.fail(fmt.Sprintf("input_series[%d]: %v", i, seriesErr), "input_series", i)
			return
		}
	}
	r.fail(fmt.Sprintf("input_series: %v", err), "input_series")
}

func (r *caseRun) close() error {
	err := r.engine.Close()
	if loaderErr := r.loader.Close(); loaderErr != nil {
		err = loaderErr
	}
	if err != nil {
		return fmt.Errorf("closing the test's storage: %w", err)
	}
	return nil
}

// prepare makes the rule groups, with fresh state, and checks what must be known before the first evaluation.
func (r *caseRun) prepare(ctx context.Context, rules []*rule.Group) bool {
	for i, a := range r.test.Alerts {
		if a.Alertname == "" {
			r.fail(fmt.Sprintf("alert_rule_test at eval_time %s misses alertname", a.EvalTime), "alert_rule_test", i)
			return false
		}
	}
	eval, err := r.options.NewEval(ctx, Env{
		Storage: r.loader.Storage(), Engine: r.engine, Start: r.test.start(), EvaluationInterval: r.interval,
	})
	if err != nil {
		r.fail(fmt.Sprintf("preparing the rules' evaluation: %v", err))
		return false
	}
	o := engine.Options{Eval: eval, Compiler: r.options.Compiler, Appendable: r.loader.Storage()}
	cfg := engine.Config{
		Groups:         rules,
		Interval:       time.Duration(r.test.Interval),
		ExternalLabels: r.test.ExternalLabels,
		ExternalURL:    externalURL(r.test.ExternalURL),
	}
	for _, g := range rules {
		r.groups = append(r.groups, engine.NewGroup(o, cfg, g))
	}
	return true
}

// evaluate walks the evaluation times and checks the alerts at those that the test asks about. It returns false where
// the test cannot go on: a rule failed, or the context ended.
func (r *caseRun) evaluate(ctx context.Context) bool {
	start := r.test.start()
	end := start.Add(r.test.length())
	asked := r.alertTimes()
	for at := start; !at.After(end); at = at.Add(r.interval) {
		if ctx.Err() != nil {
			return false
		}
		if !r.evaluateAt(ctx, at, at.Sub(start)) {
			return false
		}
		// An eval_time between two evaluations is answered by the one before it.
		for len(asked) > 0 && time.Duration(asked[0]) < at.Add(r.interval).Sub(start) {
			r.checkAlerts(asked[0])
			asked = asked[1:]
		}
	}
	return true
}

// evaluateAt loads the input up to at and evaluates every group once. since is how long after the start that is.
func (r *caseRun) evaluateAt(ctx context.Context, at time.Time, since time.Duration) bool {
	var loadErr error
	healthy := true
	r.loader.WithSamplesTill(at, func(err error) {
		if loadErr = err; err != nil {
			return
		}
		for _, g := range r.groups {
			g.Eval(ctx, at)
			for _, s := range g.Status().Rules {
				if s.LastError != "" {
					healthy = false
					r.fail(fmt.Sprintf("rule %s (line %d of its file) at %s: %s", s.Rule.Name, s.Rule.Line, model.Duration(since), s.LastError))
				}
			}
		}
	})
	if loadErr != nil {
		r.fail(fmt.Sprintf("input_series at %s: %v", model.Duration(since), loadErr), "input_series")
	}
	return healthy
}

// alertTimes returns the times at which the test asks about alerts, in order, each once.
func (r *caseRun) alertTimes() []model.Duration {
	var times []model.Duration
	for _, a := range r.test.Alerts {
		times = append(times, a.EvalTime)
	}
	slices.Sort(times)
	return slices.Compact(times)
}

// checkAlerts compares the alerts that fire now with what the test expects at the given time.
func (r *caseRun) checkAlerts(at model.Duration) {
	got := r.firing()
	for i := range r.test.Alerts {
		t := &r.test.Alerts[i]
		if t.EvalTime != at {
			continue
		}
		expected, present := t.alerts(), got[t.Alertname]
		if !sameFiring(expected, present) {
			r.fail(fmt.Sprintf("alert %s at %s: %s", t.Alertname, at,
				mismatch(describeFiring(expected), describeFiring(present), r.options.Diff)), "alert_rule_test", i)
		}
	}
}

// firing returns the alerts that fire, of all groups, by the name of their rule.
func (r *caseRun) firing() map[string][]firing {
	all := make(map[string][]firing)
	for _, g := range r.groups {
		for _, s := range g.Status().Rules {
			for _, a := range s.Alerts {
				if a.State == alert.Firing {
					all[s.Rule.Name] = append(all[s.Rule.Name], firing{a.Labels, a.Annotations})
				}
			}
		}
	}
	return all
}

// checkExprs compares the results of the test's expressions. All see the storage as the last evaluation left it.
func (r *caseRun) checkExprs(ctx context.Context) {
	for i := range r.test.Exprs {
		t := &r.test.Exprs[i]
		at := r.test.start().Add(time.Duration(t.EvalTime))
		fail := func(text string) {
			r.fail(fmt.Sprintf("expr %q at %s: %s", t.Expr, t.EvalTime, text), "promql_expr_test", i)
		}
		v, err := instant(ctx, r.engine, r.loader.Queryable(), t.Expr, at)
		if err != nil {
			fail(err.Error())
			continue
		}
		expected, err := t.samples(r.options.Compiler)
		if err != nil {
			fail(err.Error())
			continue
		}
		got := fromVector(v)
		if sameSamples(expected, got, r.fuzzy) {
			continue
		}
		text := mismatch(describeSamples(expected), describeSamples(got), r.options.Diff)
		if hasNaN(expected) {
			text += "hint: NaN equals nothing, not even NaN; test for it with an expression such as x != x"
		}
		fail(text)
	}
}

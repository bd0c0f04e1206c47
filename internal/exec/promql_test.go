package exec_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
)

// TestUpstreamSuites runs upstream's own suites on the compiled engine. The suites expect metric names to be dropped at
// the end of a query (delayed name removal), which production Prometheus does not do by default, and neither do we. So
// each query is answered three times: by upstream as the suites want it, by upstream as it runs in production, and
// compiled. The last two must agree; and where upstream agrees with itself, the suite judges the compiled answer.
func TestUpstreamSuites(t *testing.T) {
	e := newSuiteEngine(t)
	promqltest.RunBuiltinTests(t, e)
	t.Logf("%d instants compiled, %d left to tier 0 at run time (%v), %d expressions not compiled", e.compiled, e.left, e.bails, len(e.reasons))
	var reasons []string
	for r, n := range e.reasons {
		reasons = append(reasons, fmt.Sprintf("%5d %s", n, r))
	}
	sort.Strings(reasons)
	t.Logf("not compiled:\n%s", strings.Join(reasons, "\n"))
	require.Greater(t, e.compiled, 3000)
}

// suiteEngine is a query engine that compares as it answers.
type suiteEngine struct {
	t                 testing.TB
	suite, production *promql.Engine
	compiler          *plan.Compiler

	mu             sync.Mutex
	compiled, left int
	bails          map[string]int
	reasons        map[string]int
}

func newSuiteEngine(t testing.TB) *suiteEngine {
	opts := func(delayed bool) promql.EngineOpts {
		return promql.EngineOpts{
			MaxSamples: promqltest.DefaultMaxSamplesPerQuery, Timeout: 100 * time.Second,
			NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
			EnableAtModifier:         true, EnableNegativeOffset: true, EnableDelayedNameRemoval: delayed, UseStartTimestamps: delayed,
			Parser: parser.NewParser(promqltest.TestParserOpts),
		}
	}
	return &suiteEngine{
		t: t, suite: promqltest.NewTestEngineWithOpts(t, opts(true)), production: promqltest.NewTestEngineWithOpts(t, opts(false)),
		compiler: plan.NewCompiler(plan.Options{ExperimentalFunctions: true}),
		bails:    map[string]int{}, reasons: map[string]int{},
	}
}

// suiteQuery is a query of the suite: what upstream made of it, and what is asked.
type suiteQuery struct {
	promql.Query
	engine     *suiteEngine
	storage    storage.Queryable
	text       string
	start, end time.Time
	step       time.Duration // 0 for an instant query
}

func (e *suiteEngine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, ts time.Time) (promql.Query, error) {
	inner, err := e.suite.NewInstantQuery(ctx, q, opts, qs, ts)
	if err != nil {
		return nil, err
	}
	return &suiteQuery{Query: inner, engine: e, storage: q, text: qs, start: ts, end: ts}, nil
}

func (e *suiteEngine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, step time.Duration) (promql.Query, error) {
	inner, err := e.suite.NewRangeQuery(ctx, q, opts, qs, start, end, step)
	if err != nil {
		return nil, err
	}
	return &suiteQuery{Query: inner, engine: e, storage: q, text: qs, start: start, end: end, step: step}, nil
}

func (q *suiteQuery) Exec(ctx context.Context) *promql.Result {
	want := q.Query.Exec(ctx)
	e := q.engine
	p, err := e.compiler.Compile(q.text)
	if err != nil || want.Err != nil || !p.Evaluable() || q.step != 0 && hasQueryContext(q.text) {
		return want
	}
	if _, why := p.Tier(); why != "" {
		e.mu.Lock()
		e.reasons[why]++
		e.mu.Unlock()
		return want
	}
	over := exec.NewOver(exec.Options{Range: q.rangeQuery}, q.storage, func(ctx context.Context, p *plan.Plan, at time.Time) (promql.Vector, error) {
		return instantOf(ctx, e.production, q.storage, q.text, at)
	})
	same := true
	var steps []promql.Vector
	for at := q.start; !at.After(q.end); at = at.Add(max(q.step, 1)) {
		got, err := over.Eval(ctx, p, at)
		production, perr := instantOf(ctx, e.production, q.storage, q.text, at)
		if (err != nil) != (perr != nil) {
			e.t.Errorf("%s at %d: compiled: %v, upstream: %v", q.text, at.UnixMilli(), err, perr)
			return want
		}
		if diff := diffVectors(production, got); diff != "" {
			e.t.Errorf("%s at %d: %s", q.text, at.UnixMilli(), diff)
			return want
		}
		suite, serr := instantOf(ctx, e.suite, q.storage, q.text, at)
		same = same && serr == nil && perr == nil && diffVectors(suite, production) == "" && !hasHistograms(suite)
		steps = append(steps, got)
		if q.step == 0 {
			break
		}
	}
	e.mu.Lock()
	e.compiled += over.Compiled
	e.left += over.Left
	for reason, n := range over.Bails {
		e.bails[reason] += n
	}
	e.mu.Unlock()
	if q.step == 0 && same {
		if _, ok := want.Value.(promql.Vector); ok {
			return &promql.Result{Value: steps[0], Warnings: want.Warnings}
		}
	}
	return want
}

func (q *suiteQuery) rangeQuery(ctx context.Context, text string, start, end time.Time, step time.Duration) (promql.Matrix, error) {
	query, err := q.engine.production.NewRangeQuery(ctx, q.storage, nil, text, start, end, step)
	if err != nil {
		return nil, err
	}
	return query.Exec(ctx).Matrix()
}

func hasHistograms(v promql.Vector) bool {
	return slices.ContainsFunc(v, func(s promql.Sample) bool { return s.H != nil })
}

// hasQueryContext reports whether the text depends on the bounds of the range query that it is part of.
func hasQueryContext(text string) bool {
	for _, f := range []string{"start()", "end()", "range()", "step()"} {
		if strings.Contains(text, f) {
			return true
		}
	}
	return false
}

// instantOf is upstream's answer, a scalar as a vector of one element.
func instantOf(ctx context.Context, e *promql.Engine, q storage.Queryable, text string, at time.Time) (promql.Vector, error) {
	query, err := e.NewInstantQuery(ctx, q, nil, text, at)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	res := query.Exec(ctx)
	if res.Err != nil {
		return nil, res.Err
	}
	switch v := res.Value.(type) {
	case promql.Vector:
		out := make(promql.Vector, len(v))
		copy(out, v)
		return out, nil
	case promql.Scalar:
		return promql.Vector{{T: v.T, F: v.V, Metric: labels.EmptyLabels()}}, nil
	}
	return nil, fmt.Errorf("%T", res.Value)
}

// diffVectors says how two results differ, "" if they do not: the same labels, values within 1e-9 of each other.
func diffVectors(want, got promql.Vector) string {
	key := func(s promql.Sample) string { return s.Metric.String() }
	values := map[string]float64{}
	for _, s := range got {
		if _, twice := values[key(s)]; twice {
			return "twice: " + key(s)
		}
		values[key(s)] = s.F
	}
	for _, s := range want {
		if s.H != nil {
			return "" // left to tier 0
		}
		v, ok := values[key(s)]
		if !ok {
			return fmt.Sprintf("missing %s %v; got %v", key(s), s.F, got)
		}
		if !closeTo(s.F, v) {
			return fmt.Sprintf("%s is %v, want %v", key(s), v, s.F)
		}
		delete(values, key(s))
	}
	for k, v := range values {
		return fmt.Sprintf("too much: %s %v", k, v)
	}
	return ""
}

func closeTo(a, b float64) bool {
	if a == b || math.IsNaN(a) && math.IsNaN(b) {
		return true
	}
	return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b), 1e-300)
}

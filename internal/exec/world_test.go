package exec_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/jit"
	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

// world is a storage that upstream queries and a Core that is fed the same samples.
type world struct {
	t        testing.TB
	r        *rand.Rand
	storage  *teststorage.TestStorage
	upstream *promql.Engine
	core     *exec.Core
	kernels  kernel.Library
	series   []*traffic
	now      int64
	plans    []*plan.Plan
	// compared and bailed count evaluations.
	compared, bailed int
	reasons          map[string]int
}

// traffic is a series and how it goes on.
type traffic struct {
	labels labels.Labels
	ref    storage.SeriesRef
	value  float64
	kind   int // 0 gauge, 1 counter, 2 integer gauge of few values, 3 bucket
	gone   int // intervals until it comes back
}

func newWorld(t testing.TB, r *rand.Rand, texts ...string) *world {
	w := &world{
		t: t, r: r, storage: teststorage.New(t), now: 1_700_000_000_000 + r.Int64N(100_000), reasons: map[string]int{},
		upstream: promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
			MaxSamples: 1e7, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
			NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
			Parser:                   parser.NewParser(promqltest.TestParserOpts),
		}),
	}
	w.kernels = someKernels(r)
	w.core = exec.New(exec.Options{Range: w.rangeQuery, Kernels: w.kernels, Separate: r.IntN(4) == 0})
	compiler := plan.NewCompiler(plan.Options{ExperimentalFunctions: true})
	for _, text := range texts {
		p, err := compiler.Compile(text)
		require.NoError(t, err, text)
		w.plans = append(w.plans, p)
		w.populate(p)
	}
	return w
}

// machineCode returns what runs kernels as machine code, shared by all worlds: one pool of code, as in a process.
var machineCode = sync.OnceValue(func() kernel.Library { return jit.New(jit.Options{}) })

// someKernels returns what runs kernels: machine code, or nothing, so that they are interpreted.
func someKernels(r *rand.Rand) kernel.Library {
	if r.IntN(2) == 0 {
		return nil
	}
	return machineCode()
}

func (w *world) rangeQuery(ctx context.Context, text string, start, end time.Time, step time.Duration) (promql.Matrix, error) {
	q, err := w.upstream.NewRangeQuery(ctx, w.storage, nil, text, start, end, step)
	if err != nil {
		return nil, err
	}
	m, err := q.Exec(ctx).Matrix()
	return m, err
}

// populate makes series that p selects: a few for each selector, with labels from small pools so that they match.
func (w *world) populate(p *plan.Plan) {
	names := labelNames(p)
	var selects []*plan.Select
	p.Root().Walk(func(n *plan.Node) {
		if n.Select != nil {
			selects = append(selects, n.Select)
		}
		if n.Subquery != nil {
			selects = append(selects, n.Subquery.Selects...)
		}
	})
	for _, sel := range selects {
		for range 1 + w.r.IntN(5) {
			w.populateOne(sel, names)
		}
	}
}

func (w *world) populateOne(sel *plan.Select, names []string) {
	lb := labels.NewBuilder(labels.EmptyLabels())
	lb.Set(model.MetricNameLabel, "some_metric")
	for _, name := range names {
		if w.r.IntN(5) > 0 {
			lb.Set(name, []string{"a", "b", "c"}[w.r.IntN(3)])
		}
	}
	for _, m := range sel.Matchers {
		if v, ok := w.matching(m); ok {
			lb.Set(m.Name, v)
		}
	}
	kind := w.r.IntN(3)
	ls := lb.Labels()
	if !strings.HasSuffix(ls.Get(model.MetricNameLabel), "_bucket") {
		w.addSeries(ls, kind)
		return
	}
	for _, le := range []string{"0.1", "1", "10", "+Inf"} {
		lb.Set("le", le)
		if w.r.IntN(12) > 0 {
			w.addSeries(lb.Labels(), 3)
		}
	}
}

func (w *world) addSeries(ls labels.Labels, kind int) {
	for _, s := range w.series {
		if labels.Equal(s.labels, ls) {
			return
		}
	}
	w.series = append(w.series, &traffic{labels: ls, kind: kind, value: float64(w.r.IntN(50))})
}

// matching returns a value that m matches; false to leave the label alone.
func (w *world) matching(m *labels.Matcher) (string, bool) {
	if m.Type == labels.MatchEqual {
		return m.Value, true
	}
	candidates := []string{"a", "b", "c", "x1", "10", "200", "500"}
	for _, part := range strings.Split(strings.Trim(m.Value, "()^$"), "|") {
		part = strings.NewReplacer(".*", "a", ".+", "b", `\\.`, ".", `\.`, ".", "..", "00", "[0-9]", "1").Replace(part)
		candidates = append(candidates, strings.Trim(part, "()^$"), strings.NewReplacer("(", "", ")", "").Replace(part))
	}
	w.r.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	if m.Name == model.MetricNameLabel {
		candidates = slices.DeleteFunc(candidates, func(c string) bool { return len(c) < 3 })
		candidates = append(candidates, "other_metric")
	}
	for _, c := range candidates {
		if m.Matches(c) {
			return c, true
		}
	}
	return "", false
}

// labelNames are the labels that p's operations name, and two more.
func labelNames(p *plan.Plan) []string {
	names := []string{"instance", "zone"}
	p.Root().Walk(func(n *plan.Node) {
		switch {
		case n.Aggregate != nil:
			names = append(names, n.Aggregate.Labels...)
		case n.Binary != nil:
			names = append(append(names, n.Binary.Labels...), n.Binary.Include...)
		case n.Relabel != nil:
			names = append(names, n.Relabel.Src...)
		}
	})
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(s string) bool { return s == model.MetricNameLabel || s == "le" || s == "" })
}

// next returns the series' next sample; false for none.
func (w *world) next(s *traffic) (float64, bool) {
	r := w.r
	if s.gone > 0 {
		s.gone--
		return 0, false
	}
	switch {
	case r.IntN(40) == 0:
		s.gone = r.IntN(30)
		return math.Float64frombits(value.StaleNaN), true
	case r.IntN(15) == 0:
		return 0, false
	case r.IntN(400) == 0:
		return []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e300}[r.IntN(5)], true
	}
	switch s.kind {
	case 0:
		s.value += r.NormFloat64() * 10
	case 1, 3:
		s.value += float64(r.IntN(20))
		if r.IntN(25) == 0 {
			s.value = float64(r.IntN(3))
		}
	case 2:
		s.value = float64(r.IntN(4))
	}
	return s.value, true
}

// interval lets 15 seconds pass: samples are stored and fed in random batches and order. after is called after each
// batch.
func (w *world) interval(after func()) {
	type one struct {
		s *traffic
		t int64
		v float64
	}
	var all []one
	for _, s := range w.series {
		if v, ok := w.next(s); ok {
			all = append(all, one{s, w.now + 1 + w.r.Int64N(14_000), v})
		}
	}
	w.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	start := w.now
	for len(all) > 0 {
		n := min(len(all), 1+w.r.IntN(8))
		app := w.storage.Appender(context.Background())
		var batch []window.Sample
		for _, o := range all[:n] {
			ref, err := app.Append(o.s.ref, o.s.labels, o.t, o.v)
			require.NoError(w.t, err)
			o.s.ref = ref
			batch = append(batch, window.Sample{Ref: uint64(ref), Labels: o.s.labels, T: o.t, V: o.v})
			w.now = max(w.now, o.t)
		}
		require.NoError(w.t, app.Commit())
		w.core.Feed(batch, w.now)
		all = all[n:]
		after()
	}
	w.now = start + 15_000
}

// compare evaluates all plans at the present time and holds them to upstream's results.
func (w *world) compare(eval func(p *plan.Plan) (promql.Vector, error)) {
	ctx := context.Background()
	for _, p := range w.plans {
		want, werr := instantOf(ctx, w.upstream, w.storage, p.String(), time.UnixMilli(w.now))
		got, err := eval(p)
		if b := exec.AsBail(err); b != nil {
			w.bailed++
			w.reasons[b.Error()]++
			continue
		}
		require.NoError(w.t, err)
		w.compared++
		if werr != nil && ranked(p) {
			continue // It took another of several equal elements, which then was one too many.
		}
		if werr != nil {
			w.t.Errorf("%s: upstream fails: %v; compiled: %v", p, werr, got)
			return
		}
		if diff := diffRanked(p, want, got); diff != "" {
			w.t.Errorf("%s at %d: %s", p, w.now, diff)
			w.t.Log(w.core.Dump(p))
			w.t.FailNow()
		}
	}
}

func (w *world) load() {
	require.NoError(w.t, w.core.Load(context.Background(), w.plans, w.storage, w.now))
	w.core.Stream(w.plans)
}

func (w *world) evalNow(p *plan.Plan) (promql.Vector, error) {
	return w.core.Eval(context.Background(), p, w.now, nil)
}

// run plays intervals and compares at each tick, and after each batch what does not depend on time alone.
func (w *world) run(intervals int) {
	before := w.r.IntN(4)
	for range before {
		w.interval(func() {})
	}
	w.load()
	w.compare(w.evalNow)
	var buf []exec.Touched
	for i := range intervals {
		w.interval(func() {
			buf, _ = w.core.Pulse(w.now, buf[:0])
			if i%3 == 0 {
				w.compareArrivals()
			}
		})
		if w.r.IntN(10) == 0 {
			w.now += w.r.Int64N(400_000) // nothing comes: series go out of lookback, windows slide empty
		}
		w.compare(w.evalNow)
		if w.t.Failed() {
			return
		}
	}
}

// compareArrivals holds the columns, as pulses left them, to upstream: plans of instant selectors only.
func (w *world) compareArrivals() {
	all := w.plans
	w.plans = slices.DeleteFunc(slices.Clone(all), func(p *plan.Plan) bool { return !arrivalsOnly(p) })
	w.compare(func(p *plan.Plan) (promql.Vector, error) { return w.core.Result(p, w.now, nil) })
	w.plans = all
}

// diffRanked is diffVectors that leaves open which of several equal elements topk and bottomk take.
func diffRanked(p *plan.Plan, want, got promql.Vector) string {
	if !ranked(p) {
		return diffVectors(want, got)
	}
	if !isRank(p.Root()) {
		return ""
	}
	values := func(v promql.Vector) (out []float64) {
		for _, s := range v {
			out = append(out, s.F)
		}
		slices.Sort(out)
		return out
	}
	if !slices.EqualFunc(values(want), values(got), closeTo) {
		return fmt.Sprintf("%v, want %v", got, want)
	}
	return ""
}

func isRank(n *plan.Node) bool {
	return n.Op == plan.Aggregate && (n.Aggregate.Op == plan.TopK || n.Aggregate.Op == plan.BottomK)
}

func ranked(p *plan.Plan) bool {
	found := false
	p.Root().Walk(func(n *plan.Node) { found = found || isRank(n) })
	return found
}

func arrivalsOnly(p *plan.Plan) bool {
	only := true
	p.Root().Walk(func(n *plan.Node) {
		switch {
		case n.Op == plan.Window, n.Op == plan.Subwindow, n.Op == plan.Time, n.Select != nil && n.Select.Offset != 0:
			only = false
		case n.Op == plan.Map && n.Func == "timestamp":
			only = false
		case n.Op == plan.Aggregate && (n.Aggregate.Op == plan.TopK || n.Aggregate.Op == plan.BottomK):
			only = false
		}
	})
	return only
}

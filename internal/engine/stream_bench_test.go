package engine_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
)

// follower is an engine.Stream over a world's database: what a compiled engine does, with Prometheus's own.
type follower struct {
	w    *world
	wake chan struct{}

	mu      sync.Mutex
	plans   map[string]*plan.Plan
	results map[string]promql.Vector // as the last pulse or evaluation left them
	bails   map[string]bool          // plans whose results are not to be had
	fed     []fedSample
	reached map[string]int64 // by series
	pulses  int
	slow    time.Duration // how long it takes to hand out a result
}

type fedSample struct {
	labels labels.Labels
	t      int64
}

func newFollower(w *world) *follower {
	return &follower{
		w: w, wake: make(chan struct{}, 1),
		plans: map[string]*plan.Plan{}, results: map[string]promql.Vector{}, bails: map[string]bool{}, reached: map[string]int64{},
	}
}

func (f *follower) feed(batch []fedSample) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fed = append(f.fed, batch...)
	for _, s := range batch {
		f.reached[s.labels.String()] = max(f.reached[s.labels.String()], s.t)
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// feedNow feeds what world.write has just written.
func (f *follower) feedNow(t *testing.T, values map[string]float64) {
	t.Helper()
	var batch []fedSample
	for series := range values {
		ls, err := parser.NewParser(parser.Options{}).ParseMetric(series)
		require.NoError(t, err)
		batch = append(batch, fedSample{ls, time.Now().UnixMilli()})
	}
	f.feed(batch)
}

func (f *follower) Wake() <-chan struct{} { return f.wake }

func (f *follower) Stream(plans []*plan.Plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.plans)
	for _, p := range plans {
		f.plans[p.String()] = p
	}
	for text := range f.results {
		if f.plans[text] == nil {
			delete(f.results, text)
		}
	}
}

func (f *follower) Pulse(now int64, buf []exec.Touched) ([]exec.Touched, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pulses++
	for _, text := range slices.Sorted(maps.Keys(f.plans)) {
		before, ok := f.results[text]
		at := f.newest(f.plans[text])
		if !ok || at == 0 {
			continue // The first evaluation is a tick's business.
		}
		after := f.run(f.plans[text], now)
		t := exec.Touched{Plan: f.plans[text], At: at}
		t.Presence, t.Values = differ(before, after)
		f.results[text] = after
		buf = append(buf, t)
	}
	f.fed = nil
	return buf, 0
}

// newest returns the newest timestamp among the fed samples that p reads.
func (f *follower) newest(p *plan.Plan) (at int64) {
	for _, s := range f.fed {
		if slices.ContainsFunc(p.Selectors(), func(ms []*labels.Matcher) bool { return matches(ms, s.labels) }) {
			at = max(at, s.t)
		}
	}
	return at
}

func (f *follower) run(p *plan.Plan, now int64) promql.Vector {
	v, err := f.w.eval(context.Background(), p, time.UnixMilli(now), nil)
	if err != nil {
		return nil
	}
	return v
}

func (f *follower) Reached(p *plan.Plan, at int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ms := range p.Selectors() {
		var newest int64
		for series, t := range f.reached {
			ls, err := parser.NewParser(parser.Options{}).ParseMetric(series)
			if err == nil && matches(ms, ls) {
				newest = max(newest, t)
			}
		}
		if newest != 0 && newest < at {
			return false
		}
	}
	return true
}

func (f *follower) Result(p *plan.Plan, _ int64, buf promql.Vector) (promql.Vector, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.slow > 0 {
		f.mu.Unlock()
		time.Sleep(f.slow)
		f.mu.Lock()
	}
	v, ok := f.results[p.String()]
	if !ok || f.bails[p.String()] {
		return buf, &exec.Bail{Reason: "window"}
	}
	return append(buf, v...), nil
}

// eval is the evaluation that an engine over f runs at ticks.
func (f *follower) eval(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
	v, err := f.w.eval(ctx, p, at, nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.results[p.String()] = slices.Clone(v)
	}
	return append(buf, v...), err
}

func matches(ms []*labels.Matcher, ls labels.Labels) bool {
	return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) })
}

func differ(a, b promql.Vector) (presence, values bool) {
	known := map[string]float64{}
	for _, s := range a {
		known[s.Metric.String()] = s.F
	}
	presence = len(a) != len(b)
	for _, s := range b {
		v, ok := known[s.Metric.String()]
		presence, values = presence || !ok, values || v != s.F
	}
	return presence, values || presence
}

// feeding is a database whose commits a follower hears of.
type feeding struct {
	storage.AppendableV2
	to *follower
}

type feedingAppender struct {
	storage.AppenderV2
	to    *follower
	batch []fedSample
}

func (f feeding) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &feedingAppender{AppenderV2: f.AppendableV2.AppenderV2(ctx), to: f.to}
}

func (a *feedingAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram,
	fh *histogram.FloatHistogram, opts storage.AOptions,
) (storage.SeriesRef, error) {
	ref, err := a.AppenderV2.Append(ref, ls, st, t, v, h, fh, opts)
	if err == nil {
		a.batch = append(a.batch, fedSample{ls, t})
	}
	return ref, err
}

func (a *feedingAppender) Commit() error {
	err := a.AppenderV2.Commit()
	if err == nil && len(a.batch) > 0 {
		a.to.feed(a.batch)
	}
	return err
}

// streamBench is a bench whose engine follows arrivals.
type streamBench struct {
	*bench
	follower   *follower
	registry   *prometheus.Registry
	evaluation engine.Evaluation
}

func inStream(t *testing.T, play func(t *testing.T, b *streamBench)) {
	t.Parallel()
	b := &streamBench{bench: &bench{world: newWorld(t)}, registry: prometheus.NewRegistry()}
	synctest.Test(t, func(t *testing.T) {
		b.follower = newFollower(b.world)
		time.Sleep(time.Microsecond) // No evaluation is at a full millisecond.
		o := b.options()
		o.Registerer, o.Stream, o.Eval, o.Appendable = b.registry, b.follower, b.follower.eval, feeding{b.db, b.follower}
		b.Engine = engine.New(o)
		defer b.Stop()
		play(t, b)
	})
}

// load applies text and starts the engine, if that was not done yet; it returns when the groups follow arrivals.
func (b *streamBench) load(t *testing.T, text string) {
	t.Helper()
	b.reload(t, text)
	b.Start()
	pass(3)
	b.takeMoves()
}

func (b *streamBench) reload(t *testing.T, text string) {
	t.Helper()
	require.NoError(t, b.Apply(engine.Config{
		Interval: 10 * time.Second, Groups: ruleGroups(t, "f", "groups:\n"+text),
		Evaluation: func(string, string) engine.Evaluation { return b.evaluation },
	}))
}

// arrive writes samples at the present time and lets everything happen that needs no time.
func (b *streamBench) arrive(t *testing.T, values map[string]float64) {
	t.Helper()
	b.write(t, values)
	b.follower.feedNow(t, values)
	synctest.Wait()
}

// between sleeps until the middle between two ticks of the first group.
func (b *streamBench) between(t *testing.T) {
	t.Helper()
	last := b.Groups()[0].LastTimestamp
	require.False(t, last.IsZero())
	for !last.Add(5 * time.Second).After(time.Now()) {
		last = last.Add(10 * time.Second)
	}
	time.Sleep(time.Until(last.Add(5 * time.Second)))
	synctest.Wait()
}

// counter returns a counter's value, or the sum of those with the given label value.
func (b *streamBench) counter(t *testing.T, name, value string) float64 {
	t.Helper()
	families, err := b.registry.Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			counts := value == ""
			for _, l := range m.Label {
				counts = counts || l.GetValue() == value
			}
			if counts {
				sum += m.Counter.GetValue()
			}
		}
	}
	return sum
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

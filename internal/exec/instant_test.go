package exec

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

const (
	instantLookback = 60_000
	instantSlack    = 20_000
)

// instantTrial feeds a window and upstream's storage alike, and compares what selectors see.
type instantTrial struct {
	t        *testing.T
	r        *rand.Rand
	now      int64
	storage  *teststorage.TestStorage
	upstream *promql.Engine
	env      *env
	pairs    []*instantPair
	series   []instantSeries
	batch    []window.Sample

	compared, left int
}

// instantPair is a selector twice: one operator follows marks, the other computes everything.
type instantPair struct {
	text           string
	follows, whole *instant
	started        bool
}

type instantSeries struct {
	labels labels.Labels
	last   int64
	gone   int
	kind   int // 1 has native histograms at times
}

func newInstantTrial(t *testing.T, seed uint64, texts ...string) *instantTrial {
	e := &instantTrial{
		t: t, r: rand.New(rand.NewPCG(seed, 2)), now: 1_700_000_000_000, storage: teststorage.New(t),
		upstream: promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
			MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: instantLookback * time.Millisecond,
			EnableNegativeOffset: true, Parser: parser.NewParser(parser.Options{}),
		}),
		env: &env{lookback: instantLookback, store: window.New(window.Options{Lookback: instantLookback, Slack: instantSlack})},
	}
	for _, text := range texts {
		p, err := plan.NewCompiler(plan.Options{}).Compile(text)
		require.NoError(t, err)
		n := p.Root()
		e.pairs = append(e.pairs, &instantPair{
			text: text, follows: newInstant(n, nil, e.env).(*instant), whole: newInstant(n, nil, e.env).(*instant),
		})
	}
	e.env.store.SetComplete(e.now)
	return e
}

func (e *instantTrial) populate(n, histograms int) {
	for i := range n {
		s := instantSeries{labels: labels.FromStrings(model.MetricNameLabel, fmt.Sprintf("m%d", i%2), "i", fmt.Sprint(i)), gone: e.r.IntN(20)}
		if i < histograms {
			s.kind = 1
		}
		e.series = append(e.series, s)
	}
}

// step lets time pass, and a batch of samples come.
func (e *instantTrial) step() {
	e.now += 1 + e.r.Int64N(15_000)
	app := e.storage.Appender(context.Background())
	e.batch = e.batch[:0]
	for i := range e.series {
		s := &e.series[i]
		if s.gone--; s.gone > 0 || e.r.IntN(3) == 0 {
			continue
		}
		t := e.now - e.r.Int64N(3000)
		if t <= s.last {
			continue
		}
		s.last = t
		sample := window.Sample{Ref: uint64(i + 1), Labels: s.labels, T: t, V: e.r.NormFloat64()}
		switch e.r.IntN(20) {
		case 0:
			sample.V = math.Float64frombits(value.StaleNaN)
			s.gone = e.r.IntN(40)
		case 1:
			s.gone = e.r.IntN(40)
		case 2:
			sample.V = math.NaN()
		case 3:
			sample.Histogram = s.kind == 1
		}
		var err error
		if sample.Histogram {
			h := tsdbutil.GenerateTestHistogram(1)
			_, err = app.AppendHistogram(0, s.labels, t, h, nil)
		} else {
			_, err = app.Append(0, s.labels, t, sample.V)
		}
		require.NoError(e.t, err)
		e.batch = append(e.batch, sample)
	}
	require.NoError(e.t, app.Commit())
	e.env.store.Feed(e.batch, e.now)
	e.env.store.Expire(e.now)
}

// follow lets operators follow what came, which must lead to where a whole evaluation leads.
func (e *instantTrial) follow(p *instantPair) {
	p.whole.bind()
	whole := p.whole.full(e.now)
	p.follows.bind()
	if !p.started {
		p.started = p.follows.full(e.now) == nil
		return
	}
	before := elementwiseCopy(&p.follows.column)
	err := p.follows.update(e.now)
	if err != nil || whole != nil {
		require.NotNil(e.t, AsBail(whole), "%s: update: %v, full: %v", p.text, err, whole)
		p.started = false
		p.follows.marks.Clear()
		return
	}
	elementwiseCheckMarks(e.t, &before, &p.follows.output)
	p.follows.marks.Clear()
	if p.follows.node.Select.Offset != 0 {
		return // What time alone brings into sight is for ticks.
	}
	require.Equal(e.t, p.whole.column.OK, p.follows.column.OK, p.text)
	for w, ok := range p.whole.column.OK {
		require.True(e.t, sameBits(wordOf(p.whole.column.V, w), wordOf(p.follows.column.V, w), ok), p.text)
	}
}

// compare evaluates as of at, and wants upstream's answer.
func (e *instantTrial) compare(p *instantPair, at int64) {
	q, err := e.upstream.NewInstantQuery(context.Background(), e.storage, nil, p.text, time.UnixMilli(at))
	require.NoError(e.t, err)
	defer q.Close()
	want, upstream := q.Exec(context.Background()).Vector()
	p.whole.bind()
	if err := p.whole.full(at); err != nil {
		bail := AsBail(err)
		require.NotNil(e.t, bail)
		require.Equal(e.t, ReasonHistogram, bail.Reason, "%s at %d", p.text, at-e.now)
		e.left++
		return
	}
	require.NoError(e.t, upstream, p.text)
	g := elementwiseGraph{t: e.t, root: p.whole}
	got := g.result()
	require.Len(e.t, got, len(want), "%s at %d", p.text, at-e.now)
	for _, s := range want {
		require.Nil(e.t, s.H, "%s: a native histogram", p.text)
		require.Contains(e.t, got, s.Metric.String())
		elementwiseSame(e.t, s.F, got[s.Metric.String()], p.text)
	}
	e.compared++
}

func (e *instantTrial) run(steps int) {
	for range steps {
		e.step()
		for _, p := range e.pairs {
			e.follow(p)
		}
		for _, p := range e.pairs {
			p.whole.selector.Marks().Clear()
			for _, ago := range []int64{0, e.r.Int64N(instantSlack), instantSlack} {
				e.compare(p, e.now-ago)
			}
		}
	}
}

func TestInstantAgainstUpstream(t *testing.T) {
	e := newInstantTrial(t, 20251121, `m0`, `m1`, `m0 offset 10s`, `m0 offset -2s`, `m1 offset 2m`, `timestamp(m1)`, `timestamp(m0 offset 15s)`,
		`{__name__=~"m."}`, `timestamp({__name__=~"m."})`, `m0{i=~"[0-9]"}`, `{i="7"}`, `none`)
	e.populate(150, 0)
	e.run(70)
	t.Logf("%d compared, %d left to tier 0", e.compared, e.left)
	require.Greater(t, e.compared, 3*e.left)
	for _, p := range e.pairs {
		p.follows.close()
		p.whole.close()
	}
	require.Empty(t, e.env.store.Selectors())
}

func TestInstantLeavesHistogramsToTier0(t *testing.T) {
	e := newInstantTrial(t, 3, `m0`, `m0{i="0"}`, `m1{i="1"}`, `timestamp(m1{i="1"})`, `m0{i="8"}`)
	e.populate(10, 2)
	e.run(300)
	t.Logf("%d compared, %d left to tier 0", e.compared, e.left)
	require.Greater(t, e.compared, e.left/2)
}

// TestInstantBoundaries: a sample is visible from its time on, until the lookback has passed, and not a moment longer.
func TestInstantBoundaries(t *testing.T) {
	for _, c := range []struct {
		text string
		from int64
	}{{"m0", 0}, {"m0 offset 7s", 7000}, {"m0 offset -7s", -7000}} {
		e := newInstantTrial(t, 1, c.text)
		ls := labels.FromStrings(model.MetricNameLabel, "m0")
		e.env.store.Feed([]window.Sample{{Ref: 1, Labels: ls, T: e.now, V: 1}}, e.now)
		o := e.pairs[0].whole
		o.bind()
		for at, visible := range map[int64]bool{0: true, instantLookback - 1: true, instantLookback: false, 1: true, -1: false} {
			err := o.full(e.now + c.from + at)
			if at < 0 && AsBail(err) != nil {
				continue // Nothing is known of the time before the window.
			}
			require.NoError(t, err)
			require.Equal(t, visible, o.column.OK.Has(0), "%s at %d", c.text, at)
		}
	}
}

func newInstantBench(tb testing.TB, n int) (*instant, []window.Sample) {
	e := &env{lookback: 300_000, store: window.New(window.Options{Lookback: 300_000, Slack: 30_000})}
	p, err := plan.NewCompiler(plan.Options{}).Compile("metric")
	require.NoError(tb, err)
	o := newInstant(p.Root(), nil, e).(*instant)
	e.store.SetComplete(0)
	samples := make([]window.Sample, n)
	for i := range samples {
		samples[i] = window.Sample{Ref: uint64(i + 1), Labels: elementwiseLabels("metric", i), T: 1_700_000_000_000, V: float64(i)}
	}
	e.store.Feed(samples, 1_700_000_000_000)
	o.bind()
	require.NoError(tb, o.full(1_700_000_000_000))
	require.Equal(tb, n, o.column.OK.Count())
	return o, samples
}

func BenchmarkInstantFull(b *testing.B) {
	o, _ := newInstantBench(b, elementwiseBenchLanes)
	b.ReportAllocs()
	for b.Loop() {
		o.bind()
		if err := o.full(1_700_000_010_000); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/elementwiseBenchLanes, "ns/lane")
}

func BenchmarkInstantFullInThePast(b *testing.B) {
	o, samples := newInstantBench(b, elementwiseBenchLanes)
	for i := range samples {
		samples[i].T += 15_000
	}
	o.env.store.Feed(samples, 1_700_000_015_000)
	b.ReportAllocs()
	for b.Loop() {
		o.bind()
		if err := o.full(1_700_000_010_000); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/elementwiseBenchLanes, "ns/lane")
}

func BenchmarkInstantUpdateOfAWord(b *testing.B) {
	o, _ := newInstantBench(b, elementwiseBenchLanes)
	marks := o.selector.Marks()
	w := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		w = (w + 1) % uint32(elementwiseBenchLanes/column.WordLanes)
		marks.Clear()
		marks.Touch(w)
		o.column.V[w*column.WordLanes] = -1
		o.bind()
		if err := o.update(1_700_000_010_000); err != nil {
			b.Fatal(err)
		}
		o.marks.Clear()
	}
}

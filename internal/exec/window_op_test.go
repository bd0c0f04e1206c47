package exec

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rangefunc"
	"github.com/tocsin/tocsin/internal/window"
)

// pastSample is a sample that upstream reads.
type pastSample struct {
	t int64
	v float64
}

func (s pastSample) T() int64                      { return s.t }
func (s pastSample) ST() int64                     { return 0 }
func (s pastSample) F() float64                    { return s.v }
func (s pastSample) H() *histogram.Histogram       { return nil }
func (s pastSample) FH() *histogram.FloatHistogram { return nil }
func (s pastSample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s pastSample) Copy() chunks.Sample           { return s }

// pastSeries is one series, all of it.
type pastSeries struct {
	labels  labels.Labels
	ref     uint64
	next    func(i int) float64
	samples []chunks.Sample
	silent  bool // no samples from now on
	skip    int
}

func (s *pastSeries) insert(t int64, v float64) bool {
	i, there := slices.BinarySearchFunc(s.samples, t, func(c chunks.Sample, t int64) int { return int(c.T() - t) })
	if !there {
		s.samples = slices.Insert(s.samples, i, chunks.Sample(pastSample{t, v}))
	}
	return !there
}

// past is all series, as upstream's storage.
type past struct {
	storage.SeriesSet
	all []*pastSeries
	at  int
}

func (p *past) Next() bool { p.at++; return p.at <= len(p.all) }
func (p *past) At() storage.Series {
	s := p.all[p.at-1]
	return storage.NewListSeries(s.labels, s.samples)
}
func (p *past) Err() error                        { return nil }
func (p *past) Warnings() annotations.Annotations { return nil }

// windowWorld holds operators over one store to upstream.
type windowWorld struct {
	t     *testing.T
	r     *rand.Rand
	seed  uint64
	now   int64
	refs  uint64
	store *window.Store
	all   []*pastSeries
	ops   []*windowTried

	engine              *promql.Engine
	compared, bailed    int
	unchanged, remarked int
}

// windowTried is an operator with its expression.
type windowTried struct {
	op   *windowed
	text string
	was  column.Column
}

const windowName = "m"

func newWindowWorld(t *testing.T, seed uint64, ooo bool, names ...string) *windowWorld {
	w := &windowWorld{
		t: t, seed: seed, r: rand.New(rand.NewPCG(seed, 0)), now: 1_700_000_000_000,
		store: window.New(window.Options{Lookback: 300_000, Slack: 30_000, SlackSamples: 64, MaxBytes: 1 << 30, OutOfOrder: ooo}),
		engine: promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
			MaxSamples: 1e8, Timeout: time.Minute, Parser: parser.NewParser(promqltest.TestParserOpts),
		}),
	}
	e := &env{store: w.store, lookback: 300_000}
	for _, name := range names {
		w.ops = append(w.ops, w.try(e, name))
	}
	for range 70 {
		w.appear()
	}
	w.store.SetComplete(w.now)
	return w
}

// try makes an operator of a function with a random range and offset.
func (w *windowWorld) try(e *env, name string) *windowTried {
	info, _ := rangefunc.Lookup(name)
	rng := []int64{60_000, 300_000, 300_000, 1_200_000}[w.r.IntN(4)]
	offset := []int64{0, 0, 0, 45_000}[w.r.IntN(4)]
	m := labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, windowName)
	n := &plan.Node{Op: plan.Window, Func: name, Select: &plan.Select{
		Matchers: []*labels.Matcher{m}, Key: "{" + m.String() + "}", Range: rng, Offset: offset,
	}}
	parts := []string{fmt.Sprintf("%s[%dms] offset %dms", windowName, rng, offset)}
	var in []operator
	for range info.Scalars {
		arg := &plan.Node{Op: plan.Number, Scalar: true, Number: w.r.Float64()*0.98 + 0.01}
		op := newNumber(arg, nil, e)
		require.NoError(w.t, op.full(0))
		n.In, in = append(n.In, arg), append(in, op)
		parts = append(parts, strconv.FormatFloat(arg.Number, 'g', -1, 64))
	}
	if info.Matrix == 1 {
		parts[0], parts[1] = parts[1], parts[0]
	}
	return &windowTried{op: newWindow(n, in, e).(*windowed), text: name + "(" + strings.Join(parts, ", ") + ")"}
}

func (w *windowWorld) appear() {
	w.refs++
	all := magnitudes(w.r)
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	w.all = append(w.all, &pastSeries{
		ref: w.refs, labels: labels.FromStrings(model.MetricNameLabel, windowName, "i", strconv.FormatUint(w.refs, 10)),
		next: all[names[w.r.IntN(len(names))]],
	})
}

// pass lets ms pass and feeds what comes meanwhile.
func (w *windowWorld) pass(ms int64) {
	before := w.now
	w.now += ms
	var batch []window.Sample
	add := func(s *pastSeries, t int64, v float64) {
		if s.insert(t, v) {
			batch = append(batch, window.Sample{Ref: s.ref, Labels: s.labels, T: t, V: v})
		}
	}
	for _, s := range w.all {
		if s.skip > 0 {
			s.skip--
			continue
		}
		if s.silent {
			continue
		}
		switch w.r.IntN(60) {
		case 0:
			add(s, w.now, math.Float64frombits(value.StaleNaN))
			s.skip = w.r.IntN(30)
		case 1:
			s.skip = w.r.IntN(30)
		case 2:
			if n := len(s.samples); n > 0 && ms > 2 { // several at once
				for k := range min(5, ms-1) {
					add(s, before+1+k, s.next(n+int(k)))
				}
			}
		case 3: // out of order
			if n := len(s.samples); n > 2 && w.r.IntN(3) == 0 {
				add(s, s.samples[n-1].T()-w.r.Int64N(100_000), s.next(n))
			}
		default:
			add(s, w.now-w.r.Int64N(min(ms, 3)), s.next(len(s.samples)))
		}
	}
	w.r.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
	slices.SortStableFunc(batch, func(a, b window.Sample) int { return int(a.T - b.T) })
	w.store.Feed(batch, w.now)
	w.store.Expire(w.now)
	w.churn()
}

// churn lets series end and others begin.
func (w *windowWorld) churn() {
	if w.r.IntN(20) == 0 {
		w.all[w.r.IntN(len(w.all))].silent = true
	}
	if w.r.IntN(20) == 0 {
		w.appear()
	}
	w.all = slices.DeleteFunc(w.all, func(s *pastSeries) bool {
		return s.silent && len(s.samples) > 0 && s.samples[len(s.samples)-1].T() < w.now-2_000_000
	})
}

// upstream evaluates text.
func (w *windowWorld) upstream(text string, at int64) map[string]float64 {
	q := &storage.MockQueryable{MockQuerier: &storage.MockQuerier{
		SelectMockFunction: func(bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet { return &past{all: w.all} },
	}}
	query, err := w.engine.NewInstantQuery(context.Background(), q, nil, text, time.UnixMilli(at))
	require.NoError(w.t, err)
	defer query.Close()
	vector, err := query.Exec(context.Background()).Vector()
	require.NoError(w.t, err, text)
	out := map[string]float64{}
	for _, s := range vector {
		out[s.Metric.String()] = s.F
	}
	return out
}

// full evaluates all operators at a time and compares all lanes.
func (w *windowWorld) full(at int64) {
	for _, x := range w.ops {
		x.op.bind()
		err := x.op.full(at)
		x.op.synced++
		x.op.marks.Clear()
		if w.bail(x, err, at) {
			continue
		}
		w.compare(x, at, func(int) bool { return true })
		x.keep()
	}
	w.ops[0].op.selector.Marks().Clear()
}

// bail reports whether the operator bailed, which it may where a window is not wholly kept.
func (w *windowWorld) bail(x *windowTried, err error, at int64) bool {
	if err == nil {
		return false
	}
	require.ErrorIs(w.t, err, errWindow)
	floor := int64(math.MinInt64)
	for lane := range x.op.lanes.Len() {
		if x.op.lanes.Live().Has(uint32(lane)) {
			floor = max(floor, w.store.Floor(x.op.selector.IDs()[lane]))
		}
	}
	sel := x.op.node.Select
	require.Greater(w.t, floor, at-sel.Offset-sel.Range, "%s bailed without need", x.text)
	w.bailed++
	x.was = column.Column{}
	return true
}

// update evaluates what arrived.
func (w *windowWorld) update(at int64) {
	touched := slices.Clone(w.ops[0].op.selector.Marks().Words())
	for _, x := range w.ops {
		x.op.bind()
		if x.was.OK == nil {
			continue
		}
		stale := slices.Clone(x.op.stale)
		if w.bail(x, x.op.update(at), at) {
			x.op.marks.Clear()
			continue
		}
		w.compare(x, at, func(lane int) bool {
			word := uint32(lane / column.WordLanes)
			return slices.Contains(touched, word) || stale.Has(word)
		})
		w.checkMarks(x)
		x.op.marks.Clear()
		x.keep()
	}
	w.ops[0].op.selector.Marks().Clear()
}

// checkMarks holds the marks to what changed.
func (w *windowWorld) checkMarks(x *windowTried) {
	x.was.Grow(x.op.lanes.Len())
	for word, ok := range x.op.column.OK {
		was, is := wordOf(x.was.V, word), wordOf(x.op.column.V, word)
		same := ok == x.was.OK[word] && sameBits(was, is, ok)
		require.Equal(w.t, !same, x.op.marks.Has(uint32(word)), "seed %d: %s: word %d", w.seed, x.text, word)
		if same {
			w.unchanged++
		}
	}
	for i, word := range x.op.marks.Words() {
		w.remarked++
		old := x.op.marks.Old(i)
		require.Equal(w.t, x.was.OK[word], old.OK)
		require.True(w.t, sameBits(wordOf(x.was.V, int(word)), &old.V, old.OK))
	}
}

// keep remembers the column.
func (x *windowTried) keep() {
	x.was.Grow(x.op.lanes.Len())
	copy(x.was.V, x.op.column.V)
	copy(x.was.OK, x.op.column.OK)
}

// compare holds the chosen lanes to upstream.
func (w *windowWorld) compare(x *windowTried, at int64, chosen func(lane int) bool) {
	want := w.upstream(x.text, at)
	w.compared++
	for word, ok := range x.op.column.OK {
		require.Zero(w.t, ok&^x.op.lanes.Live()[word], "lanes that nobody uses")
		for ; ok != 0; ok &= ok - 1 {
			lane := word*column.WordLanes + bits.TrailingZeros64(ok)
			ls := x.op.labels(uint32(lane)).String()
			f, there := want[ls]
			delete(want, ls)
			if !chosen(lane) {
				continue
			}
			got := x.op.column.V[lane]
			require.True(w.t, there, "seed %d: %s at %d: %s is %v, but should not be", w.seed, x.text, at, ls, got)
			require.True(w.t, f == got || f != f && got != got || math.Abs(f-got) <= 1e-9*math.Abs(f),
				"seed %d: %s at %d: %s is %v, not %v", w.seed, x.text, at, ls, got, f)
		}
	}
	for lane := range x.op.lanes.Len() {
		if x.op.lanes.Live().Has(uint32(lane)) && !chosen(lane) {
			delete(want, x.op.labels(uint32(lane)).String())
		}
	}
	require.Empty(w.t, want, "seed %d: %s at %d: missing", w.seed, x.text, at)
}

func windowNames() []string {
	return strings.Fields(`rate increase delta irate idelta deriv predict_linear double_exponential_smoothing changes resets
		count_over_time present_over_time first_over_time last_over_time sum_over_time avg_over_time stddev_over_time
		stdvar_over_time min_over_time max_over_time quantile_over_time mad_over_time ts_of_first_over_time
		ts_of_last_over_time ts_of_min_over_time ts_of_max_over_time`)
}

func TestWindowAgainstUpstream(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for i := range uint64(4) {
		w := newWindowWorld(t, seed+i, i%2 == 0, windowNames()...)
		ticks := 120
		for tick := range ticks {
			w.pass([]int64{15_000, 15_000, 15_000, 30_000, 3}[w.r.IntN(5)])
			switch w.r.IntN(5) {
			case 0:
				w.full(w.now - w.r.Int64N(20_000))
			case 1, 2:
				w.full(w.now)
			default:
				w.update(w.now)
			}
			if tick == ticks/2 {
				w.pass(400_000)
			}
		}
		t.Logf("%d compared, %d left to tier 0, %d words marked, %d unchanged", w.compared, w.bailed, w.remarked, w.unchanged)
		require.Less(t, w.bailed, w.compared/3)
	}
}

package exec

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
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
)

// aggregateInput is a vector whose lanes and values a test sets. It is what upstream selects from, too.
type aggregateInput struct {
	output
	own column.Lanes
	ls  []labels.Labels // by lane
}

func newAggregateInput(oneName bool) *aggregateInput {
	in := &aggregateInput{}
	in.lanes = &in.own
	in.unique, in.named, in.oneName = true, true, oneName
	in.labels = func(lane uint32) labels.Labels { return in.ls[lane] }
	return in
}

func (in *aggregateInput) bind()              {}
func (in *aggregateInput) full(int64) error   { return nil }
func (in *aggregateInput) update(int64) error { return nil }

func (in *aggregateInput) add(ls labels.Labels) uint32 {
	lane := in.own.Bind()
	in.ls = column.GrowSlice(in.ls, in.own.Len())
	in.ls[lane] = ls
	in.column.Grow(in.own.Len())
	return lane
}

// drop releases a lane. Its value goes first, with a mark or without.
func (in *aggregateInput) drop(lane uint32, marked bool) {
	if marked {
		in.unset(lane)
	}
	in.column.OK.Unset(lane)
	in.column.V[lane] = math.Inf(-1)
	in.ls[lane] = labels.EmptyLabels()
	in.own.Release(lane)
}

func (in *aggregateInput) mark(lane uint32) {
	w := lane / column.WordLanes
	in.marks.Add(w, in.column.V[w*column.WordLanes:], in.column.OK[w])
}

func (in *aggregateInput) set(lane uint32, v float64) {
	in.mark(lane)
	in.column.V[lane] = v
	in.column.OK.Set(lane)
}

func (in *aggregateInput) unset(lane uint32) {
	in.mark(lane)
	in.column.V[lane] = math.Inf(-1) // Means nothing from here on.
	in.column.OK.Unset(lane)
}

// Querier makes the input what upstream reads: its elements are samples at time 0.
func (in *aggregateInput) Querier(_, _ int64) (storage.Querier, error) {
	return &aggregateQuerier{in: in}, nil
}

type aggregateQuerier struct {
	storage.LabelQuerier
	in *aggregateInput
}

func (q *aggregateQuerier) Close() error { return nil }

func (q *aggregateQuerier) Select(_ context.Context, _ bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	set := &aggregateSeries{at: -1}
	for lane := range uint32(q.in.own.Len()) {
		if !q.in.own.Live().Has(lane) || !q.in.column.OK.Has(lane) {
			continue
		}
		matches := true
		for _, m := range ms {
			matches = matches && m.Matches(q.in.ls[lane].Get(m.Name))
		}
		if matches {
			v := aggregateSample(q.in.column.V[lane])
			set.series = append(set.series, storage.NewListSeries(q.in.ls[lane], []chunks.Sample{v}))
		}
	}
	return set
}

type aggregateSeries struct {
	series []storage.Series
	at     int
}

func (s *aggregateSeries) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *aggregateSeries) At() storage.Series                { return s.series[s.at] }
func (s *aggregateSeries) Err() error                        { return nil }
func (s *aggregateSeries) Warnings() annotations.Annotations { return nil }

type aggregateSample float64

func (s aggregateSample) ST() int64                     { return 0 }
func (s aggregateSample) T() int64                      { return 0 }
func (s aggregateSample) F() float64                    { return float64(s) }
func (s aggregateSample) H() *histogram.Histogram       { return nil }
func (s aggregateSample) FH() *histogram.FloatHistogram { return nil }
func (s aggregateSample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s aggregateSample) Copy() chunks.Sample           { return s }

// aggregateEngine is upstream as it runs in production.
func aggregateEngine(t testing.TB) *promql.Engine {
	return promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
		MaxSamples: 1e8, Timeout: time.Minute, Parser: parser.NewParser(promqltest.TestParserOpts),
	})
}

// aggregateScalar is a scalar that a test sets.
type aggregateScalar struct{ output }

func (s *aggregateScalar) bind()              {}
func (s *aggregateScalar) full(int64) error   { return nil }
func (s *aggregateScalar) update(int64) error { return nil }

// aggregateRig is an expression at work on an input: a chain of the operators of this file's kind, and numbers.
type aggregateRig struct {
	text    string
	in      *aggregateInput
	ops     []operator // inputs first
	scalars []*aggregateScalar
}

func newAggregateRig(t testing.TB, text string, in *aggregateInput) *aggregateRig {
	p, err := plan.NewCompiler(plan.Options{}).Compile(text)
	require.NoError(t, err, text)
	require.NotNil(t, p.Root(), text)
	r := &aggregateRig{text: text, in: in}
	r.build(p.Root())
	return r
}

func (r *aggregateRig) build(n *plan.Node) operator {
	var in []operator
	for _, child := range n.In {
		in = append(in, r.build(child))
	}
	var op operator
	switch n.Op {
	case plan.Instant:
		return r.in
	case plan.Number:
		s := &aggregateScalar{}
		s.node, s.scalar = n, n.Number
		r.scalars = append(r.scalars, s)
		return s
	case plan.Aggregate:
		op = newAggregate(n, in, nil)
	case plan.HistogramQuantile:
		op = newHistogramQuantile(n, in, nil)
	case plan.Absent:
		op = newAbsent(n, in, nil)
	default:
		panic(fmt.Sprintf("BUG: no rig for %v", n.Op))
	}
	r.ops = append(r.ops, op)
	return op
}

func (r *aggregateRig) top() *output { return r.ops[len(r.ops)-1].out() }

// full evaluates as a Core does. The input is not moved.
func (r *aggregateRig) full() error {
	for _, op := range r.ops {
		op.bind()
		err := op.full(0)
		op.out().synced++
		op.out().marks.Clear()
		if err != nil {
			return err
		}
	}
	return nil
}

// update follows the input's marks. They stay, as do those of the operators: settle takes them away.
func (r *aggregateRig) update() error {
	for _, op := range r.ops {
		op.bind()
		if err := op.update(0); err != nil {
			return err
		}
	}
	return nil
}

func (r *aggregateRig) settle() {
	for _, op := range r.ops {
		op.out().marks.Clear()
	}
}

// aggregateElements returns the elements of an output as text, values rounded to nine digits, sorted.
func aggregateElements(t testing.TB, out *output) map[string]float64 {
	elements := map[string]float64{}
	for lane := range uint32(out.lanes.Len()) {
		if !out.column.OK.Has(lane) {
			continue
		}
		require.True(t, out.lanes.Live().Has(lane), "a lane has a value that is not in use")
		key := out.labels(lane).String()
		require.NotContains(t, elements, key)
		elements[key] = out.column.V[lane]
	}
	return elements
}

// upstream evaluates the rig's expression over the input.
func (r *aggregateRig) upstream(t testing.TB, e *promql.Engine) (map[string]float64, error) {
	q, err := e.NewInstantQuery(context.Background(), r.in, nil, r.text, time.UnixMilli(0))
	require.NoError(t, err)
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	elements := map[string]float64{}
	for _, s := range v {
		elements[s.Metric.String()] = s.F
	}
	return elements, err
}

func aggregateClose(a, b float64) bool {
	if a == b || a != a && b != b {
		return true
	}
	return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))
}

// aggregateDiffer says how two results differ, "" if they do not.
func aggregateDiffer(want, got map[string]float64) string {
	var b strings.Builder
	for k, v := range want {
		if x, ok := got[k]; !ok {
			fmt.Fprintf(&b, "%s: want %v, is not there\n", k, v)
		} else if !aggregateClose(v, x) {
			fmt.Fprintf(&b, "%s: want %v, got %v\n", k, v, x)
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			fmt.Fprintf(&b, "%s: want nothing, got %v\n", k, v)
		}
	}
	return b.String()
}

// aggregateRanks is a result with the labels that tell members of a group apart taken away: where values are equal, which
// of them topk chooses is not determined.
func aggregateRanks(elements map[string]float64, group func(string) string) string {
	var all []string
	for k, v := range elements {
		all = append(all, fmt.Sprintf("%s %v", group(k), v+0))
	}
	sort.Strings(all)
	return strings.Join(all, "\n")
}

// aggregateSeriesOf makes up the i-th series: names, groups and buckets overlap, some labels are missing.
func aggregateSeriesOf(r *rand.Rand, i int, names ...string) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set(model.MetricNameLabel, names[r.IntN(len(names))])
	b.Set("i", fmt.Sprint(i))
	if r.IntN(4) > 0 {
		b.Set("g", string(rune('a'+r.IntN(5))))
	}
	if r.IntN(3) > 0 {
		b.Set("h", string(rune('x'+r.IntN(3))))
	}
	return b.Labels()
}

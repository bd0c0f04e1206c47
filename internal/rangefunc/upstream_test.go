package rangefunc_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

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

	"github.com/tocsin/tocsin/internal/rangefunc"
)

// upstream answers with upstream's engine over one series.
type upstream struct {
	t      testing.TB
	engine *promql.Engine
}

func newUpstream(t testing.TB) *upstream {
	return &upstream{t: t, engine: promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
		MaxSamples: 1e8, Timeout: time.Minute, EnableNegativeOffset: true, Parser: parser.NewParser(promqltest.TestParserOpts),
	})}
}

type sample struct {
	t int64
	v float64
}

func (s sample) T() int64                      { return s.t }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.v }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

func (u *upstream) eval(text string, t []int64, v []float64, at int64) promql.Vector {
	samples := make([]chunks.Sample, len(t))
	for i := range t {
		samples[i] = sample{t[i], v[i]}
	}
	series := storage.NewListSeries(labels.FromStrings("__name__", "m", "a", "b"), samples)
	q := &storage.MockQueryable{MockQuerier: &storage.MockQuerier{
		SelectMockFunction: func(bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
			return &oneSeries{Series: series}
		},
	}}
	query, err := u.engine.NewInstantQuery(context.Background(), q, nil, text, time.UnixMilli(at))
	require.NoError(u.t, err)
	defer query.Close()
	vector, err := query.Exec(context.Background()).Vector()
	require.NoError(u.t, err, text)
	return append(promql.Vector(nil), vector...)
}

type oneSeries struct {
	storage.Series
	storage.SeriesSet
	read bool
}

func (s *oneSeries) Next() bool {
	first := !s.read
	s.read = true
	return first
}
func (s *oneSeries) At() storage.Series { return s.Series }
func (s *oneSeries) Err() error         { return nil }

func (s *oneSeries) Warnings() annotations.Annotations { return nil }

// names are all functions that Lookup knows.
func names() []string {
	return strings.Fields(`rate increase delta irate idelta deriv predict_linear double_exponential_smoothing changes resets
		count_over_time present_over_time first_over_time last_over_time sum_over_time avg_over_time stddev_over_time
		stdvar_over_time min_over_time max_over_time quantile_over_time mad_over_time ts_of_first_over_time
		ts_of_last_over_time ts_of_min_over_time ts_of_max_over_time`)
}

// text writes a call of the function.
func text(name string, info rangefunc.Info, rng, offset int64, args [2]float64) string {
	parts := []string{fmt.Sprintf("m[%dms] offset %dms", rng, offset)}
	if offset < 0 {
		parts[0] = fmt.Sprintf("m[%dms] offset -%dms", rng, -offset)
	}
	for i := range info.Scalars {
		parts = append(parts, strconv.FormatFloat(args[i], 'g', -1, 64))
	}
	if info.Matrix == 1 {
		parts[0], parts[1] = parts[1], parts[0]
	}
	return name + "(" + strings.Join(parts, ", ") + ")"
}

// randomValues makes values of one of several characters.
func randomValues(r *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	x := r.Float64() * 100
	kind := r.IntN(9)
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.MaxFloat64, -math.MaxFloat64, 5e-324, 1e16, -1e16, 1e-3}
	for i := range v {
		switch kind {
		case 0: // counter
			x += float64(r.IntN(100))
			if r.IntN(10) == 0 {
				x = float64(r.IntN(10))
			}
		case 1:
			x += r.ExpFloat64()
		case 2:
			x = r.NormFloat64() * 1e3
		case 3: // few values
			x = float64(r.IntN(3))
		case 4: // constant
		case 5:
			x = odd[r.IntN(len(odd))]
		case 6:
			x = r.NormFloat64() * math.Pow(10, float64(r.IntN(600)-300))
		case 7:
			x = 1e9 + float64(r.IntN(5))
		case 8:
			x += r.Float64()
			v[i] = x
			if r.IntN(6) == 0 {
				v[i] = odd[r.IntN(len(odd))]
			}
			continue
		}
		v[i] = x
	}
	return v
}

// randomTimes makes n ascending times that end near at.
func randomTimes(r *rand.Rand, n int, at int64) []int64 {
	t := make([]int64, n)
	even := r.IntN(2) == 0
	for i := n - 1; i >= 0; i-- {
		t[i] = at
		switch {
		case even:
			at -= 15_000
		case r.IntN(8) == 0:
			at -= 1 + r.Int64N(200_000)
		default:
			at -= 1 + r.Int64N(20_000)
		}
	}
	return t
}

func same(a, b float64) bool { return a == b || a != a && b != b }

func TestAgainstUpstream(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	u := newUpstream(t)
	var w rangefunc.Window
	for range 400 {
		at := 1_700_000_000_000 + r.Int64N(1_000_000)
		n := r.IntN(40)
		if r.IntN(10) == 0 {
			n = r.IntN(3)
		}
		ts, vs := randomTimes(r, n, at-r.Int64N(40_000)), randomValues(r, n)
		rng := []int64{15_000, 60_000, 300_000, 299_999, 3_600_000, 1}[r.IntN(6)]
		offset := []int64{0, 0, 60_000, -10_000, 7}[r.IntN(5)]
		for _, name := range names() {
			info, ok := rangefunc.Lookup(name)
			require.True(t, ok, name)
			w.Args = [2]float64{randomArg(r, name), r.Float64()*0.98 + 0.01}
			q := text(name, info, rng, offset, w.Args)
			w.Start, w.End, w.At = at-offset-rng, at-offset, at
			lo, hi := within(ts, w.Start, w.End)
			got, ok := info.Func(ts[lo:hi], vs[lo:hi], &w)
			want := u.eval(q, ts, vs, at)
			require.Equal(t, len(want) > 0, ok, "seed %d: %s at %d over %v %v", seed, q, at, ts, vs)
			if !ok {
				require.Less(t, hi-lo, info.Min)
				continue
			}
			require.GreaterOrEqual(t, hi-lo, info.Min)
			require.Equal(t, info.KeepsName, want[0].Metric.Has("__name__"), name)
			require.True(t, same(want[0].F, got), "seed %d: %s at %d: got %v, want %v over %v %v", seed, q, at, got, want[0].F, ts[lo:hi], vs[lo:hi])
			if info.Newest > 0 {
				again, ok := info.Func(ts[hi-info.Newest:hi], vs[hi-info.Newest:hi], &w)
				require.True(t, ok && same(again, got), "%s depends on older samples", name)
			}
		}
	}
}

// randomArg makes the first scalar argument of a function.
func randomArg(r *rand.Rand, name string) float64 {
	switch name {
	case "quantile_over_time":
		return []float64{0, 1, 0.5, 0.9, -1, 2, math.NaN(), math.Inf(1), r.Float64()}[r.IntN(9)]
	case "predict_linear":
		return []float64{0, 3600, -60, math.NaN(), math.Inf(-1), r.NormFloat64() * 1e4}[r.IntN(6)]
	}
	return r.Float64()*0.98 + 0.01
}

func within(t []int64, start, end int64) (lo, hi int) {
	for lo < len(t) && t[lo] <= start {
		lo++
	}
	for hi = lo; hi < len(t) && t[hi] <= end; hi++ {
	}
	return lo, hi
}

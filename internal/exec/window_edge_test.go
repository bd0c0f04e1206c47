package exec

import (
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

// smallWindow is a store with operators over one selector.
type smallWindow struct {
	t      *testing.T
	store  *window.Store
	now    int64
	labels []labels.Labels
}

// newSmallWindow is over a store that knows nothing from before time 0.
func newSmallWindow(t *testing.T) *smallWindow {
	return &smallWindow{t: t, store: window.New(window.Options{Lookback: 300_000, Slack: 30_000, OutOfOrder: true})}
}

func (s *smallWindow) operator(name string, args ...*output) *windowed {
	m := labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, "m")
	n := &plan.Node{Op: plan.Window, Func: name, Select: &plan.Select{
		Matchers: []*labels.Matcher{m}, Key: m.String(), Range: 60_000,
	}}
	var in []operator
	for _, a := range args {
		n.In = append(n.In, a.node)
		in = append(in, &fixedScalar{a})
	}
	return newWindow(n, in, &env{store: s.store, lookback: 300_000}).(*windowed)
}

// fixedScalar is a scalar that the test sets.
type fixedScalar struct{ *output }

func (fixedScalar) bind()              {}
func (fixedScalar) full(int64) error   { return nil }
func (fixedScalar) update(int64) error { return nil }
func (f fixedScalar) out() *output     { return f.output }

func (s *smallWindow) scalar(v float64) *output {
	return &output{node: &plan.Node{Op: plan.ScalarOf, Scalar: true}, scalar: v}
}

func (s *smallWindow) feed(i int, t int64, v float64) {
	for len(s.labels) <= i {
		s.labels = append(s.labels, labels.FromStrings(model.MetricNameLabel, "m", "i", string(rune('a'+len(s.labels)))))
	}
	s.now = max(s.now, t)
	s.store.Feed([]window.Sample{{Ref: uint64(i + 1), Labels: s.labels[i], T: t, V: v}}, s.now)
}

func (s *smallWindow) full(o *windowed, t int64) error {
	o.bind()
	return o.full(t)
}

func TestWindowKeepsNames(t *testing.T) {
	s := newSmallWindow(t)
	last, rate := s.operator("last_over_time"), s.operator("rate")
	s.store.SetComplete(0)
	s.feed(0, 1000, 1)
	require.NoError(t, s.full(last, 1000))
	require.NoError(t, s.full(rate, 1000))
	require.Equal(t, `{__name__="m", i="a"}`, last.labels(0).String())
	require.Equal(t, `{i="a"}`, rate.labels(0).String())
	require.True(t, last.named && last.unique && !rate.named && rate.unique)
	require.Same(t, last.lanes, rate.lanes)
	last.close()
	rate.close()
	require.Empty(t, s.store.Selectors())
}

func TestWindowBailsWhereSamplesAreMissing(t *testing.T) {
	s := newSmallWindow(t)
	last, irate, rate := s.operator("last_over_time"), s.operator("irate"), s.operator("rate")
	s.store.SetComplete(190_000) // Of what is older than range and slack before, nothing is known.
	s.feed(0, 110_000, 1)
	require.NoError(t, s.full(last, 110_000), "the newest sample is known")
	require.ErrorIs(t, s.full(irate, 110_000), errWindow)
	require.ErrorIs(t, s.full(rate, 110_000), errWindow)
	s.feed(0, 120_000, 1)
	require.NoError(t, s.full(irate, 120_000), "both samples are known")
	require.ErrorIs(t, s.full(rate, 159_999), errWindow)
	require.NoError(t, s.full(rate, 160_000))
	require.EqualValues(t, 1, rate.column.OK[0])
}

func TestWindowBailsOnHistograms(t *testing.T) {
	s := newSmallWindow(t)
	last, rate := s.operator("last_over_time"), s.operator("rate")
	s.store.SetComplete(0)
	s.feed(0, 1000, 1)
	s.store.Feed([]window.Sample{{Ref: 1, T: 2000, Histogram: true}}, 2000)
	require.ErrorIs(t, s.full(last, 2000), errHistogram)
	require.ErrorIs(t, s.full(rate, 2000), errHistogram)
	s.feed(0, 3000, 5)
	require.NoError(t, s.full(last, 3000))
	require.Equal(t, 5.0, last.column.V[0])
	require.ErrorIs(t, s.full(rate, 3000), errHistogram)
	require.ErrorIs(t, s.full(last, 2500), errHistogram)
	s.feed(0, 62_000, 7)
	require.NoError(t, s.full(rate, 62_000))
	require.EqualValues(t, 1, rate.column.OK[0])
}

func TestWindowArguments(t *testing.T) {
	s := newSmallWindow(t)
	smooth, trend, phi := s.scalar(0.5), s.scalar(0), s.scalar(0)
	smoothing, quantile := s.operator("double_exponential_smoothing", smooth, trend), s.operator("quantile_over_time", phi)
	s.store.SetComplete(0)
	s.feed(0, 1000, 1)
	s.feed(0, 2000, 2)
	require.ErrorIs(t, s.full(smoothing, 2000), errParameter)
	trend.scalar = 0.5
	require.NoError(t, s.full(smoothing, 2000))
	require.Equal(t, 2.0, smoothing.column.V[0])

	require.NoError(t, s.full(quantile, 2000))
	require.Equal(t, 1.0, quantile.column.V[0])
	quantile.selector.Marks().Clear()
	require.NoError(t, quantile.update(2000))
	require.Empty(t, quantile.marks.Words())
	phi.setScalar(1)
	require.NoError(t, quantile.update(2000))
	require.Equal(t, []uint32{0}, quantile.marks.Words(), "another argument changes all lanes")
	require.Equal(t, 2.0, quantile.column.V[0])
	require.Equal(t, 1.0, quantile.marks.Old(0).V[0])
}

// TestWindowLaneChangesHands: nothing of the series that stood in a lane before shows in the next one's result.
func TestWindowLaneChangesHands(t *testing.T) {
	s := newSmallWindow(t)
	rate, changes := s.operator("rate"), s.operator("changes")
	s.store.SetComplete(0)
	for i := range 3 {
		s.feed(i, 1000, 5)
		s.feed(i, 2000, 1)
	}
	for _, o := range []*windowed{rate, changes} {
		require.NoError(t, s.full(o, 2000))
		require.EqualValues(t, 7, o.column.OK[0])
		require.EqualValues(t, 1, o.states[1].count)
	}
	rate.selector.Marks().Clear()
	rate.lanes.Release(1)
	for _, o := range []*windowed{rate, changes} {
		o.bind()
		require.NoError(t, o.update(2000))
		require.EqualValues(t, 5, o.column.OK[0])
		require.Equal(t, []uint32{0}, o.marks.Words())
		require.EqualValues(t, 7, o.marks.Old(0).OK)
		o.marks.Clear()
		require.NoError(t, o.update(2000))
		require.Empty(t, o.marks.Words())
	}
	require.EqualValues(t, 1, rate.lanes.Bind())
	rate.bind()
	require.Zero(t, rate.states[1].n)
	require.Equal(t, spot{}, rate.spots[1])
	require.NoError(t, rate.full(2000))
	require.False(t, rate.dirty)
	require.Equal(t, make(column.Bitmap, 1), rate.stale)
}

// TestWindowPastSamples: what is newer than the evaluation does not show.
func TestWindowPastSamples(t *testing.T) {
	s := newSmallWindow(t)
	last, sum, present := s.operator("last_over_time"), s.operator("sum_over_time"), s.operator("present_over_time")
	s.store.SetComplete(0)
	for i := range int64(30) {
		s.feed(0, 1000+i*1000, float64(i))
	}
	for _, back := range []int64{0, 1000, 25_000, 3000, 29_999, 28_000, 0} {
		for _, o := range []*windowed{last, sum, present} {
			require.NoError(t, s.full(o, 30_000-back))
		}
		n := float64((29_000 - back + 1000) / 1000)
		if n == 0 {
			require.Zero(t, last.column.OK[0]|sum.column.OK[0]|present.column.OK[0])
			continue
		}
		require.Equal(t, []float64{n - 1, n * (n - 1) / 2, 1}, []float64{last.column.V[0], sum.column.V[0], present.column.V[0]}, "%d", back)
	}
}

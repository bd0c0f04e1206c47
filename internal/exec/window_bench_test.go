package exec

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rangefunc"
	"github.com/tocsin/tocsin/internal/window"
)

// steadyWindow is an operator over lanes that get a sample every 15 seconds.
type steadyWindow struct {
	store *window.Store
	op    *windowed
	batch []window.Sample
	now   int64
	r     *rand.Rand
}

func newSteadyWindow(tb testing.TB, name string, lanes int, rng int64) *steadyWindow {
	s := &steadyWindow{
		store: window.New(window.Options{Lookback: 300_000, Slack: 30_000, SlackSamples: 64}), now: 1_700_000_000_000,
		r: rand.New(rand.NewPCG(1, 1)),
	}
	info, _ := rangefunc.Lookup(name)
	e := &env{store: s.store, lookback: 300_000}
	m := labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, "m")
	n := &plan.Node{Op: plan.Window, Func: name, Select: &plan.Select{
		Matchers: []*labels.Matcher{m}, Key: m.String(), Range: rng,
	}}
	var in []operator
	for range info.Scalars {
		arg := &plan.Node{Op: plan.Number, Scalar: true, Number: 0.9}
		n.In, in = append(n.In, arg), append(in, newNumber(arg, nil, e))
		require.NoError(tb, in[0].full(0))
	}
	s.op = newWindow(n, in, e).(*windowed)
	for i := range lanes {
		s.batch = append(s.batch, window.Sample{
			Ref: uint64(i + 1), Labels: labels.FromStrings(model.MetricNameLabel, "m", "i", strconv.Itoa(i)),
		})
	}
	s.store.SetComplete(s.now)
	for range rng/15_000 + 10 {
		s.next()
	}
	return s
}

// next feeds a sample a lane.
func (s *steadyWindow) next() {
	s.now += 15_000
	for i := range s.batch {
		s.batch[i].T = s.now - int64(i%1000)*10
		s.batch[i].V += float64(s.r.IntN(100))
	}
	s.store.Feed(s.batch, s.now)
	s.op.selector.Marks().Clear()
}

// BenchmarkWindow measures evaluations in steady state: each lane has got one sample since the last.
func BenchmarkWindow(b *testing.B) {
	for _, rng := range []int64{300_000, 3_600_000} {
		for _, name := range windowNames() {
			b.Run(fmt.Sprintf("%s/%ds", name, rng/1000), func(b *testing.B) {
				benchmarkWindow(b, name, map[int64]int{300_000: 100_000, 3_600_000: 10_000}[rng], rng)
			})
		}
	}
}

// BenchmarkWindowSmall is BenchmarkWindow where all fits the processor's caches.
func BenchmarkWindowSmall(b *testing.B) {
	for _, name := range []string{"rate", "last_over_time", "sum_over_time"} {
		b.Run(name, func(b *testing.B) { benchmarkWindow(b, name, 1024, 300_000) })
	}
}

func benchmarkWindow(b *testing.B, name string, lanes int, rng int64) {
	s := newSteadyWindow(b, name, lanes, rng)
	s.op.bind()
	require.NoError(b, s.op.full(s.now))
	least := time.Hour
	var spent time.Duration
	var allocs uint64
	var before, after runtime.MemStats
	b.ResetTimer()
	for range b.N {
		s.next()
		runtime.ReadMemStats(&before)
		start := time.Now()
		s.op.bind()
		err := s.op.full(s.now)
		took := time.Since(start)
		spent += took
		least = min(least, took)
		runtime.ReadMemStats(&after)
		require.NoError(b, err)
		allocs += after.Mallocs - before.Mallocs
	}
	b.StopTimer()
	require.Equal(b, lanes, s.op.column.OK.Count())
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N*lanes), "ns/lane")
	b.ReportMetric(float64(least.Nanoseconds())/float64(lanes), "least-ns/lane")
	b.ReportMetric(float64(allocs)/float64(b.N), "allocs/full")
	b.ReportMetric(0, "ns/op")
}

// TestWindowAllocatesNothing: evaluations of lanes that are bound allocate nothing.
func TestWindowAllocatesNothing(t *testing.T) {
	for _, name := range windowNames() {
		s := newSteadyWindow(t, name, 200, 300_000)
		s.op.bind()
		require.NoError(t, s.op.full(s.now))
		s.next()
		require.Zero(t, testing.AllocsPerRun(5, func() {
			s.op.bind()
			require.NoError(t, s.op.full(s.now))
		}), name)
		require.Equal(t, 200, s.op.column.OK.Count(), name)
	}
}

// TestWindowArrivalAllocatesNothing: neither does following what arrived, once there was room for the marks.
func TestWindowArrivalAllocatesNothing(t *testing.T) {
	s := newSteadyWindow(t, "rate", 4*column.WordLanes, 300_000)
	s.op.bind()
	require.NoError(t, s.op.full(s.now))
	pulse := func() {
		s.now += 15_000
		for i := range s.batch {
			s.batch[i].T = s.now
			s.batch[i].V += float64(s.r.IntN(100))
		}
		s.store.Feed(s.batch, s.now)
		s.op.bind()
		if err := s.op.update(s.now); err != nil || len(s.op.marks.Words()) != 4 {
			t.Fatal(err, s.op.marks.Words())
		}
		s.op.marks.Clear()
		s.op.selector.Marks().Clear()
	}
	for range 100 {
		pulse()
	}
	require.Zero(t, testing.AllocsPerRun(20, pulse))
}

package exec_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

func compile(t testing.TB, text string) *plan.Plan {
	t.Helper()
	p, err := plan.NewCompiler(plan.Options{}).Compile(text)
	require.NoError(t, err)
	require.NotNil(t, p.Root(), text)
	return p
}

// batchOf is a sample of each of n series m{i="…"}.
func batchOf(n int, at int64, v float64) []window.Sample {
	batch := make([]window.Sample, n)
	for i := range batch {
		ls := labels.FromStrings("__name__", "m", "i", fmt.Sprint(i), "zone", fmt.Sprint(i%7))
		batch[i] = window.Sample{Ref: uint64(i + 1), Labels: ls, T: at, V: v + float64(i%50)}
	}
	return batch
}

var steady = []string{
	`m > 1000`, `m > 49 and m < 51`, `rate(m[1m]) > 100`, `sum by (zone) (rate(m[1m])) > 1e6`, `sum(m) / count(m) > 1e6`,
	`m / on (i) group_left () m > 2`, `max by (zone) (max_over_time(m[1m])) > 1e6`, `m unless m > 1`, `absent(m)`,
	`topk(3, m) > 1e6`, `quantile by (zone) (0.9, m) > 1e6`, `avg_over_time(m[1m]) > 1e6`, `time() - timestamp(m) > 600`,
}

// TestSteadyStateAllocatesNothing: ticks and arrivals without change of presence cost numbers only.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	for _, text := range steady {
		w.plans = append(w.plans, compile(t, text))
	}
	w.load()
	at := int64(1_700_000_000_000)
	batch := batchOf(500, at, 10)
	var result promql.Vector
	var touched []exec.Touched
	round := func() {
		at += 5000
		for i := range batch {
			batch[i].T, batch[i].V = at, batch[i].V+1
			if batch[i].V > 60 {
				batch[i].V = 1
			}
		}
		w.core.Feed(batch, at)
		touched, _ = w.core.Pulse(at, touched[:0])
		for _, p := range w.plans {
			var err error
			result, err = w.core.Eval(context.Background(), p, at+1, result[:0])
			require.NoError(t, err)
		}
	}
	for range 200 { // until buffers have their size
		round()
	}
	require.Zero(t, testing.AllocsPerRun(50, round))
	require.Len(t, touched, len(w.plans))
}

// TestShared: what several rules ask is one node.
func TestShared(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	w.core = exec.New(exec.Options{})
	for i := range 100 {
		w.plans = append(w.plans, compile(t, fmt.Sprintf(`sum by (zone) (rate(m{b="2",a="1"}[5m])) > %d`, i)))
	}
	w.plans = append(w.plans, compile(t, `sum(rate(m{a="1", b="2"}[5m])) by (zone) > 100`))
	w.load()
	s := w.core.Stats()
	require.Equal(t, 101, s.Plans)
	require.Equal(t, 1+1+101, s.Nodes, "one rate, one sum, a comparison each")
	m, ok := w.core.Measure(w.plans[0].Root().In[0].Key)
	require.True(t, ok)
	require.Equal(t, 101, m.Shared)

	w.plans = w.plans[:1]
	w.load()
	require.Equal(t, 3, w.core.Stats().Nodes)
	w.plans = nil
	w.load()
	require.Zero(t, w.core.Stats().Nodes)
	require.Zero(t, w.core.Stats().Series)
}

// TestRestart: a Core that begins in the middle, from what is stored, goes on as one that saw everything.
func TestRestart(t *testing.T) {
	seed := seedOf(t)
	for i := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, i))
		w := newWorld(t, r, randomExpression(r, 2), randomExpression(r, 2), `sum by (zone) (increase(m_total[3m]))`)
		w.run(10)
		first := w.core
		w.core = exec.New(exec.Options{Range: w.rangeQuery})
		w.load()
		for _, p := range w.plans {
			want, err := first.Eval(context.Background(), p, w.now, nil)
			got, err2 := w.core.Eval(context.Background(), p, w.now, nil)
			require.Equal(t, err == nil, err2 == nil, "seed %d: %s: %v, %v", seed, p, err, err2)
			if err == nil {
				require.Empty(t, diffRanked(p, want, got), "seed %d: %s", seed, p)
			}
		}
		w.run(5)
		if t.Failed() {
			t.Fatalf("seed %d, world %d", seed, i)
		}
	}
}

// TestLimitedMemory: windows that may not grow leave rules to tier 0 and never answer wrongly.
func TestLimitedMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	w := newWorld(t, r, `rate(m_total[10m])`, `up`)
	w.core = exec.New(exec.Options{MaxBytes: 2000})
	w.run(60)
	require.Positive(t, w.bailed)
}

// TestNativeHistogramsAreLeft: a series that has one cannot be answered over columns of floats.
func TestNativeHistogramsAreLeft(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)), `sum(h)`, `rate(h[1m])`, `up`)
	w.load()
	ls := labels.FromStrings("__name__", "h", "i", "1")
	app := w.storage.Appender(context.Background())
	_, err := app.AppendHistogram(0, ls, w.now, histogramOf(3), nil)
	require.NoError(t, err)
	require.NoError(t, app.Commit())
	w.core.Feed([]window.Sample{{Ref: 1, Labels: ls, T: w.now, Histogram: true}}, w.now)
	for _, p := range w.plans[:2] {
		_, err := w.evalNow(p)
		require.Equal(t, exec.ReasonHistogram, exec.AsBail(err).Reason)
	}
	_, err = w.evalNow(w.plans[2])
	require.NoError(t, err)
	require.Equal(t, uint64(1), w.core.Fallbacks(w.plans[0])[exec.ReasonHistogram])

	// The same from what is stored, and no more once it is long gone.
	w.core = exec.New(exec.Options{})
	w.load()
	_, err = w.evalNow(w.plans[0])
	require.Equal(t, exec.ReasonHistogram, exec.AsBail(err).Reason)
	w.now += 20 * time.Minute.Milliseconds()
	w.core.Pulse(w.now, nil)
	_, err = w.evalNow(w.plans[0])
	require.NoError(t, err)
}

func histogramOf(n uint64) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: 0, ZeroThreshold: 0.001, ZeroCount: n, Count: 2 * n, Sum: 1,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}}, PositiveBuckets: []int64{int64(n)},
	}
}

// TestDeadlines: what time alone changes is told when it is due, not before.
func TestDeadlines(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	w.plans = append(w.plans, compile(t, `m`), compile(t, `absent(m)`), compile(t, `count_over_time(m[30s])`))
	w.load()
	for _, p := range w.plans {
		_, err := w.evalNow(p)
		require.NoError(t, err)
	}
	at := w.now
	w.core.Feed(batchOf(3, at, 1), at)
	select {
	case <-w.core.Wake():
	default:
		t.Fatal("nobody was woken")
	}
	touched, next := w.core.Pulse(at, nil)
	require.Len(t, touched, 3)
	for _, x := range touched {
		require.True(t, x.Presence)
		require.Equal(t, at, x.At)
	}
	gone := map[string]int64{}
	for range 20 {
		if next == 0 || next > at+400_000 {
			break
		}
		now := next
		touched, next = w.core.Pulse(now, nil)
		for _, x := range touched {
			require.Zero(t, x.At, "no sample came")
			if _, ok := gone[x.Plan.String()]; !ok && x.Presence {
				gone[x.Plan.String()] = now - at
			}
		}
	}
	require.Equal(t, map[string]int64{"m": 300_000, "absent(m)": 300_000, "count_over_time(m[30s])": 30_000}, gone)
}

// TestReached: a plan of several selectors says whether all have seen a time.
func TestReached(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	p := compile(t, `m > on () n`)
	w.plans = append(w.plans, p)
	w.load()
	at := w.now
	w.core.Feed(batchOf(1, at, 1), at)
	require.True(t, w.core.Reached(p, at), "nobody knows n")
	n := labels.FromStrings("__name__", "n")
	w.core.Feed([]window.Sample{{Ref: 77, Labels: n, T: at - 5, V: 1}}, at)
	require.False(t, w.core.Reached(p, at))
	w.core.Feed([]window.Sample{{Ref: 77, Labels: n, T: at, V: 1}}, at)
	require.True(t, w.core.Reached(p, at))
}

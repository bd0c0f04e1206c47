package engine

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	nativehistogram "github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// nowhere is a database that takes everything and keeps nothing.
type nowhere struct{ appended, withRef int }

func (n *nowhere) AppenderV2(context.Context) storage.AppenderV2 { return n }

func (n *nowhere) Append(ref storage.SeriesRef, _ labels.Labels, _, _ int64, _ float64, _ *nativehistogram.Histogram,
	_ *nativehistogram.FloatHistogram, _ storage.AOptions,
) (storage.SeriesRef, error) {
	n.appended++
	if ref != 0 {
		n.withRef++
	}
	return 7, nil
}

func (n *nowhere) Commit() error   { return nil }
func (n *nowhere) Rollback() error { return nil }

func steadyVector(n int) promql.Vector {
	var v promql.Vector
	for i := range n {
		v = append(v, promql.Sample{F: 1, Metric: labels.FromStrings(model.MetricNameLabel, "up", "i", fmt.Sprint(i), "instance", "host")})
	}
	return v
}

// steadyGroup returns a group of n alerting and n recording rules that return result at each evaluation.
func steadyGroup(t testing.TB, n int, into storage.AppendableV2, result promql.Vector) *Group {
	p, err := plan.NewCompiler(plan.Options{}).Compile("up == 0")
	require.NoError(t, err)
	def := &rule.Group{Name: "g", File: "f"}
	for i := range n {
		def.Rules = append(def.Rules,
			&rule.Rule{Kind: rule.Alerting, Name: fmt.Sprint("A", i), Plan: p, For: time.Minute, Labels: labels.FromStrings("severity", "page")},
			&rule.Rule{Kind: rule.Recording, Name: fmt.Sprint("r", i), Plan: p, Labels: labels.FromStrings("from", "rule")})
	}
	return NewGroup(Options{
		Registerer: prometheus.NewRegistry(), Appendable: into, Ledger: steadyLedger(t),
		Eval: func(_ context.Context, _ *plan.Plan, _ time.Time, buf promql.Vector) (promql.Vector, error) {
			return append(buf, result...), nil
		},
	}, Config{}, def)
}

func steadyLedger(t testing.TB) *ledger.Ledger {
	l, err := ledger.Open(ledger.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// A tick of a rule that returns nothing allocates nothing, and one that returns what it returned before next to nothing.
func TestSteadyTicksAllocateNothing(t *testing.T) {
	for _, tc := range []struct {
		result promql.Vector
		most   float64
	}{
		{nil, 0},
		{steadyVector(50), 0},
	} {
		db := &nowhere{}
		const rules = 20
		g := steadyGroup(t, rules, db, tc.result)
		ctx, at := g.context(context.Background()), time.Unix(1_700_000_000, 0)
		tick := func() {
			at = at.Add(time.Second)
			g.eval(ctx, at, nil)
		}
		for range 600 {
			tick()
		}
		*db = nowhere{}
		allocated := testing.AllocsPerRun(600, tick) / (2 * rules)
		t.Logf("%d samples: %.3f allocations a rule", len(tc.result), allocated)
		require.InDelta(t, tc.most, allocated, 0.2)
		require.Equal(t, db.appended, db.withRef, "history is asked by reference")
		require.Equal(t, len(tc.result)*3*rules*601, db.appended)
	}
}

// steady is a Stream that says the same at each pulse.
type steady struct {
	silence
	touched []exec.Touched
}

func (s *steady) Pulse(now int64, buf []exec.Touched) ([]exec.Touched, int64) {
	for _, t := range s.touched {
		t.At = now
		buf = append(buf, t)
	}
	return buf, 0
}

// steadyStreamer returns a streamer with n rules that are touched at each pulse, without a change.
func steadyStreamer(t testing.TB, n int) *streamer {
	stream := &steady{}
	def := &rule.Group{Name: "g", File: "f"}
	for i := range n {
		r := testRule(t, rule.Alerting, fmt.Sprint("A", i), fmt.Sprintf("up > %d", i))
		def.Rules = append(def.Rules, r)
		stream.touched = append(stream.touched, exec.Touched{Plan: r.Plan, Values: true})
	}
	s := newStreamer(Options{Stream: stream}.withDefaults(), newMetrics(nil, nil))
	g := newGroup(Options{}.withDefaults(), newMetrics(nil, nil), newEnvironment(Config{}), Config{}, def)
	g.follow(s)
	s.seatAll([]*Group{g})
	return s
}

// An arrival that changes nothing allocates nothing and wakes nobody.
func TestArrivalsWithoutChangeAllocateNothing(t *testing.T) {
	s := steadyStreamer(t, 100)
	for i := range 100 {
		s.seats[i].group.arrivals.take(i)
	}
	for range 10 {
		s.pulse()
	}
	require.InDelta(t, 0, testing.AllocsPerRun(500, s.pulse), 0.5)
	require.Negative(t, s.seats[0].group.arrivals.next(0))
}

func BenchmarkPulse(b *testing.B) {
	const rules = 1000
	s := steadyStreamer(b, rules)
	b.ReportAllocs()
	for b.Loop() {
		s.pulse()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rules, "ns/rule")
}

func BenchmarkTick(b *testing.B) {
	for _, n := range []int{0, 1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			const rules = 50
			g := steadyGroup(b, rules, &nowhere{}, steadyVector(n))
			ctx, at := g.context(context.Background()), time.Unix(1_700_000_000, 0)
			b.ReportAllocs()
			for b.Loop() {
				at = at.Add(time.Second)
				g.eval(ctx, at, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*rules), "ns/rule")
		})
	}
}

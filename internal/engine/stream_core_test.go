package engine_test

import (
	"context"
	"math/rand/v2"
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
	"github.com/tocsin/tocsin/internal/window"
)

// compiled is a database whose commits a compiled engine is fed with.
type compiled struct {
	storage.AppendableV2
	core *exec.Core
}

type compiledAppender struct {
	storage.AppenderV2
	core  *exec.Core
	batch []window.Sample
}

func (c compiled) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &compiledAppender{AppenderV2: c.AppendableV2.AppenderV2(ctx), core: c.core}
}

func (a *compiledAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram,
	fh *histogram.FloatHistogram, opts storage.AOptions,
) (storage.SeriesRef, error) {
	ref, err := a.AppenderV2.Append(ref, ls, st, t, v, h, fh, opts)
	if err == nil {
		a.batch = append(a.batch, window.Sample{Ref: uint64(ref), Labels: ls, T: t, V: v, Histogram: h != nil || fh != nil})
	}
	return ref, err
}

func (a *compiledAppender) Commit() error {
	err := a.AppenderV2.Commit()
	if err == nil && len(a.batch) > 0 {
		a.core.Feed(a.batch, time.Now().UnixMilli())
	}
	return err
}

// eval is what a process runs: the compiled engine and, where it leaves an expression alone, Prometheus's own.
func (c compiled) eval(w *world) engine.EvalFunc {
	return func(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
		v, err := c.core.Eval(ctx, p, at.UnixMilli(), buf)
		if exec.AsBail(err) == nil {
			return v, err
		}
		return w.eval(ctx, p, at, buf)
	}
}

func (c compiled) write(t *testing.T, values map[string]float64) {
	t.Helper()
	app := c.AppenderV2(context.Background())
	for series, v := range values {
		ls, err := parser.NewParser(parser.Options{}).ParseMetric(series)
		require.NoError(t, err)
		_, err = app.Append(0, ls, 0, time.Now().UnixMilli(), v, nil, nil, storage.AOptions{})
		require.NoError(t, err)
	}
	require.NoError(t, app.Commit())
}

// What holds for any Stream holds for the compiled engine, series that go out of reach included.
func TestCompiledStreamIsUpToDate(t *testing.T) {
	seed := seedOf(t)
	t.Parallel()
	b := &streamBench{bench: &bench{world: newWorld(t)}, registry: prometheus.NewRegistry()}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Microsecond)
		c := compiled{AppendableV2: b.db, core: exec.New(exec.Options{})}
		o := b.options()
		o.Registerer, o.Stream, o.Eval, o.Appendable = b.registry, c.core, c.eval(b.world), c
		b.Engine = engine.New(o)
		defer b.Stop()
		var plans []*plan.Plan
		for _, g := range ruleGroups(t, "f", "groups:\n"+streamRules) {
			for _, r := range g.Rules {
				plans = append(plans, r.Plan)
			}
		}
		require.NoError(t, c.core.Load(context.Background(), plans, b.db, time.Now().UnixMilli()))
		b.load(t, streamRules)
		random := rand.New(rand.NewPCG(seed, 1))
		for step := range 200 {
			for range 1 + random.IntN(5) {
				c.write(t, randomInputs(random))
				time.Sleep(time.Duration(1+random.IntN(60)) * time.Millisecond)
			}
			if random.IntN(8) == 0 {
				time.Sleep(time.Duration(random.IntN(600)) * time.Second)
			}
			time.Sleep(time.Duration(1+random.IntN(2000))*time.Millisecond + 500*time.Millisecond)
			synctest.Wait()
			b.checkUpToDate(t)
			if t.Failed() {
				t.Fatalf("step %d", step)
			}
		}
		require.Zero(t, b.counter(t, "tocsin_rule_samples_discarded_total", ""))
		require.Zero(t, b.counter(t, "tocsin_rule_evaluation_panics_total", ""))
		require.Greater(t, b.counter(t, evaluations, "arrival"), 100.0)
		require.Greater(t, b.counter(t, evaluations, "time"), 0.0)
		require.Less(t, b.counter(t, "tocsin_rule_stream_bails_total", ""), 5.0)
	})
}

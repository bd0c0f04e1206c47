package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/plan"
)

func TestSlowEvaluationsNeverOverlap(t *testing.T) {
	reg := prometheus.NewRegistry()
	var (
		mu      sync.Mutex
		running int
		slots   []time.Time
	)
	inBench(t, func(o *engine.Options) {
		o.Registerer = reg
		o.Eval = func(_ context.Context, _ *plan.Plan, at time.Time, _ promql.Vector) (promql.Vector, error) {
			mu.Lock()
			running++
			if running > 1 {
				t.Error("two evaluations of one group at a time")
			}
			slots = append(slots, at)
			mu.Unlock()
			time.Sleep(25 * time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return nil, nil
		}
	}, func(t *testing.T, b *bench) {
		b.apply(t, "- {name: g, rules: [{record: a:r, expr: a}]}")
		b.Start()
		pass(9)
		b.Stop()
		// Done 25 s late, it goes on at once with the latest slot that has passed.
		var since []time.Duration
		for _, at := range slots {
			since = append(since, at.Sub(slots[0])/time.Second)
		}
		require.Equal(t, []time.Duration{0, 20, 50, 70}, since)
		missed, err := testutil.GatherAndCount(reg, "prometheus_rule_group_iterations_missed_total")
		require.NoError(t, err)
		require.Equal(t, 1, missed)
		families, err := reg.Gather()
		require.NoError(t, err)
		values := map[string]float64{}
		for _, f := range families {
			if strings.HasPrefix(f.GetName(), "prometheus_rule_group_iterations") {
				values[f.GetName()] = f.Metric[0].Counter.GetValue()
			}
		}
		require.Equal(t, 4.0, values["prometheus_rule_group_iterations_missed_total"], "10, 30, 40 and 60")
		require.Equal(t, 8.0, values["prometheus_rule_group_iterations_total"])
	})
}

// An evaluation that hangs ends when Stop loses patience, and a reload that waits for it ends with it. In real time: who
// waits for a lock does not let fake time go on.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	hanging := make(chan struct{}, 1)
	e := engine.New(engine.Options{
		StopTimeout: 30 * time.Millisecond,
		Eval: func(ctx context.Context, _ *plan.Plan, _ time.Time, _ promql.Vector) (promql.Vector, error) {
			hanging <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	require.NoError(t, e.Apply(engine.Config{
		Interval: time.Millisecond, Groups: ruleGroups(t, "f", "groups: [{name: g, rules: [{record: a:r, expr: a}]}]"),
	}))
	e.Start()
	e.Start()
	<-hanging
	reloaded := make(chan error)
	go func() { reloaded <- e.Apply(engine.Config{}) }()
	select {
	case err := <-reloaded:
		t.Fatalf("the reload did not wait for the rule in flight: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	require.Len(t, e.Groups(), 1, "readers are served while a reload waits, and see the old groups")
	stopped := make(chan struct{})
	go func() { e.Stop(); close(stopped) }()
	require.NoError(t, <-reloaded)
	<-stopped
	e.Stop()
	require.ErrorIs(t, e.Apply(engine.Config{}), engine.ErrStopped)
	e.Start()
	require.Empty(t, e.Groups())
}

// A stop lets the rule in flight finish, and no other begins.
func TestStopFinishesTheRuleInFlight(t *testing.T) {
	var done []string
	inBench(t, func(o *engine.Options) {
		o.Eval = func(ctx context.Context, p *plan.Plan, _ time.Time, _ promql.Vector) (promql.Vector, error) {
			time.Sleep(5 * time.Second)
			done = append(done, p.String())
			return nil, ctx.Err()
		}
	}, func(t *testing.T, b *bench) {
		b.apply(t, "- {name: g, rules: [{record: a:r, expr: a}, {record: b:r, expr: b}, {record: c:r, expr: c}]}")
		b.Start()
		for b.Groups()[0].Rules[0].Health == engine.HealthUnknown {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		time.Sleep(time.Second)
		b.Stop()
		require.Equal(t, []string{"a", "b"}, done)
		require.Equal(t, engine.HealthGood, b.Groups()[0].Rules[1].Health)
		require.Equal(t, engine.HealthUnknown, b.Groups()[0].Rules[2].Health)
	})
}

func TestMetricsFollowTheGroups(t *testing.T) {
	reg := prometheus.NewRegistry()
	inBench(t, func(o *engine.Options) { o.Registerer = reg }, func(t *testing.T, b *bench) {
		count := func(name string) int {
			n, err := testutil.GatherAndCount(reg, name)
			require.NoError(t, err)
			return n
		}
		require.Equal(t, 1, count("tocsin_rules"), "tier 0 is always there")
		b.apply(t, "- {name: g, rules: [{record: a:r, expr: a}, {record: b:r, expr: b}]}\n- {name: h, rules: [{record: a:r, expr: a}]}")
		b.Start()
		require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP tocsin_rules Rules by the tier that they run on; 0 is the general engine.
# TYPE tocsin_rules gauge
tocsin_rules{tier="0"} 0
tocsin_rules{tier="1"} 3
`), "tocsin_rules"))
		require.Equal(t, 2, count("prometheus_rule_group_rules"))
		b.apply(t, "- {name: h, rules: [{record: a:r, expr: a}]}")
		pass(3)
		for _, name := range []string{
			"prometheus_rule_evaluations_total", "prometheus_rule_evaluation_failures_total", "prometheus_rule_group_last_duration_seconds",
			"prometheus_rule_group_iterations_total", "prometheus_rule_group_iterations_missed_total", "prometheus_rule_group_rules",
			"prometheus_rule_group_last_evaluation_samples", "prometheus_rule_group_interval_seconds",
		} {
			require.Equal(t, 1, count(name), name)
		}
	})
}

// In real time and under the race detector: reloads, readers, starts and stops at once, and nothing is left behind.
func TestStress(t *testing.T) {
	before := runtime.NumGoroutine()
	for round := range 20 {
		w := &world{}
		e := engine.New(engine.Options{
			Eval:         answers{"a": instances("1", "2"), "b": fmt.Errorf("fails"), "c": "panics"}.eval,
			Notify:       w.notify,
			OnTransition: w.transition,
		})
		configs := make([]engine.Config, 6)
		for i := range configs {
			configs[i] = engine.Config{Interval: time.Millisecond, Groups: ruleGroups(t, "f", fmt.Sprintf(`
groups:
- {name: g, limit: %d, rules: [{alert: A, expr: a}, {record: a:r, expr: b}, {record: b:r, expr: c}]}
- {name: v%d, rules: [{alert: B, expr: a, for: 5ms}]}
`, i%2, i))}
		}
		var workers sync.WaitGroup
		for n := range 3 {
			workers.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(n)))
				for i := range 20 {
					if err := e.Apply(configs[r.IntN(len(configs))]); err != nil && err != engine.ErrStopped {
						t.Error(err)
					}
					if i == 3 {
						e.Start()
					}
					if groups := e.Groups(); len(groups) != 2 {
						t.Errorf("%d groups; each configuration has 2", len(groups))
					}
				}
			})
		}
		workers.Wait()
		workers.Go(e.Stop)
		workers.Go(func() { _ = e.Apply(configs[0]) })
		workers.Go(e.Stop)
		workers.Wait()
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("goroutines are left:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
}

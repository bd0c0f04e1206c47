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
		o.Eval = func(_ context.Context, _ *plan.Plan, at time.Time) (promql.Vector, error) {
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
		// It starts anew at once with the latest slot that has passed; from then on it is late.
		first := slots[0]
		for i, after := range []time.Duration{0, 20, 40, 70} {
			if i < len(slots) {
				require.Equal(t, after*time.Second, slots[i].Sub(first), "%v", slots)
			}
		}
		require.GreaterOrEqual(t, len(slots), 3)
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
		skipped := slots[len(slots)-1].Sub(first)/(10*time.Second) + 1 - time.Duration(len(slots))
		require.Equal(t, float64(skipped), values["prometheus_rule_group_iterations_missed_total"])
		require.Equal(t, float64(int(skipped)+len(slots)), values["prometheus_rule_group_iterations_total"])
	})
}

// An evaluation that hangs ends when Stop loses patience, and a reload that waits for it ends with it.
func TestStopIsBounded(t *testing.T) {
	inBench(t, func(o *engine.Options) {
		o.StopTimeout = 3 * time.Second
		o.Eval = func(ctx context.Context, _ *plan.Plan, _ time.Time) (promql.Vector, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}, func(t *testing.T, b *bench) {
		b.apply(t, "- {name: g, rules: [{record: a:r, expr: a}]}")
		b.Start()
		b.Start()
		pass(3)
		reloaded := make(chan error)
		go func() { reloaded <- b.Apply(engine.Config{}) }()
		synctest.Wait()
		require.Len(t, b.Groups(), 1, "readers are served while a reload waits, and see the old groups")
		begun := time.Now()
		go b.Stop()
		require.NoError(t, <-reloaded)
		b.Stop()
		require.Equal(t, 3*time.Second, time.Since(begun))
		require.ErrorIs(t, b.Apply(engine.Config{}), engine.ErrStopped)
		b.Start()
		pass(3)
	})
}

// A stop lets the rule in flight finish, and no other begins.
func TestStopFinishesTheRuleInFlight(t *testing.T) {
	var done []string
	inBench(t, func(o *engine.Options) {
		o.Eval = func(ctx context.Context, p *plan.Plan, _ time.Time) (promql.Vector, error) {
			time.Sleep(5 * time.Second)
			done = append(done, p.String())
			return nil, ctx.Err()
		}
	}, func(t *testing.T, b *bench) {
		b.apply(t, "- {name: g, rules: [{record: a:r, expr: a}, {record: b:r, expr: b}]}")
		b.Start()
		for len(b.Groups()) > 0 && done == nil {
			time.Sleep(time.Second)
			synctest.Wait()
			if b.Groups()[0].Rules[0].Health == engine.HealthGood {
				break
			}
		}
		time.Sleep(time.Second)
		b.Stop()
		require.Equal(t, []string{"a", "b"}, done[:2])
		rules := b.Groups()[0].Rules
		require.Equal(t, engine.HealthGood, rules[1].Health)
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
tocsin_rules{tier="0"} 3
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
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before }, 10*time.Second, 10*time.Millisecond, "goroutines are left")
}

package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
)

// noise is a Stream that says anything.
type noise struct {
	wake chan struct{}

	mu     sync.Mutex
	random *rand.Rand
	plans  []*plan.Plan
}

func (n *noise) Wake() <-chan struct{} { return n.wake }

func (n *noise) Stream(plans []*plan.Plan) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.plans = plans
}

func (n *noise) Pulse(now int64, buf []exec.Touched) ([]exec.Touched, int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.plans {
		if n.random.IntN(2) == 0 {
			buf = append(buf, exec.Touched{Plan: p, At: now * n.random.Int64N(2), Presence: n.random.IntN(2) == 0, Values: true})
		}
	}
	if n.random.IntN(50) == 0 {
		panic("noise")
	}
	return buf, n.random.Int64N(2) * (now + n.random.Int64N(3) - 1)
}

func (n *noise) Reached(*plan.Plan, int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.random.IntN(2) == 0
}

func (n *noise) Result(_ *plan.Plan, _ int64, buf promql.Vector) (promql.Vector, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch n.random.IntN(5) {
	case 0:
		return buf, &exec.Bail{Reason: "window"}
	case 1:
		return buf, fmt.Errorf("fails")
	case 2:
		return append(buf, instances("1")...), nil
	}
	return append(buf, instances("1", "2")...), nil
}

// In real time and under the race detector: a Stream that tells nonsense, reloads, readers, starts and stops at once.
// Nothing is told twice in a row of one alert, and nothing is left behind.
func TestStreamStress(t *testing.T) {
	before := runtime.NumGoroutine()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for round := range uint64(10) {
		w := &world{}
		n := &noise{wake: make(chan struct{}, 1), random: rand.New(rand.NewPCG(seed, round))}
		e := engine.New(engine.Options{
			Eval:   answers{"a": instances("1", "2"), "b": fmt.Errorf("fails"), "c": "panics"}.eval,
			Stream: n, Notify: w.notify, OnTransition: w.transition,
		})
		configs := make([]engine.Config, 6)
		for i := range configs {
			configs[i] = engine.Config{
				Interval: 3 * time.Millisecond,
				Groups: ruleGroups(t, "f", fmt.Sprintf(`
groups:
- {name: g, rules: [{alert: A, expr: a}, {record: 'a:r', expr: a}, {record: 'b:r', expr: 'c > a:r'}]}
- {name: v%d, rules: [{alert: B, expr: a, for: 5ms, keep_firing_for: 2ms}, {alert: C, expr: 'b:r or a', for: %dms}]}
`, i, i)),
				Evaluation: func(_, group string) engine.Evaluation {
					return engine.Evaluation{Strict: group == fmt.Sprintf("v%d", i%3), Settle: time.Duration(i-1) * time.Millisecond}
				},
			}
		}
		e.Start()
		ctx, cancel := context.WithCancel(context.Background())
		var workers, feeder sync.WaitGroup
		feeder.Go(func() {
			for ctx.Err() == nil {
				select {
				case n.wake <- struct{}{}:
				default:
				}
				time.Sleep(50 * time.Microsecond)
			}
		})
		for i := range 2 {
			workers.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(i)))
				for range 20 {
					if err := e.Apply(configs[r.IntN(len(configs))]); err != nil && err != engine.ErrStopped {
						t.Error(err)
					}
					for _, g := range e.Groups() {
						if len(g.Rules) == 0 {
							t.Error("a group without rules")
						}
					}
					time.Sleep(time.Duration(r.IntN(6)) * time.Millisecond)
				}
			})
		}
		workers.Wait()
		workers.Go(e.Stop)
		workers.Go(e.Stop)
		workers.Wait()
		cancel()
		feeder.Wait()
		w.checkMoves(t)
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("goroutines are left:\n%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// checkMoves follows each alert through what was told of it: every change begins where the last ended, in time, too.
func (w *world) checkMoves(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotEmpty(t, w.moves)
	last := map[string]int{}
	for i, m := range w.moves {
		key := m.File + m.Group + m.RuleID + m.Labels.String()
		if before, ok := last[key]; ok {
			require.Equal(t, w.moves[before].To, m.From, "%s", key)
			require.False(t, m.At.Before(w.moves[before].At), "%s goes back from %s to %s", key, w.moves[before].At, m.At)
		}
		last[key] = i
	}
}

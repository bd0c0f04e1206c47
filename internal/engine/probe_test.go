package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/plan"
)

// soon checks that the last transition came when it should: with the sample where arrivals are followed, else at a tick.
func (l *lives) soon(after time.Time) {
	l.t.Helper()
	late := l.transitions[len(l.transitions)-1].At.Sub(after)
	require.GreaterOrEqual(l.t, late, time.Duration(0))
	most := 10 * second
	if l.stream {
		most = second
	}
	require.LessOrEqual(l.t, late, most)
}

// What is evaluated beside a rule wakes it, too.
func TestClearWakes(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 5}]}]`, func(l *lives) {
		l.rules["f.tocsin.yml"] = side("clear: y < 1")
		l.series["x"], l.series["y"] = 7, 3
		l.start()
		l.run(33 * second)
		l.series["y"] = 0
		l.run(20 * second) // While the condition holds, it does not matter.
		l.series["y"] = 3
		l.run(20 * second)
		l.series["x"] = 2
		l.run(33 * second)
		l.expect([]string{"A inactive>firing condition"}, []string{"A firing"})
		l.series["y"] = 0.5
		at := time.Now()
		l.run(13 * second)
		l.expect([]string{"A firing>inactive hysteresis_cleared"}, []string{"A resolved hysteresis_cleared"})
		l.soon(at)
	})
}

// A series that goes away clears nothing, but hysteresis needs it.
func TestHysteresisNeedsTheSeries(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 5}]}]`, func(l *lives) {
		l.rules["f.tocsin.yml"] = side("clear: x < 1")
		l.series["x"], l.series["y"] = 7, 1
		l.start()
		l.run(33 * second)
		l.series["x"] = 3
		l.run(20 * second)
		l.told()
		delete(l.series, "x")
		last := time.Now().Add(-5 * second)
		l.run(33 * second)
		l.expect([]string{"A firing>inactive series_missing"}, []string{"A resolved series_missing"})
		l.soon(last.Add(lookback))
	})
}

// What becomes of an alert whose series disappears, pending or firing.
func TestOnMissing(t *testing.T) {
	for how, want := range map[string]struct{ pending, firing []string }{
		"resolve": {[]string{"A pending>inactive series_missing"}, []string{"A firing>inactive series_missing"}},
		"hold":    {nil, nil},
		"fire":    {[]string{"A pending>firing for_elapsed"}, nil},
		"nodata":  {[]string{"A pending>pending nodata"}, []string{"A firing>firing nodata"}},
	} {
		t.Run(how, func(t *testing.T) {
			live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 5, for: 1m}]}]`, func(l *lives) {
				l.rules["f.tocsin.yml"] = side("clear: x < 5, on_missing: " + how)
				l.series["x"], l.series["y"] = 7, 1
				l.start()
				l.run(22 * second)
				l.told()
				delete(l.series, "x")
				l.run(2 * minute)
				moves, _ := l.told()
				require.Equal(l.t, want.pending, moves)
				l.check()
				l.series["x"] = 7
				l.run(90 * second)
				l.told()
				require.Equal(l.t, alert.Firing, l.engine.Groups()[0].Rules[0].State)
				delete(l.series, "x")
				l.run(2 * minute)
				moves, _ = l.told()
				require.Equal(l.t, want.firing, moves)
				l.check()
			})
		})
	}
}

// An error beside the expression fails the evaluation, and alerts stay what they are.
func TestErrorsBesideTheExpression(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 5}]}]`, func(l *lives) {
		l.rules["f.tocsin.yml"] = side("clear: x < 1, on_missing: hold")
		var broken atomic.Value // an expression; evaluations are not the test's goroutine
		broken.Store("")
		l.change = func(o *engine.Options) {
			inner := o.Eval
			o.Eval = func(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
				if p.String() == broken.Load() {
					return nil, errors.New("not today")
				}
				return inner(ctx, p, at, buf)
			}
		}
		l.series["x"] = 7
		l.start()
		l.run(33 * second)
		l.told()
		r := l.engine.Groups()[0].Rules[0].Rule
		for _, p := range engine.PlansOf(r)[1:] {
			broken.Store(p.String())
			l.series["x"] = 0
			l.run(33 * second)
			l.expect(nil, nil)
			status := l.engine.Groups()[0].Rules[0]
			require.Contains(l.t, status.LastError, "not today")
			require.Equal(l.t, alert.Firing, status.State)
			l.series["x"] = 7
			broken.Store("")
			l.run(22 * second)
			require.Equal(l.t, engine.HealthGood, l.engine.Groups()[0].Rules[0].Health)
			l.told()
		}
		l.series["x"] = 0
		l.run(22 * second)
		l.expect([]string{"A firing>inactive hysteresis_cleared"}, []string{"A resolved hysteresis_cleared"})
	})
}

// An error in what only tells the clearing value harms nothing.
func TestClearingValueIsOptional(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 5}]}]`, func(l *lives) {
		l.change = func(o *engine.Options) {
			inner := o.Eval
			o.Eval = func(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
				if p.String() != "x > 5" {
					return nil, errors.New("not today")
				}
				return inner(ctx, p, at, buf)
			}
		}
		l.series["x"] = 7
		l.start()
		l.run(33 * second)
		l.series["x"] = 0
		l.run(33 * second)
		l.expect([]string{"A inactive>firing condition", "A firing>inactive cleared"}, []string{"A firing", "A resolved cleared"})
		require.False(l.t, l.transitions[1].Clearing.Known)
		require.Equal(l.t, engine.HealthGood, l.engine.Groups()[0].Rules[0].Health)
	})
}

// Asking what alerts cleared with takes a hundredth of the time at most.
func TestClearingValueHasABudget(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 5}]}]`, func(l *lives) {
		const each = 300 * time.Millisecond
		asked := 0
		l.change = func(o *engine.Options) {
			inner := o.Eval
			o.Eval = func(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
				if p.String() != "x > 5" {
					asked++
					time.Sleep(each)
				}
				return inner(ctx, p, at, buf)
			}
		}
		l.start()
		began := time.Now()
		known, ended := 0, 0
		for range 60 {
			l.series["x"] = 7
			l.run(10 * second)
			l.series["x"] = 0
			l.run(10 * second)
		}
		for _, tr := range l.transitions {
			if tr.To == alert.Inactive {
				ended++
				if tr.Clearing.Known {
					known++
				}
			}
		}
		require.Greater(l.t, ended, 40)
		require.Equal(l.t, asked, known)
		require.Greater(l.t, known, 10)
		require.LessOrEqual(l.t, time.Duration(asked)*each, time.Since(began)/100+2*each)
	})
}

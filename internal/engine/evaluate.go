package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/rule"
)

// moment is what an evaluation is as of, and why it happens.
type moment struct {
	ts time.Time
	// why is 0 for a tick.
	why trigger
	// since is when the sample came, or the tick was due; zero where evaluations follow no clock.
	since time.Time
}

// latency returns how long the evaluation has taken by now, waits included.
func (m moment) latency(now time.Time) time.Duration {
	if m.since.IsZero() {
		return 0
	}
	return max(0, now.Sub(m.since))
}

func (m moment) isTick() bool { return m.why == 0 }

// verdict is how one evaluation of one rule went.
type verdict struct {
	samples int
	// err is why the rule's health is bad; counted says whether that counts as a failed evaluation. It does not when
	// only single samples were refused.
	err     error
	counted bool
}

func failed(err error) verdict { return verdict{err: err, counted: true} }

// evalRule evaluates one rule, publishes how it went and returns how many samples it returned. Nothing that happens to
// the rule, a panic included, reaches its group.
func (g *Group) evalRule(ctx context.Context, env *environment, rs *ruleState, m moment) int {
	start := time.Now()
	g.metrics.evaluations.Inc()
	v := g.guarded(rs, func() verdict {
		if rs.rule().Kind == rule.Alerting {
			return g.evalAlerting(ctx, env, rs, m)
		}
		return g.evalRecording(ctx, env, rs, m)
	})
	if v.counted {
		g.metrics.failures.Inc()
	}
	g.report(rs, v.err)
	took := time.Since(start)
	g.metrics.evalSeconds.Observe(took.Seconds())
	g.metrics.evalHistogram.Observe(took.Seconds())

	g.mu.Lock()
	defer g.mu.Unlock()
	rs.lastEvaluation, rs.evaluationTime = start, took
	rs.health, rs.lastError = HealthGood, ""
	if v.err != nil {
		rs.health, rs.lastError = HealthBad, v.err.Error()
	}
	return v.samples
}

// result runs the rule's expression as of m. The vector is the group's buffer and holds until the next call.
func (g *Group) result(ctx context.Context, env *environment, rs *ruleState, m moment) (promql.Vector, error) {
	buf := g.buffers.result[:0]
	if !m.isTick() {
		v, ok, err := g.streamed(rs, m, buf)
		if ok || err != nil {
			return g.keepBuffer(v), err
		}
	}
	at := m.ts.Add(-g.offset(env))
	v, err := g.opts.Eval(ctx, rs.rule().Plan, at, buf)
	if source := rs.source.Load(); source != nil {
		g.streamer.evaluatedInFull(source, at, time.Now())
	}
	return g.keepBuffer(v), err
}

// keepBuffer lets the next call of result use the memory of v.
func (g *Group) keepBuffer(v promql.Vector) promql.Vector {
	if cap(v) > 0 {
		g.buffers.result = v
	}
	return v
}

// guarded runs f and makes a panic in it an error. The stack is logged once a rule.
func (g *Group) guarded(rs *ruleState, f func() verdict) (v verdict) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		v = failed(fmt.Errorf("panic: %v", p))
		g.metrics.panics.Inc()
		if !rs.panicked {
			rs.panicked = true
			rs.logger.Error("A rule's evaluation panicked; its group goes on without it", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return f()
}

// report logs an error when it is another than last time. Cancelled evaluations are not worth a line: somebody asked
// for that.
func (g *Group) report(rs *ruleState, err error) {
	if err == nil {
		rs.reported = ""
		return
	}
	if _, ok := errors.AsType[promql.ErrQueryCanceled](err); ok || errors.Is(err, context.Canceled) {
		return
	}
	if text := err.Error(); text != rs.reported {
		rs.reported = text
		rs.logger.Warn("Evaluating rule failed", "line", rs.rule().Line, "err", err)
	}
}

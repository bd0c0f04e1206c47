package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/strutil"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/rule"
)

// errDuplicateRecorded says that two samples of one result became the same series. The words are Prometheus's.
var errDuplicateRecorded = errors.New("vector contains metrics with the same labelset after applying rule labels")

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
func (g *Group) evalRule(ctx context.Context, env *environment, rs *ruleState, ts time.Time) int {
	start := time.Now()
	g.metrics.evaluations.Inc()
	v := g.guarded(rs, func() verdict {
		if rs.rule().Kind == rule.Alerting {
			return g.evalAlerting(ctx, env, rs, ts)
		}
		return g.evalRecording(ctx, env, rs, ts)
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

// evalRecording evaluates a recording rule.
func (g *Group) evalRecording(ctx context.Context, env *environment, rs *ruleState, ts time.Time) verdict {
	at := ts.Add(-g.offset(env))
	vector, err := g.opts.Eval(ctx, rs.rule().Plan, at)
	if err != nil {
		return failed(err)
	}
	lb := labels.NewBuilder(labels.EmptyLabels())
	for i := range vector {
		lb.Reset(vector[i].Metric)
		lb.Set(model.MetricNameLabel, rs.rule().Name)
		rs.rule().Labels.Range(func(l labels.Label) { lb.Set(l.Name, l.Value) })
		vector[i].Metric = lb.Labels()
	}
	if vector.ContainsSameLabelset() {
		return failed(errDuplicateRecorded)
	}
	if g.limit > 0 && len(vector) > g.limit {
		return failed(fmt.Errorf("exceeded limit of %d with %d series", g.limit, len(vector)))
	}
	refused, err := g.record(ctx, rs, vector, at)
	if err != nil {
		return verdict{samples: len(vector), err: err, counted: true}
	}
	return verdict{samples: len(vector), err: refused}
}

// evalAlerting evaluates an alerting rule: run, step, record, publish, tell.
func (g *Group) evalAlerting(ctx context.Context, env *environment, rs *ruleState, ts time.Time) verdict {
	at := ts.Add(-g.offset(env))
	result, err := g.opts.Eval(ctx, rs.rule().Plan, at)
	if err != nil {
		return failed(err)
	}
	defer g.buffers.release()
	b := &g.buffers
	x := expander{group: g, env: env, rule: rs.rule(), at: ts}
	b.inputs = x.inputs(ctx, b.inputs, result)
	if x.failed != nil {
		rs.logger.Warn("Expanding alert templates failed", "line", rs.rule().Line, "failures", x.failures, "err", x.failed)
	}

	params := alert.Params{For: rs.rule().For, KeepFiringFor: rs.rule().KeepFiringFor, Limit: g.limit}
	next := rs.spare
	var stepErr error
	if b.changes, stepErr = alert.Step(next, rs.alerts, b.inputs, params, ts, b.changes); stepErr != nil {
		// Over the limit all alerts are dropped. As in Prometheus nobody is sent word: they end by silence.
		g.publish(rs, next)
		g.tellTransitions(ctx, rs, b.changes)
		return failed(stepErr)
	}
	if rs.restored {
		b.samples = next.AppendSamples(b.samples, rs.rule().Name, rs.rule().Labels)
	}
	for _, s := range b.samples {
		b.vector = append(b.vector, promql.Sample{Metric: s.Labels, F: s.Value})
	}
	refused, recordErr := g.record(ctx, rs, b.vector, at)
	due := next.AppendDue(nil, alert.SendParams{ResendDelay: g.opts.ResendDelay, Interval: g.interval}, ts)

	g.publish(rs, next)
	g.tellTransitions(ctx, rs, b.changes)
	g.notify(ctx, env, rs, due)
	if recordErr != nil {
		return verdict{samples: len(b.vector), err: recordErr, counted: true}
	}
	return verdict{samples: len(b.vector), err: refused}
}

// release empties the buffers and lets go of what they refer to.
func (b *buffers) release() {
	clear(b.inputs)
	clear(b.samples)
	clear(b.vector)
	clear(b.changes)
	b.inputs, b.samples, b.vector, b.changes = b.inputs[:0], b.samples[:0], b.vector[:0], b.changes[:0]
}

// publish makes next the state that readers see.
func (g *Group) publish(rs *ruleState, next *alert.Set) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rs.alerts, rs.spare = next, rs.alerts
}

// tellTransitions says which rule the changes are of, counts them and hands them on.
func (g *Group) tellTransitions(ctx context.Context, rs *ruleState, changes []alert.Transition) {
	for _, t := range changes {
		t.File, t.Group, t.Rule, t.RuleID = g.file, g.name, rs.rule().Name, rs.rule().ID
		g.metrics.countTransition(&t)
		if g.opts.OnTransition != nil {
			g.opts.OnTransition(ctx, t)
		}
	}
}

// notify hands on what is due.
func (g *Group) notify(ctx context.Context, env *environment, rs *ruleState, due []alert.Outgoing) {
	if len(due) == 0 || g.opts.Notify == nil {
		return
	}
	link := env.externalURLText + strutil.TableLinkForExpression(rs.rule().Plan.String())
	for i := range due {
		due[i].GeneratorURL = link
	}
	g.opts.Notify(ctx, due)
}

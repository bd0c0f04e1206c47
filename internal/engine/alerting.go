package engine

import (
	"context"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/util/strutil"

	"github.com/tocsin/tocsin/internal/alert"
)

// evalAlerting evaluates an alerting rule: run, step, record in history and ledger, publish, tell.
func (g *Group) evalAlerting(ctx context.Context, env *environment, rs *ruleState, m moment) verdict {
	result, err := g.result(ctx, env, rs, m)
	if err != nil {
		return failed(err)
	}
	if len(result) == 0 && rs.alerts.Len() == 0 && rs.recorded.idle() {
		return verdict{}
	}
	defer g.buffers.release()
	b := &g.buffers
	g.expand(ctx, env, rs, result, m)
	presence, err := g.probeAlerts(ctx, env, rs, m)
	if err != nil {
		return failed(err)
	}

	params := g.params(rs)
	params.Presence, params.Settling = presence, g.settling(rs, m)
	next := rs.spare
	var stepErr error
	if b.changes, stepErr = alert.Step(next, rs.alerts, b.inputs, params, m.ts, b.changes); stepErr != nil {
		// Over the limit all alerts are dropped. As in Prometheus nobody is sent word: they end by silence.
		g.put(rs, next, b.changes, m)
		g.publish(rs, next)
		g.watchDeadline(rs)
		g.tellTransitions(ctx, rs, b.changes)
		return failed(stepErr)
	}
	if rs.restored {
		b.samples = next.AppendSamples(b.samples, rs.rule().Name, rs.rule().Labels)
	}
	for _, s := range b.samples {
		b.vector = append(b.vector, promql.Sample{Metric: s.Labels, F: s.Value})
	}
	refused, recordErr := g.record(ctx, rs, b.vector, m.ts.Add(-g.offset(env)), !m.isTick())
	due := next.AppendDue(nil, alert.SendParams{ResendDelay: g.opts.ResendDelay, Interval: g.interval}, m.ts)

	g.put(rs, next, b.changes, m) // Before anybody is told.
	g.publish(rs, next)
	g.watchDeadline(rs)
	g.tellTransitions(ctx, rs, b.changes)
	g.notify(ctx, rs, due)
	if recordErr != nil {
		return verdict{samples: len(b.vector), err: recordErr, counted: true}
	}
	return verdict{samples: len(b.vector), err: refused}
}

// params returns what the step of a rule's alerts must know.
func (g *Group) params(rs *ruleState) alert.Params {
	r := rs.rule()
	return alert.Params{
		For: r.For, KeepFiringFor: r.KeepFiringFor, Limit: g.limit, Remember: rs.remember,
		Hysteresis: r.Clear != nil, OnMissing: rs.onMissing,
		Flap: alert.FlapParams{Transitions: r.Flap.Transitions, Within: r.Flap.Within},
	}
}

// release empties the buffers and lets go of what they refer to.
func (b *buffers) release() {
	clear(b.result)
	clear(b.inputs)
	clear(b.samples)
	clear(b.vector)
	clear(b.changes)
	b.result, b.inputs, b.samples = b.result[:0], b.inputs[:0], b.samples[:0]
	b.vector, b.changes = b.vector[:0], b.changes[:0]
}

// publish makes next the state that readers see.
func (g *Group) publish(rs *ruleState, next *alert.Set) {
	g.mu.Lock()
	defer g.mu.Unlock()
	rs.alerts, rs.spare = next, rs.alerts
	rs.mayLapse.Store(rs.active())
}

// tellTransitions says which rule the changes are of, counts them and hands them on.
func (g *Group) tellTransitions(ctx context.Context, rs *ruleState, changes []alert.Transition) {
	for _, t := range changes {
		g.sign(rs, &t)
		g.metrics.countTransition(&t)
		if g.opts.OnTransition != nil {
			g.opts.OnTransition(ctx, t)
		}
	}
}

// notify hands on what is due.
func (g *Group) notify(ctx context.Context, rs *ruleState, due []alert.Outgoing) {
	if len(due) == 0 || g.opts.Notify == nil {
		return
	}
	g.link(rs, due)
	g.opts.Notify(ctx, due)
}

// link lets alerts lead back to their expression.
func (g *Group) link(rs *ruleState, due []alert.Outgoing) {
	if len(due) == 0 {
		return
	}
	link := g.env.Load().externalURLText + strutil.TableLinkForExpression(rs.rule().Plan.String())
	for i := range due {
		due[i].GeneratorURL = link
	}
}

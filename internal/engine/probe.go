package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// clearingShare is how rarely a rule that does not depend on it is asked for what its alerts cleared with: as many times
// longer than asking takes, it is not asked again. What ends meanwhile ends without a clearing value.
const clearingShare = 100

// probe is what is known of the expressions beside a rule's own, which are evaluated where alerts are active.
type probe struct {
	// plain is what tells, of a rule that does not depend on it, what alerts cleared with and, after a restart, whether a
	// series is there; nil where nothing can. sought says that it was looked for.
	plain  *plan.Plan
	sought bool
	// rest is until when plain is not evaluated.
	rest time.Time
	// Labels of alerts by those of the results.
	clearLabels, presentLabels derivation
}

// present returns what tells which series of the rule are there, nil where nothing can, and whether its alerts depend on
// that. Of a plain rule it is made when it first has an active alert: few rules ever do.
func (g *Group) present(rs *ruleState) (p *plan.Plan, needed bool) {
	r := rs.rule()
	if r.Present != nil {
		return r.Present, true
	}
	known := &rs.probe
	if !known.sought && g.opts.Compiler != nil {
		known.sought = true
		if p, err := rule.Present(r.Plan, g.opts.Compiler); err == nil { // Otherwise there is none.
			known.plain = p
		}
	}
	return known.plain, false
}

// probeAlerts adds to the inputs what `clear` and the series say of alerts whose condition may have ended. presence says
// that alerts depend on the latter, which is complete then.
func (g *Group) probeAlerts(ctx context.Context, env *environment, rs *ruleState, m moment) (presence bool, err error) {
	if !rs.active() {
		return rs.rule().Present != nil, nil
	}
	p, clearing := &rs.probe, rs.rule().Clear
	present, needed := g.present(rs)
	lapsed := rs.alerts.Lapsed(g.buffers.inputs, alert.Pending)
	// What follows arrivals has to be evaluated at each tick, lapsed or not: see streamer.
	follows := m.isTick() && rs.seat.Load() != nil
	if clearing != nil && (lapsed || follows) {
		if err := g.ask(ctx, env, rs, m, clearing, alert.Clears, &p.clearLabels); err != nil {
			return false, fmt.Errorf("clear: %w", err)
		}
	}
	switch {
	case present == nil, !lapsed && !(needed && follows):
		return needed, nil
	case needed:
		if err := g.ask(ctx, env, rs, m, present, alert.Exists, &p.presentLabels); err != nil {
			return false, fmt.Errorf("looking which series are there: %w", err)
		}
		return true, nil
	}
	began := time.Now()
	if !g.settling(rs, m) && (began.Before(p.rest) || !rs.alerts.Lapsed(g.buffers.inputs, alert.Firing)) {
		return false, nil
	}
	known := len(g.buffers.inputs)
	if err := g.ask(ctx, env, rs, m, present, alert.Exists, &p.presentLabels); err != nil {
		g.buffers.inputs = g.buffers.inputs[:known] // Nothing depends on it.
		rs.logger.Debug("What alerts cleared with is not known", "err", err)
	}
	done := time.Now()
	p.rest = done.Add(clearingShare * done.Sub(began))
	return false, nil
}

// active reports whether any alert is pending or firing.
func (rs *ruleState) active() bool { return rs.alerts.Len() > 0 && rs.alerts.State() != alert.Inactive }

// ask evaluates p and appends what it returns to the inputs, as says.
func (g *Group) ask(ctx context.Context, env *environment, rs *ruleState, m moment, p *plan.Plan, says alert.Says, known *derivation) error {
	at := m.ts.Add(-g.offset(env))
	v, err := g.opts.Eval(ctx, p, at, g.buffers.asked[:0])
	g.streamer.evaluatedElsewhere(p, at)
	if err != nil {
		return err
	}
	defer func() {
		clear(v)
		g.buffers.asked = v[:0]
	}()
	x := &g.buffers.expander
	*x = expander{group: g, env: env, state: rs, at: m.ts}
	known.begin()
	for _, s := range v {
		x.sample, x.data = s, nil
		g.buffers.inputs = append(g.buffers.inputs, alert.Input{Labels: x.labelsOf(ctx, known), Value: s.F, Says: says})
	}
	*x = expander{}
	return nil
}

// PlansOf returns all expressions that a rule evaluates as long as it is loaded, its own first.
func PlansOf(r *rule.Rule) []*plan.Plan {
	all := []*plan.Plan{r.Plan}
	for _, p := range []*plan.Plan{r.Clear, r.Present} {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

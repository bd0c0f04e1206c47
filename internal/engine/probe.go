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

// probe is what a rule evaluates beside its expression, where alerts are active. The zero value has nothing to evaluate.
type probe struct {
	clear, present *plan.Plan
	// needed says that alerts depend on present. Otherwise it only tells what they cleared with, and, after a restart,
	// whether a series is there.
	needed bool
	// rest is until when a present that is not needed is not evaluated.
	rest time.Time
	// sought says that present was looked for.
	sought bool
	// Labels of alerts by those of the results.
	clearLabels, presentLabels derivation
}

func newProbe(r *rule.Rule) probe {
	return probe{clear: r.Clear, present: r.Present, needed: r.Present != nil, sought: r.Present != nil}
}

// prober is the probe of the rule as it is now. Of a plain rule, what tells which series are there is made when it first
// has an active alert: few rules ever do.
func (g *Group) prober(rs *ruleState) *probe {
	p, r := &rs.probe, rs.rule()
	if !p.sought && g.opts.Compiler != nil {
		p.sought = true
		if present, err := rule.Present(r.Plan, g.opts.Compiler); err == nil { // Otherwise there is none.
			p.present = present
		}
	}
	return p
}

// probeAlerts adds to the inputs what `clear` and the series say of alerts whose condition may have ended. presence says
// that the latter is complete.
func (g *Group) probeAlerts(ctx context.Context, env *environment, rs *ruleState, m moment) (presence bool, err error) {
	if !rs.active() {
		return true, nil
	}
	p := g.prober(rs)
	lapsed := rs.alerts.Lapsed(g.buffers.inputs, alert.Pending)
	// What follows arrivals has to be evaluated at each tick, lapsed or not: see streamer.
	follows := m.isTick() && rs.seat.Load() != nil
	if p.clear != nil && (lapsed || follows) {
		if err := g.ask(ctx, env, rs, m, p.clear, alert.Clears, &p.clearLabels); err != nil {
			return false, fmt.Errorf("clear: %w", err)
		}
	}
	switch {
	case p.present == nil, !lapsed && !(p.needed && follows):
		return p.needed, nil
	case p.needed:
		if err := g.ask(ctx, env, rs, m, p.present, alert.Exists, &p.presentLabels); err != nil {
			return false, fmt.Errorf("looking which series are there: %w", err)
		}
		return true, nil
	}
	began := time.Now()
	if !g.settling(rs, m) && (began.Before(p.rest) || !rs.alerts.Lapsed(g.buffers.inputs, alert.Firing)) {
		return false, nil
	}
	known := len(g.buffers.inputs)
	if err := g.ask(ctx, env, rs, m, p.present, alert.Exists, &p.presentLabels); err != nil {
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

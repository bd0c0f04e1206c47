package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
)

// maxEnds bounds how many ends of alerts are looked through at a start.
const maxEnds = 10_000

// endsTimeout is how long they are looked for: reading a large ledger takes about a second.
const endsTimeout = 15 * time.Second

// appendEnds appends the ends of alerts, told in the last minutes before the process died, that nobody may have heard of:
// the pipeline keeps them in memory for up to a group_interval. As a rule the alert itself, which is over, tells again.
// These are the ones that do not: they are pending again, or were and are forgotten. What people heard of, the pipeline
// knows; alerts that fire again are not among them, since that is what people have heard last. known are the alerts
// that tell themselves.
func (e *Engine) appendEnds(dst, known []alert.Outgoing) []alert.Outgoing {
	ends, err := e.lastEnds()
	if err != nil {
		e.opts.Logger.Error("Some alerts that are over may not be told of: the ledger's history cannot be read", "err", err)
	}
	if len(ends) == 0 {
		return dst
	}
	rules := newTakeUp(slices.Collect(maps.Values(e.runners)))
	var told seriesSet
	for i := range known {
		told.add(known[i].Labels)
	}
	for i := range ends {
		t := &ends[i]
		was := version{t.File, t.Group, t.Rule, t.RuleID}
		rule := rules.find(was, t.Labels)
		if rule == nil || told.has(t.Labels.Hash(), t.Labels) { // What becomes of alerts of rules that are gone is told as such.
			continue
		}
		told.add(t.Labels) // Only the last end of each.
		dst = append(dst, alert.Outgoing{
			Labels: t.Labels, Annotations: t.Annotations, StartsAt: t.At.Add(-t.Duration), EndsAt: t.At,
			Reason: t.Reason, Clearing: t.Clearing, Duration: t.Duration,
		})
		rule.group.link(rule.state, dst[len(dst)-1:])
	}
	return dst
}

// find returns the rule of a version, or else one of its place and name, that may have an alert with these labels; nil
// where there is none.
func (t *takeUp) find(v version, ls labels.Labels) *takenRule {
	for _, v := range []version{v, {v.file, v.group, v.rule, ""}} {
		for _, c := range t.byVersion[v] {
			if mayBeOf(ls, c.state.rule()) {
				return c
			}
		}
	}
	return nil
}

// lastEnds returns the transitions from firing of the last minutes before the process died, the newest first. The last
// thing that is recorded says when that was.
func (e *Engine) lastEnds() (ends []alert.Transition, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.evalCtx), endsTimeout)
	defer cancel()
	newest, err := e.opts.Ledger.History(ctx, ledger.Query{Limit: 1})
	if err != nil || len(newest.Entries) == 0 {
		return nil, err
	}
	q := ledger.Query{
		States: []alert.State{alert.Inactive}, Since: newest.Entries[0].At.Add(-alert.ResolvedRetention), Limit: ledger.MaxLimit,
	}
	for seen := 0; seen < maxEnds; seen += q.Limit {
		page, err := e.opts.Ledger.History(ctx, q)
		if err != nil {
			return ends, err
		}
		for i := range page.Entries {
			// One that was flapping counted as firing for people.
			if t := &page.Entries[i].Transition; t.Resolved() && !t.Flapping {
				ends = append(ends, *t)
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	return slices.Clip(ends), nil
}

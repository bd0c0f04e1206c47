package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/rule"
)

// resumes reports whether alerts go on from the ledger. They do not from one that was made at this start: then history
// may know more (see Restore).
func (e *Engine) resumes() bool { return e.opts.Ledger != nil && !e.opts.Ledger.Fresh() }

// settling reports whether series may be missing only because the process has not been running for long.
func (g *Group) settling(rs *ruleState, m moment) bool {
	return !rs.settleUntil.IsZero() && (g.ticks < warmTicks || m.ts.Before(rs.settleUntil))
}

// resume gives the rules of the first configuration the alerts that the ledger knows. Those of rules that are gone end.
func (r *reload) resume() {
	e := r.engine
	if e.applied || !e.resumes() {
		return
	}
	instances, err := e.opts.Ledger.Instances()
	if err != nil {
		e.opts.Logger.Error("Alerts start afresh: what the ledger knows of them cannot be read", "err", err)
		return
	}
	slices.SortFunc(instances, func(a, b ledger.Instance) int {
		return cmp.Or(a.ActiveAt.Compare(b.ActiveAt), labels.Compare(a.Labels, b.Labels))
	})
	taken := newTakeUp(r.fresh)
	left := taken.offer(instances, func(in *ledger.Instance) ruleName { return ruleName{in.File, in.Group, in.Rule} })
	// A file that was moved while nothing ran, then a rule that was.
	left = taken.offer(left, func(in *ledger.Instance) ruleName { return ruleName{"", in.Group, in.Rule} })
	left = taken.offer(left, func(in *ledger.Instance) ruleName { return ruleName{"", "", in.Rule} })
	now := time.Now()
	for _, t := range taken.rules {
		t.takeUp(now.Add(e.opts.SettleAfterStart))
	}
	r.abandoned = left
}

// ruleName is how an instance names its rule; parts that do not matter are empty.
type ruleName struct{ file, group, rule string }

// takeUp matches what the ledger knows with rules.
type takeUp struct {
	rules  []*takenRule
	byName map[ruleName][]*takenRule
}

// takenRule is a rule and what it takes up.
type takenRule struct {
	group  *Group
	state  *ruleState
	alerts []alert.Alert
	// moved are the keys that alerts had which had another one before.
	moved []ledger.InstanceKey
	has   seriesSet
}

func newTakeUp(runners []*runner) *takeUp {
	t := &takeUp{byName: map[ruleName][]*takenRule{}}
	for _, run := range runners {
		g := run.group
		for _, rs := range g.rules {
			if rs.rule().Kind != rule.Alerting {
				continue
			}
			one := &takenRule{group: g, state: rs}
			t.rules = append(t.rules, one)
			for _, n := range []ruleName{{g.file, g.name, rs.rule().Name}, {"", g.name, rs.rule().Name}, {"", "", rs.rule().Name}} {
				t.byName[n] = append(t.byName[n], one)
			}
		}
	}
	return t
}

// offer gives each instance to the first rule of its name whose labels it has, and returns those that nobody took.
func (t *takeUp) offer(instances []ledger.Instance, name func(*ledger.Instance) ruleName) (left []ledger.Instance) {
	for i := range instances {
		if !t.take(t.byName[name(&instances[i])], &instances[i]) {
			left = append(left, instances[i])
		}
	}
	return left
}

func (t *takeUp) take(candidates []*takenRule, in *ledger.Instance) bool {
	for _, c := range candidates {
		hash := in.Labels.Hash()
		if !mayBeOf(in.Labels, c.state.rule()) || c.has.has(hash, in.Labels) {
			continue
		}
		c.has.add(in.Labels)
		c.alerts = append(c.alerts, in.Alert)
		if key := in.Key(); key.File != c.group.file || key.Group != c.group.name {
			c.moved = append(c.moved, key)
		}
		return true
	}
	return false
}

// mayBeOf reports whether an alert with these labels may be one of r's: it has all labels that r gives to each.
func mayBeOf(ls labels.Labels, r *rule.Rule) bool {
	fits := true
	r.Labels.Range(func(l labels.Label) {
		fits = fits && (alert.IsTemplate(l.Value) || ls.Get(l.Name) == l.Value)
	})
	return fits
}

// takeUp makes the alerts the rule's.
func (t *takenRule) takeUp(settleUntil time.Time) {
	if len(t.alerts) == 0 {
		return
	}
	g, rs := t.group, t.state
	g.turn.Lock()
	defer g.turn.Unlock()
	g.mu.Lock()
	err := rs.alerts.Resume(t.alerts)
	g.mu.Unlock()
	if err != nil {
		rs.logger.Error("A rule's alerts start afresh: what the ledger says of them cannot be", "err", err)
		return
	}
	rs.settleUntil = settleUntil
	rs.mayLapse.Store(rs.active())
	if len(t.moved) == 0 {
		return
	}
	j := &g.buffers.journal
	for i := range t.alerts {
		j.instances = append(j.instances, ledger.Instance{File: g.file, Group: g.name, Rule: rs.rule().Name, Alert: t.alerts[i]})
	}
	j.keys = append(j.keys, t.moved...)
	g.commit(rs, j)
}

// endAbandoned tells that the alerts of rules that are gone since the last run have ended.
func (r *reload) endAbandoned(now time.Time, isFiring func(alert.Outgoing) bool) {
	e := r.engine
	ctx := context.WithoutCancel(e.evalCtx)
	for len(r.abandoned) > 0 {
		name := ruleName{r.abandoned[0].File, r.abandoned[0].Group, r.abandoned[0].Rule}
		var alerts []alert.Alert
		var keys []ledger.InstanceKey
		r.abandoned = slices.DeleteFunc(r.abandoned, func(in ledger.Instance) bool {
			if (ruleName{in.File, in.Group, in.Rule}) != name {
				return false
			}
			alerts, keys = append(alerts, in.Alert), append(keys, in.Key())
			return true
		})
		var set alert.Set
		if err := set.Resume(alerts); err != nil {
			e.opts.Logger.Error("Alerts of a rule that is gone are forgotten: what the ledger says of them cannot be",
				"file", name.file, "group", name.group, "rule", name.rule, "err", err)
		}
		var entries []ledger.Entry
		for _, t := range set.AppendDropped(nil, now) {
			t.File, t.Group, t.Rule = name.file, name.group, name.rule
			entries = append(entries, ledger.Entry{Transition: t})
		}
		if err := e.opts.Ledger.Record(entries, nil, keys); err != nil && !errors.Is(err, ledger.ErrNotDurable) {
			e.opts.Logger.Error("The ledger did not take the end of a rule's alerts", "rule", name.rule, "err", err)
		}
		for i := range entries {
			e.metrics.countTransition(&entries[i].Transition)
			if e.opts.OnTransition != nil {
				e.opts.OnTransition(ctx, entries[i].Transition)
			}
		}
		if ended := slices.DeleteFunc(set.AppendEnded(nil, now), isFiring); len(ended) > 0 && e.opts.Notify != nil {
			e.opts.Notify(ctx, ended)
		}
	}
}

// announce hands all alerts that were taken up to whoever notifies, at once, so that inhibiting ones are there before
// anything is evaluated.
func (e *Engine) announce(now time.Time) {
	if e.opts.Notify == nil || !e.resumes() {
		return
	}
	var all []alert.Outgoing
	for _, r := range e.runners { // Only written under applying, too.
		all = r.group.appendKnown(all, now)
	}
	if len(all) > 0 {
		e.opts.Notify(context.WithoutCancel(e.evalCtx), all)
	}
}

// appendKnown appends what there is to tell of the group's alerts, whenever it was last told.
func (g *Group) appendKnown(dst []alert.Outgoing, now time.Time) []alert.Outgoing {
	g.turn.Lock()
	defer g.turn.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	const always = -1000 * time.Hour
	for _, rs := range g.rules {
		from := len(dst)
		dst = rs.alerts.AppendDue(dst, alert.SendParams{ResendDelay: always, Interval: max(g.interval, g.opts.ResendDelay)}, now)
		g.link(rs, dst[from:])
	}
	return dst
}

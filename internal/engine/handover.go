package engine

import (
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/rule"
)

// handOver gives the new groups what the old ones knew. All groups that take part are stopped or not started, so that
// nobody else holds their turns; readers still see the old ones and go on reading their published parts.
func (r *reload) handOver() {
	var unmatched []newcomer
	for _, run := range r.fresh {
		g := run.group
		old := r.replaced[g.key]
		if old == nil {
			for _, rs := range g.rules {
				unmatched = append(unmatched, newcomer{g, rs})
			}
			continue
		}
		left, orphans := r.inherit(g, old.group)
		unmatched = append(unmatched, left...)
		r.orphans = append(r.orphans, orphans...)
	}
	for _, old := range r.removed {
		for _, rs := range old.group.rules {
			r.orphans = append(r.orphans, orphan{old.group, rs})
		}
	}
	r.adoptOrphans(unmatched)
}

// newcomer is a rule that found no predecessor in its own group.
type newcomer struct {
	group *Group
	state *ruleState
}

// inherit moves to g what its predecessor knew, and returns the rules of either that found no partner.
func (r *reload) inherit(g, old *Group) (unmatched []newcomer, orphans []orphan) {
	old.mu.Lock()
	g.lastEvaluation, g.lastTimestamp, g.evaluationTime = old.lastEvaluation, old.lastTimestamp, old.evaluationTime
	old.mu.Unlock()
	g.orphaned = append(g.orphaned, old.orphaned...)
	g.ticks = old.ticks

	partners := matchRules(g.rules, old.rules, r.engine.opts.Rest)
	taken := make(map[*ruleState]bool, len(partners))
	for i, rs := range g.rules {
		from := partners[i]
		if from == nil {
			unmatched = append(unmatched, newcomer{g, rs})
			continue
		}
		taken[from] = true
		rs.recorded = from.recorded
		g.takeAlerts(rs, from)
		r.moved(g, rs, old, from)
	}
	for _, rs := range old.rules {
		if !taken[rs] {
			orphans = append(orphans, orphan{old, rs})
			g.orphaned = rs.recorded.appendTo(g.orphaned)
		}
	}
	return unmatched, orphans
}

// moved notes that the alerts of rs, which is g's, were another rule's or those of another version of it.
func (r *reload) moved(g *Group, rs *ruleState, old *Group, from *ruleState) {
	if rs.alerts.Len() == 0 {
		return
	}
	var keys []ledger.InstanceKey
	for i := range rs.alerts.Len() {
		ls := rs.alerts.At(i).Labels
		if key := old.instanceKey(from, ls); key != g.instanceKey(rs, ls) {
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		r.moves = append(r.moves, move{g, rs, keys})
	}
}

// takeAlerts moves what is known of a rule and its alerts, but not its series, to its successor.
func (g *Group) takeAlerts(to, from *ruleState) {
	if to.rule().ID == from.rule().ID {
		to.health, to.lastError, to.reported, to.panicked = from.health, from.lastError, from.reported, from.panicked
		to.lastEvaluation, to.evaluationTime = from.lastEvaluation, from.evaluationTime
	}
	to.clock, to.settleUntil, to.remember = from.clock, from.settleUntil, from.remember
	if to.rule().Kind != rule.Alerting || from.rule().Kind != rule.Alerting {
		return
	}
	// A copy: readers may be looking at the old one.
	to.alerts.CopyFrom(from.alerts)
	to.mayLapse.Store(to.active())
	if to.restored = from.restored; !to.restored {
		g.awaitsRestore = true
	}
}

// matchRules returns for each new rule the old one that it follows, or nil: the one with the same ID, else the one with
// the same kind, name and labels; the first with the first where several are equal. It calls rest in between.
func matchRules(fresh, old []*ruleState, rest func()) []*ruleState {
	partners := make([]*ruleState, len(fresh))
	taken := make(map[*ruleState]bool, len(old))
	for _, key := range []func(*rule.Rule) string{byID, byNameAndLabels} {
		waiting := make(map[string][]*ruleState, len(old))
		for _, rs := range old {
			if !taken[rs] {
				k := key(rs.rule())
				waiting[k] = append(waiting[k], rs)
			}
		}
		for i, rs := range fresh {
			k := key(rs.rule())
			if candidates := waiting[k]; partners[i] == nil && len(candidates) > 0 {
				partners[i], waiting[k] = candidates[0], candidates[1:]
				taken[partners[i]] = true
			}
			rest()
		}
	}
	return partners
}

func byID(r *rule.Rule) string { return r.ID }

func byNameAndLabels(r *rule.Rule) string {
	return string(r.Kind) + "\xff" + r.Name + "\xff" + r.Labels.String()
}

// adoptOrphans lets rules that are new to their group take the alerts of a rule with the same ID that another group
// lost, and keeps as orphans only the alerting rules that nobody took.
func (r *reload) adoptOrphans(unmatched []newcomer) {
	waiting := make(map[string][]newcomer, len(unmatched))
	for _, n := range unmatched {
		id := n.state.rule().ID
		waiting[id] = append(waiting[id], n)
	}
	orphans := r.orphans[:0]
	for _, o := range r.orphans {
		if o.state.rule().Kind != rule.Alerting {
			continue
		}
		id := o.state.rule().ID
		if takers := waiting[id]; len(takers) > 0 {
			takers[0].group.takeAlerts(takers[0].state, o.state)
			r.moved(takers[0].group, takers[0].state, o.group, o.state)
			waiting[id] = takers[1:]
			continue
		}
		orphans = append(orphans, o)
	}
	r.orphans = orphans
}

package engine

import (
	"errors"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
)

// journal is the buffers of what goes to the ledger.
type journal struct {
	entries []ledger.Entry
	changed []alert.Alert
	gone    []labels.Labels

	instances []ledger.Instance
	keys      []ledger.InstanceKey
}

// put makes durable what an evaluation made of the rule's alerts: next came of the set that was published before, with
// changes. It returns when that is on disk, or when the ledger says that the disk does not take it: the ledger keeps it
// then, says so by itself, and people are told all the same.
func (g *Group) put(rs *ruleState, next *alert.Set, changes []alert.Transition, m moment) {
	if g.opts.Ledger == nil {
		return
	}
	j := &g.buffers.journal
	j.changed, j.gone = alert.Compare(next, rs.alerts, j.changed[:0], j.gone[:0])
	if len(j.changed) == 0 && len(j.gone) == 0 && len(changes) == 0 {
		return
	}
	g.putEntries(rs, changes, m.latency(time.Now()))
	for i := range j.changed {
		j.instances = append(j.instances, g.instance(rs, j.changed[i]))
	}
	for _, ls := range j.gone {
		j.keys = append(j.keys, g.instanceKey(rs, ls))
	}
	g.commit(rs, j)
}

// putEntries makes entries of transitions.
func (g *Group) putEntries(rs *ruleState, changes []alert.Transition, latency time.Duration) {
	if len(changes) == 0 {
		return
	}
	j, r := &g.buffers.journal, rs.rule()
	expr := r.Plan.String()
	for _, t := range changes {
		g.sign(rs, &t)
		j.entries = append(j.entries, ledger.Entry{Transition: t, Expr: expr, Threshold: r.Threshold(t.Labels), Latency: latency})
	}
}

func (g *Group) instanceKey(rs *ruleState, ls labels.Labels) ledger.InstanceKey {
	return ledger.InstanceKey{File: g.file, Group: g.name, Rule: rs.rule().Name, RuleID: rs.rule().ID, Labels: ls}
}

func (g *Group) instance(rs *ruleState, a alert.Alert) ledger.Instance {
	return ledger.Instance{File: g.file, Group: g.name, Rule: rs.rule().Name, RuleID: rs.rule().ID, Alert: a}
}

// sign says which rule a transition is of.
func (g *Group) sign(rs *ruleState, t *alert.Transition) {
	t.File, t.Group, t.Rule, t.RuleID = g.file, g.name, rs.rule().Name, rs.rule().ID
}

// commit hands the journal to the ledger and empties it.
func (g *Group) commit(rs *ruleState, j *journal) {
	err := g.opts.Ledger.Record(j.entries, j.instances, j.keys)
	if err != nil && !errors.Is(err, ledger.ErrNotDurable) {
		rs.logger.Error("The ledger did not take what became of alerts; people are told all the same", "err", err)
	}
	clear(j.entries)
	clear(j.changed)
	clear(j.gone)
	clear(j.instances)
	clear(j.keys)
	j.entries, j.instances, j.keys = j.entries[:0], j.instances[:0], j.keys[:0]
}

// putEnd makes durable that the rule's alerts are over because the rule is gone: those that people may have heard of are
// heirs, which stay for a while. What shares its key with one of a rule that is not gone is left alone.
func (g *Group) putEnd(rs *ruleState, changes []alert.Transition, heirs *alert.Set, live map[ledger.InstanceKey]bool) (left []ledger.Instance) {
	if g.opts.Ledger == nil || rs.alerts.Len() == 0 {
		return nil
	}
	j := &g.buffers.journal
	g.putEntries(rs, changes, 0)
	for i := range heirs.Len() {
		if in := g.instance(rs, heirs.At(i)); !live[in.Key()] {
			left = append(left, in)
		}
	}
	j.instances = append(j.instances, left...)
	for i := range rs.alerts.Len() {
		ls := rs.alerts.At(i).Labels
		if key := g.instanceKey(rs, ls); !live[key] && !heirs.Has(ls) {
			j.keys = append(j.keys, key)
		}
	}
	g.commit(rs, j)
	return left
}

// putMoves makes durable that alerts are those of other rules, or of other versions of theirs, than before.
func (r *reload) putMoves() {
	if r.engine.opts.Ledger == nil || len(r.moves) == 0 {
		return
	}
	var changed []ledger.Instance
	var keys []ledger.InstanceKey
	for _, m := range r.moves {
		for i := range m.state.alerts.Len() {
			changed = append(changed, m.group.instance(m.state, m.state.alerts.At(i)))
		}
	}
	live := r.keys()
	for _, m := range r.moves {
		for _, key := range m.from {
			if !live[key] {
				keys = append(keys, key)
			}
		}
	}
	if err := r.engine.opts.Ledger.Record(nil, changed, keys); err != nil && !errors.Is(err, ledger.ErrNotDurable) {
		r.engine.opts.Logger.Error("The ledger did not take which rules alerts are of now", "err", err)
	}
}

// move says of a rule that its alerts were recorded under other keys.
type move struct {
	group *Group
	state *ruleState
	from  []ledger.InstanceKey
}

// keys returns the keys of all alerts of the new configuration.
func (r *reload) keys() map[ledger.InstanceKey]bool {
	all := map[ledger.InstanceKey]bool{}
	for _, run := range r.next {
		g := run.group
		g.mu.Lock()
		for _, rs := range g.rules {
			for i := range rs.alerts.Len() {
				all[g.instanceKey(rs, rs.alerts.At(i).Labels)] = true
			}
		}
		g.mu.Unlock()
	}
	return all
}

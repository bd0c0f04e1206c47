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
	if len(instances) == 0 {
		return
	}
	slices.SortFunc(instances, func(a, b ledger.Instance) int {
		return cmp.Or(a.ActiveAt.Compare(b.ActiveAt), labels.Compare(a.Labels, b.Labels))
	})
	taken := newTakeUp(r.fresh)
	for _, pass := range passes { // Every one finds its rule exactly as it was before others are looked for.
		instances = taken.offer(instances, pass)
	}
	now := time.Now()
	for _, t := range taken.rules {
		r.takeUp(t, now)
	}
	r.abandoned = instances
}

// passes are what of a rule's version must be the same for it to take up an alert, one attempt after the other: all; what it
// says, where its file or itself was moved while nothing ran; its place and name, where it says something else now; its name.
var passes = []func(version) version{
	func(v version) version { return v },
	func(v version) version { return version{"", v.group, v.rule, v.id} },
	func(v version) version { return version{"", "", v.rule, v.id} },
	func(v version) version { return version{v.file, v.group, v.rule, ""} },
	func(v version) version { return version{"", v.group, v.rule, ""} },
	func(v version) version { return version{"", "", v.rule, ""} },
}

// takeUp matches what the ledger knows with rules.
type takeUp struct {
	rules []*takenRule
	// byVersion are the rules by what passes leave of their versions.
	byVersion map[version][]*takenRule
}

// takenRule is a rule and what it takes up.
type takenRule struct {
	group  *Group
	state  *ruleState
	alerts []ledger.Instance
	has    seriesSet
}

func newTakeUp(runners []*runner) *takeUp {
	t := &takeUp{byVersion: map[version][]*takenRule{}}
	for _, run := range runners {
		g := run.group
		for _, rs := range g.rules {
			if rs.rule().Kind != rule.Alerting {
				continue
			}
			one := &takenRule{group: g, state: rs}
			t.rules = append(t.rules, one)
			for _, pass := range passes {
				v := pass(version{g.file, g.name, rs.rule().Name, rs.rule().ID})
				t.byVersion[v] = append(t.byVersion[v], one)
			}
		}
	}
	return t
}

// offer gives each instance to the first rule of its version, as far as pass leaves it, whose labels it has, and returns
// those that nobody took.
func (t *takeUp) offer(instances []ledger.Instance, pass func(version) version) (left []ledger.Instance) {
	for i := range instances {
		key := instances[i].Key()
		if !take(t.byVersion[pass(versionOf(&key))], &instances[i]) {
			left = append(left, instances[i])
		}
	}
	return left
}

func take(candidates []*takenRule, in *ledger.Instance) bool {
	for _, c := range candidates {
		hash := in.Labels.Hash()
		if !mayBeOf(in.Labels, c.state.rule()) || c.has.has(hash, in.Labels) {
			continue
		}
		c.has.add(in.Labels)
		c.alerts = append(c.alerts, *in)
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

// takeUp makes the alerts the rule's. Those that cannot be are left out, and the ledger is to forget them.
func (r *reload) takeUp(t *takenRule, now time.Time) {
	if len(t.alerts) == 0 {
		return
	}
	g, rs := t.group, t.state
	var alerts []alert.Alert
	var stale []ledger.InstanceKey
	for i := range t.alerts {
		in := &t.alerts[i]
		key := in.Key()
		var alone alert.Set
		if err := alone.Resume([]alert.Alert{in.Alert}); err != nil {
			rs.logger.Error("An alert starts afresh: what the ledger says of it cannot be", "err", err)
			stale = append(stale, key)
			continue
		}
		alerts = append(alerts, in.Alert)
		if key != g.instanceKey(rs, in.Labels) {
			stale = append(stale, key)
		}
	}
	g.turn.Lock()
	defer g.turn.Unlock()
	g.mu.Lock()
	err := rs.alerts.Resume(alerts)
	g.mu.Unlock()
	if err != nil {
		rs.logger.Error("A rule's alerts start afresh: what the ledger says of them cannot be", "err", err)
		return
	}
	rs.mayLapse.Store(rs.active())
	rs.settleUntil, rs.remember = now.Add(r.engine.opts.SettleAfterStart), now.Add(alert.ResolvedRetention)
	if len(stale) > 0 {
		r.moves = append(r.moves, move{g, rs, stale})
	}
}

// endAbandoned tells that the alerts of rules that are gone since the last run have ended, and again of those that had before:
// the last run may have been killed before that came through.
func (r *reload) endAbandoned(now time.Time, isFiring func(alert.Outgoing) bool) {
	e := r.engine
	ctx := context.WithoutCancel(e.evalCtx)
	var order []version
	left := map[version][]ledger.Instance{}
	for i := range r.abandoned {
		key := r.abandoned[i].Key()
		of := versionOf(&key)
		if left[of] == nil {
			order = append(order, of)
		}
		left[of] = append(left[of], r.abandoned[i])
	}
	r.abandoned = nil
	var end ending
	for i, of := range order {
		end.add(e.endVersion(of, left[of], now))
		if i == len(order)-1 || end.size() >= endTogether {
			e.tellEnd(ctx, end, now, isFiring)
			end = ending{}
		}
	}
}

// endTogether is how many alerts of rules that are gone share a sync.
const endTogether = 4096

// ending is what becomes of alerts whose rules are gone.
type ending struct {
	entries []ledger.Entry
	left    []ledger.Instance // which stay for a while
	keys    []ledger.InstanceKey
	told    []alert.Outgoing
}

func (d *ending) add(o ending) {
	d.entries, d.left = append(d.entries, o.entries...), append(d.left, o.left...)
	d.keys, d.told = append(d.keys, o.keys...), append(d.told, o.told...)
}

func (d *ending) size() int { return len(d.left) + len(d.keys) }

// tellEnd makes durable that alerts are over, and tells it.
func (e *Engine) tellEnd(ctx context.Context, end ending, now time.Time, isFiring func(alert.Outgoing) bool) {
	if err := e.opts.Ledger.Record(end.entries, end.left, end.keys); err != nil && !errors.Is(err, ledger.ErrNotDurable) {
		e.opts.Logger.Error("The ledger did not take the end of alerts whose rules are gone", "err", err)
	}
	e.bequeath(end.left, now)
	for i := range end.entries {
		e.metrics.countTransition(&end.entries[i].Transition)
		if e.opts.OnTransition != nil {
			e.opts.OnTransition(ctx, end.entries[i].Transition)
		}
	}
	told := slices.DeleteFunc(end.told, isFiring)
	if len(told) > 0 && e.opts.Notify != nil {
		e.opts.Notify(ctx, told)
	}
}

// endVersion ends all, alerts of a rule that is gone.
func (e *Engine) endVersion(of version, all []ledger.Instance, now time.Time) (end ending) {
	var known, heirs alert.Set
	var alerts []alert.Alert
	for i := range all {
		if err := known.Resume([]alert.Alert{all[i].Alert}); err != nil {
			e.opts.Logger.Error("An alert of a rule that is gone is forgotten: what the ledger says of it cannot be",
				"file", of.file, "group", of.group, "rule", of.rule, "err", err)
			end.keys = append(end.keys, all[i].Key())
			continue
		}
		alerts = append(alerts, all[i].Alert)
	}
	if err := errors.Join(known.Resume(alerts), heirs.Resume(alerts)); err != nil {
		panic("BUG: alerts with the same key: " + err.Error())
	}
	for _, t := range known.AppendDropped(nil, now) {
		t.File, t.Group, t.Rule, t.RuleID = of.file, of.group, of.rule, of.id
		end.entries = append(end.entries, ledger.Entry{Transition: t})
	}
	heirs.Retire(now)
	for i := range heirs.Len() {
		end.left = append(end.left, ledger.Instance{File: of.file, Group: of.group, Rule: of.rule, RuleID: of.id, Alert: heirs.At(i)})
	}
	for i := range known.Len() {
		if ls := known.At(i).Labels; !heirs.Has(ls) {
			end.keys = append(end.keys, ledger.InstanceKey{File: of.file, Group: of.group, Rule: of.rule, RuleID: of.id, Labels: ls})
		}
	}
	end.told = heirs.AppendDue(nil, knownParams(e.opts.ResendDelay, DefaultInterval), now)
	return end
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
	all = e.appendEnds(all, all)
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
	p := knownParams(g.opts.ResendDelay, g.interval)
	for _, rs := range g.rules {
		from := len(dst)
		dst = rs.alerts.AppendDue(dst, p, now)
		g.link(rs, dst[from:])
	}
	return dst
}

// knownParams let all be told that there is to tell, whenever it was last told.
func knownParams(resend, interval time.Duration) alert.SendParams {
	const always = -1000 * time.Hour
	return alert.SendParams{ResendDelay: always, Interval: max(interval, resend)}
}

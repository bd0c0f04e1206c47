package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/rule"
)

// Apply makes cfg the configuration. On an error nothing changed. Readers see either the groups of before or all the new
// ones; it returns when the new ones are in place.
//
// A group with the same file, name, interval, limit, offset and rules goes on undisturbed, also when it is to be strict
// from now on or no longer. Any other group of the same
// file and name is stopped, once the rule it is at is done, and its successor takes over: alerts, staleness and health
// go with the rule of the same ID wherever it now stands, and otherwise, as in Prometheus, with the rule of the same
// name and labels. A rule of the same ID in another group takes its alerts along, too. Equal rules are matched in order.
//
// Alerts of rules that are gone end at once: Prometheus just falls silent and lets receivers find out by EndsAt; here
// each makes a transition to Inactive, and those that were firing are sent as resolved, unless another rule's firing
// alert has the same labels. Series that no rule returns any more are marked stale as in Prometheus.
//
// The alerting rules of the first Apply, and of those before Start, are restored from history, also when a reload comes
// before that could happen; those that a later one adds start afresh.
func (e *Engine) Apply(cfg Config) error {
	if err := e.opts.Validate(); err != nil {
		return err
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	e.applying.Lock()
	defer e.applying.Unlock()
	if e.stopped || e.stopCtx.Err() != nil {
		return ErrStopped
	}
	r := e.newReload(cfg)
	r.stopReplaced()
	r.handOver()
	r.resume()
	r.takeBack()
	r.putMoves()
	e.adopt(r)
	r.endOrphans() // Before new groups run: what they send must not be overtaken by a resolved alert of the same labels.
	e.settle(r)
	e.applied = true
	return nil
}

// Validate says what is wrong with cfg. It does not look into expressions: a plan is valid by its making.
func (c Config) Validate() error {
	var errs []error
	seen := make(map[string]bool, len(c.Groups))
	for _, g := range c.Groups {
		if g == nil {
			errs = append(errs, errors.New("engine: a group is nil"))
			continue
		}
		key := groupKey(g.File, g.Name)
		if seen[key] {
			errs = append(errs, fmt.Errorf("%s: group %q stands there twice; rename one", g.File, g.Name))
		}
		seen[key] = true
		if g.Interval < 0 {
			errs = append(errs, fmt.Errorf("%s: group %q: interval %s is negative", g.File, g.Name, g.Interval))
		}
		for _, r := range g.Rules {
			switch {
			case r == nil || r.Plan == nil:
				errs = append(errs, fmt.Errorf("%s: group %q: a rule has no expression", g.File, g.Name))
			case alertingOnly(r) != "" && r.Kind != rule.Alerting:
				errs = append(errs, fmt.Errorf("%s:%d: rule %q: %s is for alerting rules", g.File, r.Line, r.Name, alertingOnly(r)))
			case !r.OnMissing.Known():
				errs = append(errs, fmt.Errorf("%s:%d: rule %q: unknown on_missing %d", g.File, r.Line, r.Name, uint8(r.OnMissing)))
			case r.Kind != rule.Alerting && r.Kind != rule.Recording:
				errs = append(errs, fmt.Errorf("%s:%d: rule %q: unknown kind %q", g.File, r.Line, r.Name, r.Kind))
			}
		}
	}
	return errors.Join(errs...)
}

// alertingOnly names what a rule says that only alerts can have.
func alertingOnly(r *rule.Rule) string {
	switch {
	case r.Clear != nil:
		return "clear"
	case r.OnMissing != alert.MissingResolves:
		return "on_missing"
	case r.Flap != (rule.Flap{}):
		return "flap"
	}
	return ""
}

// reload is one Apply on its way.
type reload struct {
	engine *Engine
	env    *environment
	// next are all runners of the new configuration, kept ones included.
	next map[string]*runner
	// kept pairs the groups that go on with their new definitions.
	kept []keptGroup
	// fresh are the new groups, replaced the old ones that make room, by key where they have a successor.
	fresh    []*runner
	replaced map[string]*runner
	removed  []*runner
	// orphans are the alerting rules that are gone.
	orphans []orphan
	// moves are alerts that have another key in the ledger than before.
	moves []move
	// abandoned are alerts that the ledger knows and no rule has any more.
	abandoned []ledger.Instance
}

type keptGroup struct {
	group      *Group
	def        *rule.Group
	evaluation Evaluation
}

// orphan is a rule that its group no longer has.
type orphan struct {
	group *Group
	state *ruleState
}

// newReload sorts out what becomes of which group. Nothing is touched yet.
func (e *Engine) newReload(cfg Config) *reload {
	r := &reload{
		engine:   e,
		env:      newEnvironment(cfg),
		next:     make(map[string]*runner, len(cfg.Groups)),
		replaced: map[string]*runner{},
	}
	restore := (!e.applied || !e.started) && !e.resumes()
	for _, def := range cfg.Groups {
		key := groupKey(def.File, def.Name)
		old := e.runners[key] // Only written under applying, too.
		interval := intervalOf(def, cfg)
		if old != nil && old.group.equals(def, interval) {
			r.kept = append(r.kept, keptGroup{old.group, def, cfg.evaluation(def.File, def.Name)})
			r.next[key] = old
			continue
		}
		g := newGroup(e.opts, e.metrics, r.env, cfg, def)
		g.follow(e.streamer)
		if restore {
			g.AwaitRestore()
		}
		if old != nil {
			r.replaced[key] = old
		}
		run := e.newRunner(g)
		r.fresh = append(r.fresh, run)
		r.next[key] = run
	}
	for key, old := range e.runners {
		if r.next[key] == nil {
			r.removed = append(r.removed, old)
		}
	}
	slices.SortFunc(r.removed, func(a, b *runner) int { return cmp.Compare(a.group.key, b.group.key) })
	return r
}

// equals reports whether def, evaluated at interval, is what g does already.
func (g *Group) equals(def *rule.Group, interval time.Duration) bool {
	sameOffset := g.queryOffset == def.QueryOffset ||
		g.queryOffset != nil && def.QueryOffset != nil && *g.queryOffset == *def.QueryOffset
	return g.interval == interval && g.limit == def.Limit && sameOffset &&
		slices.EqualFunc(g.rules, def.Rules, func(rs *ruleState, r *rule.Rule) bool { return rs.rule().ID == r.ID })
}

// stopReplaced ends the old groups that do not go on, all at the same time, and waits for the rules in flight.
func (r *reload) stopReplaced() {
	for _, old := range r.replaced {
		old.stop()
	}
	for _, old := range r.removed {
		old.stop()
	}
	for _, old := range r.replaced {
		old.wait()
	}
	for _, old := range r.removed {
		old.wait()
	}
}

// adopt makes the new groups the ones that readers see.
func (e *Engine) adopt(r *reload) {
	e.mu.Lock()
	for _, k := range r.kept {
		k.group.env.Store(r.env)
		for i, rl := range k.def.Rules {
			k.group.rules[i].ref.Store(rl)
		}
		k.group.mu.Lock()
		k.group.evaluation = k.evaluation
		k.group.mu.Unlock()
	}
	e.runners = r.next
	e.mu.Unlock()
}

// settle starts the new groups and clears up after those that are gone.
func (e *Engine) settle(r *reload) {
	e.streamer.seatAll(r.groups())
	now := time.Now()
	for _, old := range r.removed {
		e.metrics.forget(old.group.key)
		if e.started {
			e.goroutines.Go(func() { e.retire(old.group, now) })
		}
	}
	if e.started {
		for _, run := range r.fresh {
			e.launch(run)
		}
	}
}

// retire marks the series of a group that is gone stale as of the time it ended. It waits two intervals first: a group
// that was only renamed has then recorded them anew, and history refuses the markers.
func (e *Engine) retire(g *Group, at time.Time) {
	timer := time.NewTimer(2 * g.interval)
	defer timer.Stop()
	select {
	case <-e.stopCtx.Done():
		return
	case <-timer.C:
	}
	g.turn.Lock()
	defer g.turn.Unlock()
	for _, rs := range g.rules {
		g.orphaned = rs.recorded.appendTo(g.orphaned)
	}
	g.sweep(g.context(e.evalCtx), at.Add(-g.offset(g.env.Load())))
}

// endOrphans tells that the alerts of rules that are gone have ended.
func (r *reload) endOrphans() {
	if len(r.orphans) == 0 && len(r.abandoned) == 0 {
		return
	}
	now := time.Now()
	firing := r.firing()
	isFiring := func(out alert.Outgoing) bool { return firing.has(out.Labels.Hash(), out.Labels) }
	ctx := context.WithoutCancel(r.engine.evalCtx) // A stop in between must not tear this.
	live := r.keys()
	for _, o := range r.orphans {
		if o.state.alerts.Len() == 0 {
			continue // Thousands of them would hold up the new groups.
		}
		ctx := o.group.context(ctx)
		o.group.guarded(o.state, func() verdict {
			dropped := o.state.alerts.AppendDropped(nil, now)
			var heirs alert.Set // Readers may be looking at the old one.
			heirs.CopyFrom(o.state.alerts)
			heirs.Retire(now)
			r.engine.bequeath(o.group.putEnd(o.state, dropped, &heirs, live), now)
			o.group.tellTransitions(ctx, o.state, dropped)
			ended := slices.DeleteFunc(o.state.alerts.AppendEnded(nil, now), isFiring)
			o.group.notify(ctx, o.state, ended)
			return verdict{}
		})
	}
	r.endAbandoned(now, isFiring)
}

// groups returns the groups of the new configuration in the order of their keys.
func (r *reload) groups() []*Group {
	all := make([]*Group, 0, len(r.next))
	for _, run := range r.next {
		all = append(all, run.group)
	}
	slices.SortFunc(all, func(a, b *Group) int { return cmp.Compare(a.key, b.key) })
	return all
}

// firing returns the labels of all firing alerts of the new configuration.
func (r *reload) firing() *seriesSet {
	all := &seriesSet{}
	for _, run := range r.next {
		run.group.appendFiring(all)
	}
	return all
}

func (g *Group) appendFiring(to *seriesSet) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, rs := range g.rules {
		for i := range rs.alerts.Len() {
			if a := rs.alerts.At(i); a.State == alert.Firing {
				to.add(a.Labels)
			}
		}
	}
}

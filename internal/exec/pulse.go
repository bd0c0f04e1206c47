package exec

import (
	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// Touched is a streaming plan one of whose inputs changed.
type Touched struct {
	Plan *plan.Plan
	// At is the newest timestamp, in Unix milliseconds, that was seen on a selector that samples touched; 0 when it was
	// time alone (a series went out of lookback or slid out of a window).
	At int64
	// Presence says that elements came or went; Values that a value changed. An untouched result is not reported unless
	// a sample arrived for it: then both are false.
	Presence, Values bool
}

// agenda is what a pulse has still to update, by rank. Its memory is kept.
type agenda struct {
	ranks [][]*unit
	done  []*unit
	roots []*root
}

func (a *agenda) add(u *unit) {
	if u.queued || !u.streaming || u.node.Op == plan.Subwindow {
		return
	}
	u.queued = true
	for len(a.ranks) <= u.rank {
		a.ranks = append(a.ranks, nil)
	}
	a.ranks[u.rank] = append(a.ranks[u.rank], u)
}

// Pulse lets what arrived since the last pulse run through the streaming plans: the marked words only, as of now. It
// appends the plans that were touched to buf. next is when, in Unix milliseconds, a pulse is due without any arrival
// because a series leaves the lookback or slides out of a window; 0 if never.
func (c *Core) Pulse(now int64, buf []Touched) (touched []Touched, next int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulses++
	c.env.pulse = c.pulses
	c.pulsed = now
	c.store.Expire(now)
	a := &c.agenda
	defer c.settleAgenda()
	for _, x := range c.store.Touched() {
		for _, leaf := range c.bySelector[x].leaves {
			a.add(leaf)
		}
	}
	for rank := 0; rank < len(a.ranks); rank++ {
		for i := 0; i < len(a.ranks[rank]); i++ { // Updating adds to higher ranks only.
			c.update(a.ranks[rank][i], now)
		}
	}
	return c.touched(buf), c.store.NextExpiry()
}

// update lets one unit follow, and puts those that use it on the agenda where it changed.
func (c *Core) update(u *unit, now int64) {
	a := &c.agenda
	a.done = append(a.done, u)
	a.roots = append(a.roots, u.roots...)
	if !u.evaluated {
		return // The first evaluation is a full one, and that is a tick's business.
	}
	for _, in := range u.in {
		if in.broken {
			u.broken = true
		}
	}
	if !u.broken {
		u.update(now, c.pulses)
	}
	out := u.op.out()
	if u.broken || out.marks.Any() || out.changed {
		for _, above := range u.uses {
			a.add(above)
		}
	}
}

// touched appends the streaming plans whose root's value may have changed, and those a sample of whose inputs arrived.
func (c *Core) touched(buf []Touched) []Touched {
	for _, x := range c.store.Touched() {
		for _, leaf := range c.bySelector[x].leaves {
			c.reach(leaf)
		}
	}
	for _, r := range c.agenda.roots {
		if !r.streaming || r.reported == c.pulses || !r.unit.evaluated {
			continue
		}
		r.reported = c.pulses
		t := Touched{}
		for _, s := range r.sources {
			if s.selector.Fed() != s.fed {
				t.At = max(t.At, s.selector.Reached())
			}
		}
		out := r.unit.op.out()
		t.Presence, t.Values = compare(out)
		// What it is compared with may not be what was reported last.
		if r.unit.broken || r.synced != r.syncs() || r.ticked && len(r.plans) > 1 {
			t.Presence, t.Values = true, true
		}
		r.ticked = false
		for _, t.Plan = range r.plans {
			buf = append(buf, t)
		}
	}
	return buf
}

// reach notes the roots above u that nothing reached, because what is between did not change.
func (c *Core) reach(u *unit) {
	if u.reachedIn == c.pulses || !u.streaming {
		return
	}
	u.reachedIn = c.pulses
	c.agenda.roots = append(c.agenda.roots, u.roots...)
	for _, above := range u.uses {
		c.reach(above)
	}
}

// compare says whether lanes came or went, and whether values of others changed.
func compare(out *output) (presence, values bool) {
	if out.changed {
		return true, true // a scalar
	}
	for i, w := range out.marks.Words() {
		was, ok := out.marks.OldOK(i), out.column.OK[w]
		if was != ok {
			return true, true
		}
		// What is not kept is taken to have changed: operators mark nothing else.
		if !values && (out.marks.Light() || !equalWord(out.marks.Old(i), out.column.V[w*column.WordLanes:], ok)) {
			values = true
		}
	}
	return presence, values
}

// settleAgenda takes all marks away: what arrived was followed by all that follow.
func (c *Core) settleAgenda() {
	a := &c.agenda
	for _, u := range a.done {
		out := u.op.out()
		out.marks.Clear()
		out.changed = false
	}
	for i, rank := range a.ranks {
		for _, u := range rank {
			u.queued = false
		}
		a.ranks[i] = rank[:0]
	}
	a.done, a.roots = a.done[:0], a.roots[:0]
	for _, x := range c.store.Touched() {
		c.bySelector[x].fed = x.Fed()
		x.Marks().Clear()
		x.Marks().Lighten(true) // Nobody asks what a selector's words were.
	}
	c.store.ClearTouched()
}

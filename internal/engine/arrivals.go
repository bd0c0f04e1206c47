package engine

import (
	"context"
	"sync"
	"time"
)

// warmTicks is how many ticks a group has seen before it is evaluated on any other occasion: the first interval after a
// start goes by until everything is there that rules read.
const warmTicks = 2

// longEvaluation is how long an evaluation on arrival may take without holding up the rule's next one.
const longEvaluation = 10 * time.Millisecond

// arrivals are the rules of one group that are to be evaluated without waiting for its next tick. It is bounded: a rule
// is in it once, whatever happens until its turn comes.
type arrivals struct {
	kick chan struct{}

	mu    sync.Mutex
	rules bitset
	// why and since are the reasons, and when the first came in Unix nanoseconds, by rule.
	why   []trigger
	since []int64
}

func newArrivals(rules int) *arrivals {
	return &arrivals{kick: make(chan struct{}, 1), why: make([]trigger, rules), since: make([]int64, rules)}
}

// woken returns the channel that is ready when there is something; nil receivers never are.
func (a *arrivals) woken() <-chan struct{} {
	if a == nil {
		return nil
	}
	return a.kick
}

// post adds a rule.
func (a *arrivals) post(rule int, why trigger, since int64) {
	a.mu.Lock()
	if a.rules.has(rule) {
		why, since = why|a.why[rule], min(since, a.since[rule])
	}
	a.rules.set(rule)
	a.why[rule], a.since[rule] = why, since
	a.mu.Unlock()
	select {
	case a.kick <- struct{}{}:
	default: // It is to be woken already.
	}
}

// next returns the first rule from the given one on, -1 at the end.
func (a *arrivals) next(from int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rules.next(from)
}

// take removes a rule.
func (a *arrivals) take(rule int) (why trigger, since int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rules.unset(rule)
	return a.why[rule], a.since[rule]
}

// evalArrivals evaluates the rules that were posted, in order. It leaves off when the slot due has come: then the tick
// is first, so that no rule is evaluated for a time before that of its last evaluation. ctx is what context returned.
func (g *Group) evalArrivals(ctx context.Context, due time.Time, stop <-chan struct{}) {
	a := g.arrivals
	if a == nil || a.next(0) < 0 {
		return
	}
	g.turn.Lock()
	defer g.turn.Unlock()
	env := g.env.Load()
	for i := a.next(0); i >= 0; i = a.next(i + 1) {
		select {
		case <-stop:
			return
		default:
		}
		now := time.Now()
		if now.UnixMilli() >= due.UnixMilli() {
			return
		}
		why, since := a.take(i)
		if g.ticks >= warmTicks {
			g.evalArrival(ctx, env, i, why, since, now)
		}
	}
}

// evalArrival evaluates one rule at now because of what happened at since, in Unix nanoseconds.
func (g *Group) evalArrival(ctx context.Context, env *environment, i int, why trigger, since int64, now time.Time) {
	rs := g.rules[i]
	seat := rs.seat.Load()
	if seat == nil || !rs.restored {
		return // It is the ticks' business, now or again.
	}
	at := now.UnixMilli()
	if why == byDeadline && !g.isDue(rs, at) {
		return // An evaluation was quicker.
	}
	if rest := rs.rest.Sub(now); rest > 0 {
		g.streamer.again(seat, why, since, ceilMilli(now.Add(rest)))
		return
	}
	ts, retry, ok := rs.clock.arrival(at, g.interval)
	if !ok {
		if retry > 0 {
			g.streamer.again(seat, why, since, retry)
		}
		return
	}
	g.evalRule(ctx, env, rs, moment{ts: ts, why: why, since: time.Unix(0, since)})
	done := time.Now()
	g.streamer.metrics.evaluated(why, done.Sub(time.Unix(0, since)))
	if took := done.Sub(now); took >= longEvaluation {
		rs.restUntil(done.Add(took))
	}
}

// restUntil lets the rule be evaluated on arrival no earlier than then.
func (rs *ruleState) restUntil(then time.Time) {
	if then.After(rs.rest) {
		rs.rest = then
	}
}

// isDue reports whether the time alone changes an alert of the rule at now, in Unix milliseconds.
func (g *Group) isDue(rs *ruleState, now int64) bool {
	at := g.deadline(rs)
	return at != 0 && at <= now
}

// deadline returns when the time alone changes an alert of the rule, in Unix milliseconds and never too early; 0 means
// never.
func (g *Group) deadline(rs *ruleState) int64 {
	at, ok := rs.alerts.Deadline(g.params(rs))
	if !ok {
		return 0
	}
	return ceilMilli(at)
}

// ceilMilli returns the first Unix millisecond that is not before at.
func ceilMilli(at time.Time) int64 { return at.Add(time.Millisecond - time.Nanosecond).UnixMilli() }

// ruleClock keeps the times that a rule is evaluated for in order. Only evaluations on arrival bind it: ticks among
// themselves are taken at their word, as in Prometheus. The zero value knows of no evaluation.
type ruleClock struct {
	// last is the time of the last evaluation in Unix milliseconds, onArrival whether it was no tick.
	last      int64
	onArrival bool
}

// tick returns the time for which a rule is evaluated at a slot: the slot, but a millisecond after an evaluation on
// arrival that was as late or later, which takes a clock that was set back a little. One that was set back by an
// interval or more is taken at its word.
func (c *ruleClock) tick(slot time.Time, interval time.Duration) time.Time {
	at := slot.UnixMilli()
	if c.onArrival && at <= c.last && c.last-at < interval.Milliseconds() {
		c.last++
		return time.UnixMilli(c.last).UTC()
	}
	*c = ruleClock{last: at}
	return slot
}

// arrival returns the time for which a rule is evaluated on arrival at now. It is false where an evaluation for that
// time was made: then retry is when to try again, 0 where the clock was set back so far that only a tick can tell.
func (c *ruleClock) arrival(now int64, interval time.Duration) (ts time.Time, retry int64, ok bool) {
	switch {
	case now > c.last:
		*c = ruleClock{last: now, onArrival: true}
		return time.UnixMilli(now).UTC(), 0, true
	case c.last-now < interval.Milliseconds():
		return time.Time{}, c.last + 1, false
	}
	return time.Time{}, 0, false
}

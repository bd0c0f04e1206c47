package engine

// trigger says, bit by bit, why a rule is evaluated outside of a tick.
type trigger uint8

const (
	// byArrival: samples came.
	byArrival trigger = 1 << iota
	// byTime: a series went out of reach.
	byTime
	// byDeadline: a `for` or keep_firing_for ended.
	byDeadline
	// byRetry: it could not be evaluated when it should have been.
	byRetry
)

// pace says how fast a rule follows arrivals. All in milliseconds.
type pace struct {
	// settle is how long it waits for inputs that have not come yet.
	settle int64
	// spacing is the least time from one evaluation to the next; 0 is none.
	spacing int64
}

// touch is one reason to evaluate a rule.
type touch struct {
	why trigger
	// at is the newest timestamp of the samples that came, 0 where none did.
	at int64
	// changed says that there is something to see. A touch without does not begin to wait, but may end it.
	changed bool
	// complete says that all inputs have come as far as what the rule waits for: waiting.bar.
	complete bool
}

// waiting is what one rule has still to be evaluated for. The zero value is nothing. Times are in milliseconds.
type waiting struct {
	// since is when the first of it came, 0 while there is nothing.
	since int64
	// at is the timestamp of the first samples, 0 while there are none.
	at       int64
	why      trigger
	complete bool
	// hold is the time before which the rule must not be evaluated again.
	hold int64
}

// decision is what to do about a rule.
type decision struct {
	// evaluate says to do it now, for the reasons why, of which the first came at since.
	evaluate bool
	why      trigger
	since    int64
	// wake is when to call due; 0 means never.
	wake int64
	// joined says that the rule was waiting already and still is.
	joined bool
	// settled and timedOut say how a wait for inputs ended: they came, or they did not.
	settled, timedOut bool
}

// bar returns the timestamp that all inputs should have come to before the rule is evaluated for t, 0 for none. Samples
// that come during a wait do not raise it: where inputs have different timestamps, the wait would never end well.
func (w waiting) bar(t touch) int64 {
	if w.at != 0 {
		return w.at
	}
	return t.at
}

// touched says what to do at now when t happened: a rule is evaluated at once where all inputs have come as far as the
// first sample that it was not evaluated for, and otherwise when they have, or pace.settle after that sample came.
func (w waiting) touched(t touch, p pace, now int64) (waiting, decision) {
	first := w.since == 0
	if first && !t.changed {
		return w, decision{}
	}
	if first {
		w.since = now
	}
	w.at = w.bar(t)
	lacking := !first && !w.complete
	w.why |= t.why
	w.complete = t.complete
	w, d := w.decide(p, now)
	d.joined = !first && !d.evaluate
	d.settled = d.evaluate && lacking && t.complete
	return w, d
}

// due says what to do at now, when a wake-up is due.
func (w waiting) due(p pace, now int64) (waiting, decision) {
	if w.since == 0 {
		return w, decision{}
	}
	return w.decide(p, now)
}

func (w waiting) decide(p pace, now int64) (waiting, decision) {
	at := w.hold
	if !w.complete {
		at = max(at, w.since+p.settle)
	}
	if at > now {
		return w, decision{wake: at}
	}
	d := decision{evaluate: true, why: w.why, since: w.since, timedOut: !w.complete && now > w.since}
	w = waiting{}
	if p.spacing > 0 {
		w.hold = now + p.spacing
	}
	return w, d
}

// again puts off an evaluation that was begun: the rule is evaluated at the given time, unless something later is in
// the way.
func (w waiting) again(why trigger, since, at int64) waiting {
	if w.since == 0 || since < w.since {
		w.since = since
	}
	if w.why == 0 {
		w.complete = true
	}
	w.why |= why
	w.hold = max(w.hold, at)
	return w
}

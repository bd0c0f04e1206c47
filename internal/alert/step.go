package alert

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// ResolvedRetention is how long a resolved alert is remembered, and repeated to receivers that may have missed it.
const ResolvedRetention = 15 * time.Minute

// ErrDuplicateLabelSet says that two samples of one result became the same alert. The words are Prometheus's.
var ErrDuplicateLabelSet = errors.New("vector contains metrics with the same labelset after applying alert labels")

// LimitError says that a rule has more active alerts than it may. The words are Prometheus's.
type LimitError struct {
	Limit, Active int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("exceeded limit of %d with %d alerts", e.Limit, e.Active)
}

// Step writes to next the instances that follow from prev when the rule's expression returned in at time now, and
// appends to changes one transition for each instance whose state is another than before, in the order of the
// instances, and behind it a mark for each that began or ceased to be shown as flapping or without data. The transitions
// do not say which rule they are of.
//
// prev and in are only read; next must be another set than prev, and what it held is lost. It holds the new state also
// when there is an error: after ErrDuplicateLabelSet nothing changed, after a *LimitError there are no instances left.
//
// The semantics are those of Prometheus's alerting rules. A few are worth knowing: a resolved alert whose condition
// holds again starts afresh; when the rule's For has grown, a firing alert that is younger falls back to pending; a
// clock that goes backwards is taken at its word.
//
// Where Params say so, there is more to it. A firing alert whose condition does not hold any more stays firing until the
// `clear` expression returns it, and only then keep_firing_for begins; while the condition holds, it does not matter
// whether `clear` does. A series that is gone can neither hold nor clear: OnMissing decides, but for an alert that has
// cleared already, whose keep_firing_for goes on. While an alert is flapping, it is muted and counts as firing for
// whoever is told.
func Step(next, prev *Set, in []Input, p Params, now time.Time, changes []Transition) ([]Transition, error) {
	next.CopyFrom(prev)
	if !next.admit(in, now) {
		next.CopyFrom(prev)
		return changes, ErrDuplicateLabelSet
	}
	active := 0
	before := len(changes)
	unknown := Alert{} // What new ones were.
	for i := range next.instances {
		a, was := &next.instances[i], &unknown
		if i < len(prev.instances) {
			was = &prev.instances[i].Alert
		}
		if a.step(&p, now) {
			active++
		}
		changes = a.tell(changes, was, &p, now)
	}
	if p.Limit > 0 && active > p.Limit {
		next.Reset()
		return prev.appendDropped(changes[:before], LimitExceeded, now), &LimitError{Limit: p.Limit, Active: active}
	}
	next.compact()
	return changes, nil
}

// AppendDropped appends to dst one transition to Inactive for each active instance: what happens when the rule is gone at
// time now.
func (s *Set) AppendDropped(dst []Transition, now time.Time) []Transition {
	return s.appendDropped(dst, RuleGone, now)
}

func (s *Set) appendDropped(dst []Transition, why Reason, now time.Time) []Transition {
	for i := range s.instances {
		a := s.instances[i] // A copy: s stays as it is.
		if a.State != Inactive {
			was := a.Alert
			a.State, a.Flap = Inactive, nil
			dst = append(dst, a.transition(&was, why, now))
		}
	}
	return dst
}

// evidence is what the present input says of an instance.
type evidence struct {
	holds, clears, exists bool
	// value is that of the expression without its comparison or else that of `clear`, NaN where neither is known.
	value float64
}

// admit notes of each instance what in says of it, brings those up to date that the expression returned and adds the new
// ones as pending. It reports false, and leaves s half done, when in holds two equal label sets of the expression.
func (s *Set) admit(in []Input, now time.Time) bool {
	for i := range in {
		hash := in[i].Labels.Hash()
		at := s.find(hash, in[i].Labels)
		if in[i].Says != Holds {
			if at != none {
				s.instances[at].note(&in[i])
			}
			continue
		}
		if at == none {
			at = s.append(instance{hash: hash})
			s.instances[at].start(&in[i], now)
			continue
		}
		a := &s.instances[at]
		switch {
		case a.now.holds:
			return false
		case a.State == Inactive:
			a.start(&in[i], now)
		default:
			a.now.holds, a.Value, a.Annotations = true, in[i].Value, in[i].Annotations
		}
	}
	return true
}

// note takes down what in says of an instance, other than that its condition holds.
func (a *instance) note(in *Input) {
	if !a.now.clears && !a.now.exists {
		a.now.value = math.NaN()
	}
	switch in.Says {
	case Clears:
		a.now.clears = true
		if math.IsNaN(a.now.value) {
			a.now.value = in.Value
		}
	case Exists:
		a.now.exists = true
		if !math.IsNaN(in.Value) {
			a.now.value = in.Value
		}
	default:
		panic("BUG: unknown input")
	}
}

// start makes a the alert that in begins at now. What is recorded of it keeps its labels, and what flaps goes on.
func (a *instance) start(in *Input, now time.Time) {
	a.now.holds = true
	was := a.Alert
	a.Alert = Alert{
		State:       Pending,
		Reason:      Condition,
		Labels:      in.Labels,
		Annotations: in.Annotations,
		Value:       in.Value,
		ActiveAt:    now,
		Flap:        was.Flap,
	}
	switch {
	case was.Flapping():
		a.LastSentAt, a.ValidUntil = was.LastSentAt, was.ValidUntil
	case was.Flap.kept():
		a.Flap = &Flap{Changes: was.Flap.Changes}
	}
}

// step moves a to time now, marks it when it is to be forgotten, and reports whether it is active.
func (a *instance) step(p *Params, now time.Time) bool {
	e := a.now
	a.now = evidence{}
	if a.State == Inactive {
		a.age(p, now)
		return false
	}
	basis, why := a.basis(&e, p, now)
	if why != NoReason {
		a.end(&e, why, p, now)
		return false
	}
	a.Basis = basis
	if basis.frozen() {
		return true
	}
	age := now.Sub(a.ActiveAt)
	switch {
	case a.State == Pending && age >= p.For:
		a.State, a.Reason, a.FiredAt = Firing, ForElapsed, now
	case a.State == Firing && age < p.For:
		a.State, a.Reason = Pending, ForGrew
		a.FiredAt, a.KeepFiringSince = time.Time{}, time.Time{}
		if !a.Flapping() {
			a.LastSentAt = time.Time{}
		}
	}
	return true
}

// basis returns what a, which is active, stands on, or why it ends.
func (a *instance) basis(e *evidence, p *Params, now time.Time) (Basis, Reason) {
	gone := p.Presence && !e.holds && !e.clears && !e.exists
	switch {
	case !gone:
		a.MissingSince = time.Time{}
	case a.MissingSince.IsZero():
		a.MissingSince = now
	}
	switch {
	case e.holds:
		a.KeepFiringSince = time.Time{}
		return OnCondition, NoReason
	case gone && a.KeepFiringSince.IsZero() && p.OnMissing == MissingIsNoData:
		return OnNoData, NoReason
	case gone && a.KeepFiringSince.IsZero() && p.OnMissing == MissingFires:
		return OnFire, NoReason
	case gone && a.KeepFiringSince.IsZero() && p.OnMissing == MissingHolds,
		p.Settling && !e.clears && !e.exists:
		return OnHold, NoReason
	case a.State == Firing && p.Hysteresis && !gone && !e.clears:
		a.KeepFiringSince = time.Time{}
		return OnHysteresis, NoReason
	case a.holdsOn(p, now):
		return OnKeepFiring, NoReason
	case !a.KeepFiringSince.IsZero():
		return 0, KeepFiringEnded
	case gone:
		return 0, SeriesMissing
	case a.State == Firing && e.clears:
		return 0, HysteresisCleared
	}
	return 0, Cleared
}

// holdsOn reports whether a fires on although its condition cleared.
func (a *instance) holdsOn(p *Params, now time.Time) bool {
	if a.State != Firing || p.KeepFiringFor <= 0 {
		return false
	}
	if a.KeepFiringSince.IsZero() {
		a.KeepFiringSince = now
	}
	return now.Sub(a.KeepFiringSince) < p.KeepFiringFor
}

// end makes a inactive, or forgets it where it had been pending and nothing else is to be remembered.
func (a *instance) end(e *evidence, why Reason, p *Params, now time.Time) {
	if a.State == Pending && !a.Flapping() {
		if a.drop = !a.Flap.live(p.Flap, now); !a.drop {
			a.keep()
		}
	}
	a.State, a.Basis, a.Reason, a.ResolvedAt, a.MissingSince = Inactive, 0, why, now, time.Time{}
	if (e.clears || e.exists) && !math.IsNaN(e.value) {
		a.Clearing = Reading{Value: e.value, Known: true}
	}
}

// age forgets a, which is inactive, when nobody has to be told of it any more and flap detection does not need it.
func (a *instance) age(p *Params, now time.Time) {
	over := a.Flap.kept() || now.Sub(a.ResolvedAt) > ResolvedRetention && !now.Before(p.Remember)
	switch {
	case !over || a.Flapping():
	case !a.Flap.live(p.Flap, now):
		a.drop = true
	case !a.Flap.Kept:
		a.keep()
	}
}

// tell appends what became of a, which was was, at a step.
func (a *instance) tell(changes []Transition, was *Alert, p *Params, now time.Time) []Transition {
	changed := a.State != was.State
	mark := a.flap(p.Flap, changed && (a.State == Firing || was.State == Firing), now)
	switch {
	case changed:
		if was.State == Inactive {
			a.Reason = Condition // Also where it fires at once.
		}
		changes = append(changes, a.transition(was, a.Reason, now))
	case a.NoData() && !was.NoData():
		changes = append(changes, a.transition(&a.Alert, NoData, now))
	case was.NoData() && !a.NoData():
		changes = append(changes, a.transition(&a.Alert, DataBack, now))
	}
	if mark != NoReason {
		changes = append(changes, a.transition(&a.Alert, mark, now))
	}
	return changes
}

// transition returns the one from what the instance was to what it is now.
func (a *instance) transition(was *Alert, why Reason, now time.Time) Transition {
	t := Transition{
		From:        was.State,
		To:          a.State,
		Labels:      a.Labels,
		Annotations: a.Annotations,
		Value:       a.Value,
		ActiveAt:    a.ActiveAt,
		At:          now,
		Reason:      why,
		Flapping:    a.Flapping(),
	}
	if was.State == Firing && !was.FiredAt.IsZero() {
		t.Duration = max(0, now.Sub(was.FiredAt))
	}
	if a.State == Inactive {
		t.Clearing = a.Clearing
	}
	return t
}

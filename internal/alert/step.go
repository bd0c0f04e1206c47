package alert

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
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

// Params is what Step must know of the rule.
type Params struct {
	// For is how long the condition holds before a pending alert fires.
	For time.Duration
	// KeepFiringFor is how long an alert fires on after its condition cleared.
	KeepFiringFor time.Duration
	// Limit on active alerts; zero means none.
	Limit int
}

// Input is one sample of the expression's result, as the alert that it makes: labels and annotations are expanded,
// alertname is among the labels and __name__ is not.
type Input struct {
	Labels, Annotations labels.Labels
	Value               float64
}

// Step writes to next the instances that follow from prev when the rule's expression returned in at time now, and
// appends to changes one transition for each instance whose state is another than before, in the order of the
// instances. The transitions do not say which rule they are of.
//
// prev and in are only read; next must be another set than prev, and what it held is lost. It holds the new state also
// when there is an error: after ErrDuplicateLabelSet nothing changed, after a *LimitError there are no instances left.
//
// The semantics are those of Prometheus's alerting rules. A few are worth knowing: a resolved alert whose condition
// holds again starts afresh; when the rule's For has grown, a firing alert that is younger falls back to pending; a
// clock that goes backwards is taken at its word.
func Step(next, prev *Set, in []Input, p Params, now time.Time, changes []Transition) ([]Transition, error) {
	next.CopyFrom(prev)
	if !next.admit(in, now) {
		next.CopyFrom(prev)
		return changes, ErrDuplicateLabelSet
	}
	active := 0
	before := len(changes)
	for i := range next.instances {
		a := &next.instances[i]
		from := Inactive
		if i < len(prev.instances) {
			from = prev.instances[i].State
		}
		if a.step(p, now) {
			active++
		}
		if a.State != from {
			changes = append(changes, a.transition(from, now))
		}
	}
	if p.Limit > 0 && active > p.Limit {
		next.Reset()
		return prev.AppendDropped(changes[:before], now), &LimitError{Limit: p.Limit, Active: active}
	}
	next.compact()
	return changes, nil
}

// AppendDropped appends to dst one transition to Inactive for each active instance: what happens when all of them cease
// to be watched at time now.
func (s *Set) AppendDropped(dst []Transition, now time.Time) []Transition {
	for i := range s.instances {
		a := s.instances[i] // A copy: s stays as it is.
		if from := a.State; from != Inactive {
			a.State = Inactive
			dst = append(dst, a.transition(from, now))
		}
	}
	return dst
}

// admit marks the instances that in holds as seen, brings them up to date and adds the new ones as pending. It reports
// false, and leaves s half done, when in holds two equal label sets.
func (s *Set) admit(in []Input, now time.Time) bool {
	for i := range in {
		hash := in[i].Labels.Hash()
		at := s.find(hash, in[i].Labels)
		if at == none {
			at = s.append(instance{hash: hash})
			s.instances[at].start(&in[i], now)
			continue
		}
		a := &s.instances[at]
		switch {
		case a.seen:
			return false
		case a.State == Inactive:
			a.start(&in[i], now)
		default:
			a.seen, a.Value, a.Annotations = true, in[i].Value, in[i].Annotations
		}
	}
	return true
}

// start makes a the alert that in begins at now. What is recorded of it keeps its labels.
func (a *instance) start(in *Input, now time.Time) {
	a.seen = true
	a.Alert = Alert{
		State:       Pending,
		Labels:      in.Labels,
		Annotations: in.Annotations,
		Value:       in.Value,
		ActiveAt:    now,
	}
}

// step moves a to time now, marks it when it is to be forgotten, and reports whether it is active.
func (a *instance) step(p Params, now time.Time) bool {
	seen := a.seen
	a.seen = false
	switch {
	case seen:
		a.KeepFiringSince = time.Time{}
	case !a.holdsOn(p, now):
		a.clear(now)
		return false
	}
	age := now.Sub(a.ActiveAt)
	switch {
	case a.State == Pending && age >= p.For:
		a.State, a.FiredAt = Firing, now
	case a.State == Firing && age < p.For:
		a.State = Pending
		a.FiredAt, a.LastSentAt, a.KeepFiringSince = time.Time{}, time.Time{}, time.Time{}
	}
	return true
}

// clear ends a, or forgets it: at once when it was pending, after the retention when it had fired.
func (a *instance) clear(now time.Time) {
	switch a.State {
	case Inactive:
		a.drop = now.Sub(a.ResolvedAt) > ResolvedRetention
		return
	case Pending:
		a.drop = true
	}
	a.State, a.ResolvedAt = Inactive, now
}

// holdsOn reports whether a fires on although its condition cleared.
func (a *instance) holdsOn(p Params, now time.Time) bool {
	if a.State != Firing || p.KeepFiringFor <= 0 {
		return false
	}
	if a.KeepFiringSince.IsZero() {
		a.KeepFiringSince = now
	}
	return now.Sub(a.KeepFiringSince) < p.KeepFiringFor
}

func (a *instance) transition(from State, now time.Time) Transition {
	return Transition{
		From:        from,
		To:          a.State,
		Labels:      a.Labels,
		Annotations: a.Annotations,
		Value:       a.Value,
		ActiveAt:    a.ActiveAt,
		At:          now,
	}
}

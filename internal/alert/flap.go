package alert

import (
	"slices"
	"time"
)

// MaxFlapTransitions bounds FlapParams.Transitions, and thereby what an instance keeps.
const MaxFlapTransitions = 100

// FlapParams says when an instance counts as flapping: when it began to fire or ceased to more often than Transitions
// within Within. Zero Transitions switches the detection off; more than MaxFlapTransitions count as that many.
type FlapParams struct {
	Transitions int
	Within      time.Duration
}

func (p FlapParams) transitions() int { return min(p.Transitions, MaxFlapTransitions) }

// Flap is what flap detection knows of one instance. It is immutable: sets share it.
type Flap struct {
	// Changes are the evaluation times at which the instance began to fire or ceased to, the oldest first, at most one
	// more than FlapParams.Transitions.
	Changes []time.Time
	// Since is since when it is flapping; zero while it is not.
	Since time.Time
	// Kept says that the instance is over and kept for Changes alone: nobody is to be told of it any more.
	Kept bool
}

// live reports whether some change is still within the span.
func (f *Flap) live(p FlapParams, now time.Time) bool {
	return f != nil && p.Transitions > 0 && len(f.Changes) > 0 && now.Sub(f.Changes[len(f.Changes)-1]) < p.Within
}

func (f *Flap) kept() bool { return f != nil && f.Kept }

// noted returns f with a change at now.
func (f *Flap) noted(p FlapParams, now time.Time) *Flap {
	out := &Flap{}
	if f != nil {
		out.Since = f.Since
		for _, at := range f.Changes {
			if now.Sub(at) < p.Within {
				out.Changes = append(out.Changes, at)
			}
		}
	}
	out.Changes = append(out.Changes, now)
	if over := len(out.Changes) - p.transitions() - 1; over > 0 {
		out.Changes = slices.Clone(out.Changes[over:])
	}
	return out
}

// keep marks the instance, which is over, as one that is kept for its changes.
func (a *instance) keep() { a.Flap = &Flap{Changes: a.Flap.Changes, Kept: true} }

// flap brings flap detection up to now, after the state. changed says that the instance began to fire or ceased to. It
// returns the mark to make, if any.
//
// An instance begins to flap when it begins to fire, so that people are told of it as of an alert that fires. It does so
// no longer when it has not changed for the whole span; a pending one may be about to change.
func (a *instance) flap(p FlapParams, changed bool, now time.Time) Reason {
	switch {
	case p.Transitions <= 0:
		return a.forgetFlap(now)
	case changed:
		a.Flap = a.Flap.noted(p, now)
		if a.State == Firing && !a.Flapping() && len(a.Flap.Changes) > p.transitions() {
			a.Flap.Since = now // Nobody else has seen it yet.
			return BeganFlapping
		}
	case a.Flapping() && a.State != Pending && !a.Flap.live(p, now):
		a.calm(now)
		return Calm
	}
	return NoReason
}

// forgetFlap is flap without detection.
func (a *instance) forgetFlap(now time.Time) Reason {
	switch {
	case a.Flap == nil, a.Flapping() && a.State == Pending: // The latter would never be told to have ended.
	case a.Flapping():
		a.calm(now)
		return Calm
	default:
		a.Flap = nil // One that is kept for it is dropped.
	}
	return NoReason
}

// calm ends the flapping of a. To people it fired all the time: where it does not by now, it ends for them now.
func (a *instance) calm(now time.Time) {
	if a.State == Inactive {
		a.FiredAt, a.ResolvedAt = a.Flap.Since, now
	}
	a.Flap = nil
}

package alert

import "time"

// SendParams decides when an alert is repeated and how long its word holds.
type SendParams struct {
	// ResendDelay is the least time between two sends of an unchanged alert.
	ResendDelay time.Duration
	// Interval between evaluations.
	Interval time.Duration
}

// NeedsSending reports whether a is due at now: when it resolved or lost its data since it was last sent, or was not sent
// for longer than the delay. Pending alerts never are, unless they are flapping: those count as firing. One that is kept
// for flap detection alone never is.
func NeedsSending(a *Alert, p SendParams, now time.Time) bool {
	switch {
	case a.Flap.kept():
		return false
	case a.Flapping():
	case a.State == Pending:
		return false
	case a.ResolvedAt.After(a.LastSentAt):
		return true
	case a.NoData() && a.MissingSince.After(a.LastSentAt):
		return true
	}
	return a.LastSentAt.Add(p.ResendDelay).Before(now)
}

// ValidUntil returns until when an alert that is sent at now holds without being repeated: long enough for a few
// evaluations or sends to fail.
func ValidUntil(p SendParams, now time.Time) time.Time {
	return now.Add(4 * max(p.Interval, p.ResendDelay))
}

// AppendDue appends what is due at now to dst, without a generator URL, and notes in s that it was sent.
func (s *Set) AppendDue(dst []Outgoing, p SendParams, now time.Time) []Outgoing {
	for i := range s.instances {
		a := &s.instances[i].Alert
		if !NeedsSending(a, p, now) {
			continue
		}
		a.LastSentAt = now
		a.ValidUntil = ValidUntil(p, now)
		dst = append(dst, a.outgoing())
	}
	return dst
}

// AppendEnded appends, for each firing alert that was sent, the word that it ended at now: what receivers are told when
// the rule is gone. s stays as it is.
func (s *Set) AppendEnded(dst []Outgoing, now time.Time) []Outgoing {
	for i := range s.instances {
		a := s.instances[i].Alert // A copy.
		if a.State != Firing && !a.Flapping() || a.LastSentAt.IsZero() {
			continue
		}
		if a.Flapping() {
			a.FiredAt = a.Flap.Since
		}
		a.State, a.Flap, a.Basis, a.Reason, a.ResolvedAt = Inactive, nil, 0, RuleGone, now
		a.Clearing = Reading{}
		dst = append(dst, a.outgoing())
	}
	return dst
}

// Retire ends all instances at now because the rule is gone, and forgets those of which nobody has heard. What is left are
// resolved ones, those that were so before included. See AppendDropped for the transitions.
func (s *Set) Retire(now time.Time) {
	for i := range s.instances {
		a := &s.instances[i]
		switch {
		case a.Flap.kept(), a.State == Pending && !a.Flapping():
			a.drop = true
			continue
		case a.Flapping():
			a.FiredAt = a.Flap.Since
		case a.State == Inactive:
			continue
		}
		a.State, a.Basis, a.Reason, a.ResolvedAt, a.MissingSince = Inactive, 0, RuleGone, now, time.Time{}
		a.Flap, a.Clearing = nil, Reading{}
	}
	s.compact()
}

// Inherit adds an alert that Retire left, unless s has one with its labels.
func (s *Set) Inherit(a Alert) {
	if hash := a.Labels.Hash(); s.find(hash, a.Labels) == none {
		s.append(instance{Alert: a, hash: hash})
	}
}

func (a *Alert) outgoing() Outgoing {
	out := Outgoing{
		Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.FiredAt, EndsAt: a.ValidUntil,
		Reason: a.Reason, NoData: a.NoData(), Flapping: a.Flapping(),
	}
	switch {
	case out.Flapping:
		out.StartsAt = a.Flap.Since
	case !a.ResolvedAt.IsZero():
		out.EndsAt, out.Clearing = a.ResolvedAt, a.Clearing
		out.Duration = max(0, a.ResolvedAt.Sub(a.FiredAt))
	}
	return out
}

package alert

import "time"

// SendParams decides when an alert is repeated and how long its word holds.
type SendParams struct {
	// ResendDelay is the least time between two sends of an unchanged alert.
	ResendDelay time.Duration
	// Interval between evaluations.
	Interval time.Duration
}

// NeedsSending reports whether a is due at now: when it resolved since it was last sent, or was not sent for longer
// than the delay. Pending alerts never are.
func NeedsSending(a *Alert, p SendParams, now time.Time) bool {
	switch {
	case a.State == Pending:
		return false
	case a.ResolvedAt.After(a.LastSentAt):
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
		if a.State != Firing || a.LastSentAt.IsZero() {
			continue
		}
		a.ResolvedAt = now
		dst = append(dst, a.outgoing())
	}
	return dst
}

func (a *Alert) outgoing() Outgoing {
	out := Outgoing{Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.FiredAt, EndsAt: a.ValidUntil}
	if !a.ResolvedAt.IsZero() {
		out.EndsAt = a.ResolvedAt
	}
	return out
}

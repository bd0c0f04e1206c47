package alert

import (
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// Snapshot appends all instances to dst, the resolved ones included, in their order: all that Step knows. What is
// appended shares no memory with s that changes.
func (s *Set) Snapshot(dst []Alert) []Alert {
	for i := range s.instances {
		dst = append(dst, s.instances[i].Alert)
	}
	return dst
}

// Resume makes s what a snapshot was taken of, so that Step and AppendDue go on as if nothing had happened in between:
// pending alerts keep their time, firing ones are not told of again before their time, resolved ones that may not have
// been told of are, keep_firing_for and flap detection go on. Times of the same moment may be in other zones.
//
// A snapshot that no set can have had is refused, and s is empty then. It takes time for series to be back after a
// restart: see Params.Settling.
func (s *Set) Resume(all []Alert) error {
	s.Reset()
	for i := range all {
		a := instance{Alert: all[i], hash: all[i].Labels.Hash()}
		if err := s.plausible(&a); err != nil {
			s.Reset()
			return fmt.Errorf("alert %s: %w", all[i].Labels, err)
		}
		if a.Flap != nil {
			a.Flap = &Flap{Changes: slices.Clone(a.Flap.Changes), Since: a.Flap.Since, Kept: a.Flap.Kept}
		}
		s.append(a)
	}
	return nil
}

// plausible says what is wrong with a, which is not in s yet.
func (s *Set) plausible(a *instance) error {
	switch {
	case a.State < Inactive || a.State > Firing:
		return fmt.Errorf("state %d is none", a.State)
	case a.Basis > OnNoData:
		return fmt.Errorf("basis %d is none", a.Basis)
	case a.Reason > DataBack:
		return fmt.Errorf("reason %d is none", a.Reason)
	case (a.State == Inactive) == a.ResolvedAt.IsZero():
		return fmt.Errorf("it is %s and the time of its end is %s", a.State, a.ResolvedAt)
	case a.State == Firing && a.FiredAt.IsZero():
		return fmt.Errorf("it is firing, and no time says since when")
	case a.Flapping() && len(a.Flap.Changes) == 0:
		return fmt.Errorf("it is flapping without any change")
	case a.Flap.kept() && (a.State != Inactive || a.Flapping()):
		return fmt.Errorf("it is %s and kept for flap detection alone", a.State)
	case s.find(a.hash, a.Labels) != none:
		return fmt.Errorf("it stands there twice")
	}
	return nil
}

// Compare says how a durable copy of prev becomes one of next, which Step wrote from prev: changed gets the instances
// that are new or of which more than value, annotations and the time of a repetition changed, gone the labels of those that are no more. Call it
// after AppendDue, which changes instances, too. Nothing is allocated where nothing changed.
func Compare(next, prev *Set, changed []Alert, gone []labels.Labels) ([]Alert, []labels.Labels) {
	at := 0 // Step keeps the order and puts new instances behind.
	for i := range prev.instances {
		was := &prev.instances[i]
		if at >= len(next.instances) || next.instances[at].hash != was.hash || !labels.Equal(next.instances[at].Labels, was.Labels) {
			gone = append(gone, was.Labels)
			continue
		}
		if !next.instances[at].sameAs(&was.Alert) {
			changed = append(changed, next.instances[at].Alert)
		}
		at++
	}
	for ; at < len(next.instances); at++ {
		changed = append(changed, next.instances[at].Alert)
	}
	return changed, gone
}

// word is what of an alert's sending a restart must know. When exactly it was last repeated is none of that: after a restart
// all is repeated at once.
type word struct{ sent, ended, missing bool }

func (a *Alert) word() word {
	return word{
		sent:    !a.LastSentAt.IsZero(),
		ended:   !a.ResolvedAt.After(a.LastSentAt),
		missing: !a.MissingSince.After(a.LastSentAt),
	}
}

// sameAs reports whether a restart would make no difference between a and b, instances of the same labels.
func (a *Alert) sameAs(b *Alert) bool {
	return a.State == b.State && a.Basis == b.Basis && a.Reason == b.Reason && a.Clearing == b.Clearing && a.Flap == b.Flap &&
		a.ActiveAt.Equal(b.ActiveAt) && a.FiredAt.Equal(b.FiredAt) && a.ResolvedAt.Equal(b.ResolvedAt) &&
		a.word() == b.word() &&
		a.KeepFiringSince.Equal(b.KeepFiringSince) && a.MissingSince.Equal(b.MissingSince)
}

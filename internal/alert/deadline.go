package alert

import "time"

// Deadline returns the earliest time at which Step would change an instance for no other reason than the time: the `for`
// of a pending one, or the keep_firing_for of one whose condition has cleared, ends, or one that flapped is calm. It may
// be past; it is false where nothing is to end.
func (s *Set) Deadline(p Params) (at time.Time, ok bool) {
	sooner := func(due time.Time) {
		if !ok || due.Before(at) {
			at, ok = due, true
		}
	}
	for i := range s.instances {
		a := &s.instances[i]
		switch {
		case a.State == Pending && !a.Basis.frozen():
			sooner(a.ActiveAt.Add(p.For))
		case a.State == Firing && a.Basis == OnKeepFiring:
			sooner(a.KeepFiringSince.Add(p.KeepFiringFor))
		}
		if a.Flapping() && a.State != Pending && p.Flap.Transitions > 0 {
			sooner(a.Flap.Changes[len(a.Flap.Changes)-1].Add(p.Flap.Within))
		}
	}
	return at, ok
}

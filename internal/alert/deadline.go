package alert

import "time"

// Deadline returns the earliest time at which Step would change the state of an instance for no other reason than the
// time: the `for` of a pending one, or the keep_firing_for of one whose condition has cleared, ends. It may be past; it
// is false where nothing is to end.
func (s *Set) Deadline(p Params) (at time.Time, ok bool) {
	for i := range s.instances {
		a := &s.instances[i]
		var due time.Time
		switch {
		case a.State == Pending:
			due = a.ActiveAt.Add(p.For)
		case a.State == Firing && !a.KeepFiringSince.IsZero():
			due = a.KeepFiringSince.Add(p.KeepFiringFor)
		default:
			continue
		}
		if !ok || due.Before(at) {
			at, ok = due, true
		}
	}
	return at, ok
}

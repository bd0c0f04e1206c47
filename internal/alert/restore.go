package alert

import (
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Remembered is what history knows of an alert from before a restart: its last ALERTS_FOR_STATE sample.
type Remembered struct {
	// At is the sample's time: when the alert was last known to be active.
	At time.Time
	// ActiveAt is the sample's value: since when it was active then.
	ActiveAt time.Time
}

// RestoredActiveAt returns the time that an alert which is active again at now, after an outage, counts from. hold is
// the rule's `for`, grace the least time to leave before it fires.
//
// An alert that had been firing keeps its time and fires again at the next evaluation; one that was nearly through waits
// for the grace period; the time of the outage does not count towards the `for` of any other.
func RestoredActiveAt(r Remembered, hold, grace time.Duration, now time.Time) time.Time {
	remaining := hold - r.At.Sub(r.ActiveAt)
	switch {
	case remaining <= 0:
		return r.ActiveAt
	case remaining < grace:
		return now.Add(grace).Add(-hold)
	}
	return r.ActiveAt.Add(now.Sub(r.At))
}

// Restore sets the time from which the instance with these labels counts, and reports whether there is one.
func (s *Set) Restore(ls labels.Labels, r Remembered, hold, grace time.Duration, now time.Time) bool {
	at := s.find(ls.Hash(), ls)
	if at == none {
		return false
	}
	s.instances[at].ActiveAt = RestoredActiveAt(r, hold, grace, now)
	return true
}

// IsTemplate reports whether text has to be expanded. Other text expands to itself.
func IsTemplate(text string) bool { return strings.Contains(text, "{{") }

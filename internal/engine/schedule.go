package engine

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Schedule says when a group is due. Evaluation times ("slots") are the multiples of the interval since the epoch,
// moved by an offset that is a hash of the group's file and name: groups spread over the interval, and each keeps its
// slots over restarts. They are the slots that Prometheus uses for a group of that file and name.
type Schedule struct {
	// Interval between slots; positive.
	Interval time.Duration
	// Offset of the slots within the interval, from 0 to less than it.
	Offset time.Duration
}

// NewSchedule returns the slots of a group. The interval must be positive.
func NewSchedule(file, name string, interval time.Duration) Schedule {
	hash := labels.FromStrings("file", file, "name", name).Hash()
	return Schedule{Interval: interval, Offset: time.Duration(hash % uint64(interval))}
}

// Slot returns the latest slot that is not after now.
func (s Schedule) Slot(now time.Time) time.Time {
	shifted := now.UnixNano() - int64(s.Offset)
	return time.Unix(0, shifted-shifted%int64(s.Interval)+int64(s.Offset)).UTC()
}

// First returns the slot to begin with at now: the next one, never the present.
func (s Schedule) First(now time.Time) time.Time { return s.Slot(now).Add(s.Interval) }

// Decision is what to do about a group.
type Decision struct {
	// Due is the slot that is, or will be, evaluated.
	Due time.Time
	// Wait is how long until then; zero means now. Ask again afterwards: the clock may have been set in between.
	Wait time.Duration
	// Missed is how many slots before Due went by unused because an evaluation took too long.
	Missed int
}

// Decide says what to do at now when due is the first slot that was not evaluated yet. Slots that went by are skipped,
// all but the latest. When the clock was set back, the slots of the new time count.
func (s Schedule) Decide(due, now time.Time) Decision {
	late := now.Sub(due)
	switch {
	case late < -s.Interval:
		due = s.First(now)
		return Decision{Due: due, Wait: due.Sub(now)}
	case late < 0:
		return Decision{Due: due, Wait: -late}
	}
	missed := late / s.Interval
	return Decision{Due: due.Add(missed * s.Interval), Missed: int(missed)}
}

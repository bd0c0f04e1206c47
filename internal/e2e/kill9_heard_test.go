package e2e_test

import (
	"time"

	"github.com/tocsin/tocsin/internal/alert"
)

// episode is one time that an alert fired.
type episode struct {
	fired, ended time.Time // ended is zero while it is not over
	firing       []heard
	resolved     []heard
}

func (e *episode) until() time.Time {
	if e.ended.IsZero() {
		return time.Unix(1<<40, 0)
	}
	return e.ended
}

// episodes returns the times that the alert fired, by the ledger, with what was heard of each.
func (s *suspect) episodes() []*episode {
	var all []*episode
	for _, e := range s.entries {
		switch {
		case e.To == alert.Firing:
			all = append(all, &episode{fired: e.At})
		case e.Resolved() && len(all) > 0:
			all[len(all)-1].ended = e.At
		}
	}
	for _, h := range s.heard {
		for _, e := range all {
			switch {
			case !h.starts.Equal(e.fired):
			case h.status == "firing":
				e.firing = append(e.firing, h)
			default:
				e.resolved = append(e.resolved, h)
			}
		}
	}
	return all
}

// heardIsTrue checks that each message says what the ledger says, and came after it.
func (j *judge) heardIsTrue(s *suspect) {
	all := s.episodes()
	for _, h := range s.heard {
		var of *episode
		for _, e := range all {
			if h.starts.Equal(e.fired) {
				of = e
			}
		}
		switch {
		case of == nil:
			j.blame(s, h.at, "the receiver heard %s of an alert that fired at %s: the ledger knows of no such time", h.status, clock(h.starts))
		case h.at.Before(of.fired):
			j.blame(s, h.at, "the receiver heard %s before the time at which it fired", h.status)
		case h.status == "resolved" && (of.ended.IsZero() || !h.ends.Equal(of.ended)):
			j.blame(s, h.at, "the receiver heard that it resolved at %s: the ledger says %s", clock(h.ends), clock(of.ended))
		}
	}
	for _, e := range all {
		if len(e.firing) > 0 && len(e.resolved) > 0 && e.resolved[0].at.Before(e.firing[0].at) {
			j.blame(s, e.resolved[0].at, "the receiver heard of the end before the beginning")
		}
	}
}

// heardOnce counts what was heard again, and checks that each repetition has a kill to show for it.
func (j *judge) heardOnce(s *suspect) {
	for _, e := range s.episodes() {
		if len(e.firing)+len(e.resolved) > 0 {
			j.told++
		}
		for i := 1; i < len(e.firing); i++ {
			j.repeated++
			if before, again := e.firing[i-1], e.firing[i]; !j.killedSoonAfter(before.at, again.at) {
				j.blame(s, again.at, "the receiver heard again that it fires, as at %s: no kill explains that", clock(before.at))
			}
		}
		for i := 1; i < len(e.resolved); i++ {
			j.repeatedResolved++
			if before, again := e.resolved[i-1], e.resolved[i]; !j.killedSoonAfter(before.at, again.at) {
				j.blame(s, again.at, "the receiver heard again that it resolved, as at %s: no kill explains that", clock(before.at))
			}
		}
	}
}

// killedSoonAfter reports whether a process was killed in the moments after a message, and before it was repeated.
func (j *judge) killedSoonAfter(message, again time.Time) bool {
	for _, l := range j.lives {
		if gone := l.ended.Add(100 * time.Millisecond); gone.After(message) && l.ended.Before(again) && l.ended.Sub(message) < doubtful {
			return true
		}
	}
	return false
}

// allIsHeard checks that what was due to be told was told.
func (j *judge) allIsHeard(s *suspect) {
	all := s.episodes()
	open := false // whether the last word that was heard is that it fires
	for i, e := range all {
		if len(e.firing) == 0 && !open && j.hadTime(s, e.fired, e.until()) {
			j.blame(s, e.fired, "it fired until %s, and the receiver never heard of it", clock(e.until()))
		}
		open = open || len(e.firing) > 0
		next := time.Unix(1<<40, 0)
		if i+1 < len(all) {
			next = all[i+1].fired
		}
		if len(e.resolved) > 0 {
			open = false
		} else if open && !e.ended.IsZero() && j.hadTime(s, e.ended, next) {
			j.blame(s, e.ended, "it was over until %s, and the receiver, which had heard that it fires, never heard that", clock(next))
		}
	}
}

// hadTime reports whether a process had time between two moments to tell of the first: it lived that long, and told of
// something that happened later to another alert.
func (j *judge) hadTime(s *suspect, from, to time.Time) bool {
	for _, l := range j.lives {
		if l.ready.IsZero() {
			continue
		}
		since, until := maxTime(from, l.ready), minTime(to, l.ended)
		if until.Sub(since) >= tellTime && j.toldOfAnother(s, since.Add(tellTime/2), until) {
			return true
		}
	}
	return false
}

// toldOfAnother reports whether something that happened to another alert after since was told before until.
func (j *judge) toldOfAnother(s *suspect, since, until time.Time) bool {
	for _, other := range j.alerts {
		if other == s {
			continue
		}
		for _, h := range other.heard {
			happened := h.starts
			if h.status == "resolved" {
				happened = h.ends
			}
			if happened.After(since) && h.at.Before(until) {
				return true
			}
		}
	}
	return false
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

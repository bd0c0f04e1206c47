package window

import (
	"math"
	"slices"
)

// A series is scheduled for the earliest time at which something happens to it though no sample comes: its newest sample
// passes a horizon, one that came early falls due, nobody can see it any more. Samples come far more often than that, and
// they do not touch the schedule: when the time comes, what has arrived since says when it really is. A series that has
// passed a horizon is flagged, since its next sample's first horizon may come before the time it is scheduled for.

const (
	// foresight is how many milliseconds early the schedule is looked at, so that the many series whose time has moved
	// do not wake the owner one by one.
	foresight = 1000
	// sweepInterval is how often references that are not used any more are forgotten, in milliseconds.
	sweepInterval = 30 * 60 * 1000
)

// Expire does what falls due up to now: it marks the words of series that go out of sight of a user, or of samples that
// come into it because they were early, and evicts the series that are out of sight of all users at any time not more
// than Slack ago.
func (s *Store) Expire(now int64) {
	s.now = max(s.now, now)
	s.wheel.Advance(plus(s.now, foresight), s.fired)
	for len(s.soon) > 0 && s.soon[0].at <= s.now {
		e := s.soon.pop()
		if s.series[e.id].flags&flagLive != 0 {
			s.lapse(e.id, e.at)
		}
	}
	if s.now >= s.sweepAt {
		s.refs.sweep()
		s.sweepAt = plus(s.now, sweepInterval)
	}
}

// NextExpiry returns the earliest time at which Expire may have something to do, 0 if never. It may be early, by no more
// than makes a call a second.
func (s *Store) NextExpiry() int64 {
	at, ok := s.wheel.Next()
	for len(s.soon) > 0 {
		e := s.soon[0]
		if e.at > s.now {
			// Samples may have come since.
			if s.series[e.id].flags&flagLive == 0 {
				s.soon.pop()
				continue
			}
			if next, _ := s.next(e.id); next != e.at {
				s.soon.pop()
				s.arm(e.id)
				continue
			}
		}
		if !ok || e.at < at {
			at, ok = e.at, true
		}
		break
	}
	switch {
	case !ok:
		return 0
	case at == 0:
		return -1
	}
	return at
}

// fire is what the wheel calls.
func (s *Store) fire(id uint32) {
	if at := s.wheel.Due(id); at <= s.now {
		s.lapse(ID(id), at)
		return
	}
	s.arm(ID(id))
}

// arm schedules a series.
func (s *Store) arm(id ID) {
	at, lapsed := s.next(id)
	r := &s.series[id]
	r.flags &^= flagLapsed
	if lapsed {
		r.flags |= flagLapsed
	}
	if at <= s.wheel.Now() {
		s.soon.push(event{at, id})
		return
	}
	s.wheel.Schedule(uint32(id), at)
}

// next returns when a series' next event is, and whether a sample that comes may have an earlier one.
func (s *Store) next(id ID) (at int64, lapsed bool) {
	hist := s.Histograms(id)
	lapsed = s.newest(id) == math.MinInt64
	at = math.MaxInt64
	s.each(id, func(x *Selector, _ uint32) {
		for _, v := range x.sights {
			seen, ahead := s.around(id, plus(s.now, v.early))
			if hist > plus(s.now, v.early) {
				ahead = min(ahead, hist)
			} else if hist != math.MinInt64 {
				at = min(at, v.leaves(hist, s.now))
			}
			if ahead != math.MaxInt64 {
				at = min(at, plus(ahead, -v.early))
			}
			if seen == math.MinInt64 {
				continue
			}
			e := v.leaves(seen, s.now)
			at = min(at, e)
			lapsed = lapsed || e == math.MaxInt64 && v.horizon > 0
		}
	})
	if at == math.MaxInt64 {
		at = s.end(id, s.latest(id))
	}
	return at, lapsed
}

// leaves returns when a sample of time t goes out of sight, math.MaxInt64 if it has by now.
func (v sight) leaves(t, now int64) int64 {
	if e := plus(t, v.horizon); e > now {
		return e
	}
	return math.MaxInt64
}

// around returns the times of the newest sample up to at, math.MinInt64 if there is none, and of the first one after,
// math.MaxInt64 if there is none.
func (s *Store) around(id ID, at int64) (seen, ahead int64) {
	if s.lastT[id] <= at {
		return s.lastT[id], math.MaxInt64
	}
	seen = math.MinInt64
	ts, _ := s.Samples(id)
	i, found := slices.BinarySearch(ts, at)
	if found {
		i++
	}
	if i > 0 {
		seen = ts[i-1]
	}
	return seen, ts[i]
}

// end returns when nobody can see the sample of time t any more.
func (s *Store) end(id ID, t int64) int64 {
	last := int64(0)
	s.each(id, func(x *Selector, _ uint32) { last = max(last, x.reach) })
	return plus(plus(t, last), s.opts.Slack)
}

// lapse does what has fallen due of a series from the time for which it was scheduled up to now.
func (s *Store) lapse(id ID, from int64) {
	r := &s.series[id]
	s.markLapsed(id, from)
	if s.end(id, s.latest(id)) <= s.now {
		s.evict(id)
		return
	}
	if r.flags&flagHistogram != 0 && s.end(id, s.hists[id]) <= s.now {
		r.lost = max(r.lost, s.hists[id])
		r.flags = r.flags&^flagHistogram | flagLoses
		delete(s.hists, id)
		s.settle(id)
	}
	s.arm(id)
}

// markLapsed marks a series' words where a user saw its newest sample until some time from from to now, or sees one since
// then that came early.
func (s *Store) markLapsed(id ID, from int64) {
	r := &s.series[id]
	hist := s.Histograms(id)
	early := r.flags&flagAhead != 0
	s.each(id, func(x *Selector, lane uint32) {
		touch := false
		for _, v := range x.sights {
			seen, _ := s.around(id, plus(s.now, v.early))
			touch = touch || v.passed(seen, early, from, s.now) || v.passed(hist, early, from, s.now)
		}
		if touch {
			x.touch(lane)
			x.version++
		}
	})
	if s.newest(id) <= s.now {
		r.flags &^= flagAhead
	}
}

// passed reports whether the sample of time t goes out of sight or, if it came early, into it in the time from from to
// now.
func (v sight) passed(t int64, early bool, from, now int64) bool {
	if t == math.MinInt64 {
		return false
	}
	within := func(e int64) bool { return e >= from && e <= now }
	return within(plus(t, v.horizon)) || early && within(plus(t, -v.early))
}

package window

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"
)

// Fill brings what history has of one series: ascending samples, staleness markers included, that are all there are with
// t > complete up to the moment when history was asked, which must be after the Select that wants them. What was fed
// already is not kept twice; where both differ, history is right. hist is the time of the newest native histogram sample
// among them, math.MinInt64 if there is none. Labels that nobody selects are ignored. The slices may be reused.
func (s *Store) Fill(ls labels.Labels, ts []int64, vs []float64, complete, hist int64) {
	hash := s.hash(ls)
	id, ok := s.find(ls, hash)
	if !ok {
		if len(ts) == 0 && hist == math.MinInt64 {
			return
		}
		if id, ok = s.admit(ls, hash); !ok {
			return
		}
		s.series[id].unknown = s.inherit(id)
		s.series[id].flags |= flagInherits
		complete = max(complete, s.goneSince(id))
	}
	r := &s.series[id]
	if r.flags&flagLoses == 0 && complete < s.Floor(id) {
		// What the series has lost was in history when it was asked, and is in ts.
		if r.lost != math.MinInt64 {
			r.flags &^= flagInherits
		}
		r.unknown, r.lost = complete, math.MinInt64
	}
	r.unknown = min(r.unknown, complete)
	s.merge(id, ts, vs)
	if hist != math.MinInt64 {
		s.noteHistogram(id, hist)
	}
	newest := s.newest(id)
	if newest > s.now {
		r.flags |= flagAhead
	}
	s.arm(id)
	s.each(id, func(x *Selector, lane uint32) {
		x.touch(lane)
		x.version++
		x.reached = max(x.reached, newest)
	})
}

// goneSince returns a time after which no sample of the series was evicted since the present round began, should it have
// been here since then.
func (s *Store) goneSince(id ID) int64 {
	gone := int64(math.MaxInt64)
	s.each(id, func(x *Selector, _ uint32) { gone = min(gone, x.evictedNow) })
	return gone
}

// merge makes the union of what the series has and what history has, above the floor, the series' samples.
func (s *Store) merge(id ID, ts []int64, vs []float64) {
	r := &s.series[id]
	floor := s.Floor(id)
	haveT, haveV := s.Samples(id)
	mt, mv := s.scratchT[:0], s.scratchV[:0]
	for len(ts) > 0 || len(haveT) > 0 {
		var t int64
		var v float64
		switch {
		case len(haveT) == 0 || len(ts) > 0 && ts[0] <= haveT[0]:
			if len(haveT) > 0 && ts[0] == haveT[0] {
				haveT, haveV = haveT[1:], haveV[1:]
			}
			t, v, ts, vs = ts[0], vs[0], ts[1:], vs[1:]
		default:
			t, v, haveT, haveV = haveT[0], haveV[0], haveT[1:], haveV[1:]
			if t <= floor {
				r.lost, r.flags = max(r.lost, t), r.flags|flagLoses
			}
		}
		if t > floor && (len(mt) == 0 || t > mt[len(mt)-1]) {
			mt, mv = append(mt, t), append(mv, v)
		}
	}
	s.replace(id, mt, mv)
	s.scratchT, s.scratchV = mt[:0], mv[:0]
}

// SetComplete ends a round of filling: for each selector that is new or reaches further back since the last round, the
// owner has filled every series that had samples in the Reach and Slack before now, or of a later time. Series that
// appear from now on are known to have none.
func (s *Store) SetComplete(now int64) {
	for _, x := range s.selectors.all {
		if !x.pending {
			continue
		}
		x.pending = false
		x.completeReach, x.completeKeep = x.reach, x.keep
		// What was known before stays true; the lower one says more.
		slack := min(x.pendingSlack, s.opts.Slack)
		if c := plus(now, -plus(x.reach, slack)); max(c, x.evictedNow) < x.bound() {
			x.complete, x.evicted = c, x.evictedNow
		}
		x.version++
		bound := x.bound()
		s.eachOf(x, func(id ID) {
			if r := &s.series[id]; r.flags&flagInherits != 0 && bound < r.unknown {
				r.unknown = bound
				s.settle(id)
			}
		})
	}
}

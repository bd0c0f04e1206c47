package window

import (
	"github.com/prometheus/prometheus/model/value"

	"github.com/tocsin/tocsin/internal/column"
)

// Feed takes samples that history has committed together, at time now in Unix milliseconds, and marks the words of the
// lanes that they are for. It reports whether anybody selects one of them. The slice may be reused.
//
// Series that are new are bound to all selectors that match. Of two samples of one series and time the first is kept.
// Batches may come in another order than they were committed in.
func (s *Store) Feed(batch []Sample, now int64) (touched bool) {
	s.begin(now)
	for i := range batch {
		p := &batch[i]
		to := s.refs.get(p.Ref)
		if to < refFirst {
			if to == refIgnored {
				continue
			}
			if to = s.meet(p); to < refFirst {
				continue
			}
		}
		if id := ID(to - refFirst); s.take(id, p) {
			s.mark(id, p.T)
			touched = true
		}
	}
	return touched
}

// begin starts a batch.
func (s *Store) begin(now int64) {
	s.clock(now)
	s.batch++
	if s.batch == 0 { // Once in four billion batches: nobody is to be taken for one of this batch.
		s.batch = 1
		for i := range s.series {
			s.series[i].batch = 0
		}
		for _, x := range s.selectors.all {
			x.batch = 0
		}
	}
	if len(s.inserted) > 0 {
		clear(s.inserted)
	}
}

// take keeps a sample, if it is one to keep.
func (s *Store) take(id ID, p *Sample) bool {
	r := &s.series[id]
	t := p.T
	if t <= s.lastT[id] || t > s.now || r.flags&flagsSlow != 0 || p.Histogram || t <= r.lost || t <= r.unknown {
		return s.takeRare(id, p)
	}
	at := r.head + r.n
	if r.flags&flagBuffer == 0 || at == capacity(r.class) {
		s.room(id, t)
		at = r.head + r.n
	}
	k := &s.buffers.classes[r.class].chunks[r.block>>shift(r.class)]
	place := (r.block&(1<<shift(r.class)-1))<<r.class*smallest + at
	k.t[place], k.v[place] = t, p.V
	r.n++
	r.batch = s.batch
	s.stats.Samples++
	if value.IsStaleNaN(p.V) {
		r.markers++
	}
	s.lastT[id], s.lastV[id] = t, p.V
	return true
}

// takeRare is take for all that is not simply the next sample of a series in sight.
func (s *Store) takeRare(id ID, p *Sample) bool {
	r := &s.series[id]
	t := p.T
	switch {
	case !s.ordered(id, t):
		s.stats.Dropped.Disorder++
		return false
	case s.tooOld(id, t):
		s.refuse(id, t)
		s.arm(id) // It may go, and a new one is not scheduled yet.
		return false
	case p.Histogram:
		s.inserted[id] = t
		s.noteHistogram(id, t)
	case t > s.lastT[id]:
		s.push(id, t, p.V)
		r.batch = s.batch
	default:
		s.inserted[id] = t
		if !s.insert(id, t, p.V) {
			return false
		}
	}
	if t > s.now {
		r.flags |= flagAhead
	}
	s.arm(id)
	return true
}

// ordered reports whether history, where it takes nothing out of order, takes a sample of that time: whether it is newer
// than the one of the series before it in the batch. That was either the newest, or one of those inserted.
func (s *Store) ordered(id ID, t int64) bool {
	if s.opts.OutOfOrder {
		return true
	}
	if s.series[id].batch == s.batch && t <= s.lastT[id] {
		return false
	}
	before, ok := s.inserted[id]
	return !ok || t > before
}

func (s *Store) noteHistogram(id ID, t int64) {
	r := &s.series[id]
	if r.flags&flagHistogram == 0 || t > s.hists[id] {
		s.hists[id] = t
		r.flags |= flagHistogram
	}
}

// mark marks the lanes of a series that a sample of time t came for.
func (s *Store) mark(id ID, t int64) {
	k := &s.series[id].first
	for {
		x := s.selectors.slots[k.selector]
		if w := k.lane / column.WordLanes; !x.marks.Has(w) {
			x.marks.Touch(w)
			x.list()
		}
		x.reached = max(x.reached, t)
		if x.batch != s.batch {
			x.batch = s.batch
			x.version++
			x.fed++
		}
		if k.next == 0 {
			return
		}
		k = s.links.at(k.next)
	}
}

// meet finds out what a reference is that is not known.
func (s *Store) meet(p *Sample) uint32 {
	ls := p.Labels
	if ls.IsEmpty() && s.opts.Resolve != nil {
		ls = s.opts.Resolve(p.Ref)
	}
	if ls.IsEmpty() {
		s.stats.Dropped.Unresolved++
		return refUnknown
	}
	hash := s.hash(ls)
	id, ok := s.find(ls, hash)
	if !ok {
		if id, ok = s.admit(ls, hash); !ok {
			if p.Ref != 0 {
				s.refs.set(p.Ref, refIgnored)
			}
			return refIgnored
		}
		s.series[id].unknown = s.inherit(id)
		s.series[id].flags |= flagInherits | flagLapsed // The latter because it is not scheduled yet.
	}
	s.refer(id, p.Ref)
	return uint32(id) + refFirst
}

package window

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
)

// link says that a series stands in a selector's lane. next is the number of the series' next link, 0 if none.
type link struct{ selector, lane, next uint32 }

// noSelector is what the first link of a series says that no selector selects (yet).
const noSelector = math.MaxUint32

// links are the lanes of series beyond the first, with numbers from 1.
type links struct {
	all  []link
	free uint32
}

func (l *links) at(number uint32) *link { return &l.all[number-1] }

func (l *links) add(k link) (number uint32) {
	if l.free == 0 {
		l.all = append(l.all, k)
		return uint32(len(l.all))
	}
	number = l.free
	l.free = l.at(number).next
	*l.at(number) = k
	return number
}

func (l *links) drop(number uint32) {
	l.at(number).next = l.free
	l.free = number
}

// each calls visit for the selectors that a series stands in. It is not for the way that every sample takes.
func (s *Store) each(id ID, visit func(x *Selector, lane uint32)) {
	k := s.series[id].first
	if k.selector == noSelector {
		return
	}
	for {
		visit(s.selectors.slots[k.selector], k.lane)
		if k.next == 0 {
			return
		}
		k = *s.links.at(k.next)
	}
}

// bind puts a series into a lane of x, unless it is in one.
func (s *Store) bind(id ID, x *Selector) {
	bound := false
	s.each(id, func(other *Selector, _ uint32) { bound = bound || other == x })
	if bound {
		return
	}
	lane := x.lanes.Bind()
	x.ids = column.GrowSlice(x.ids, x.lanes.Len())
	x.ids[lane] = id
	x.touch(lane)
	x.version++
	if newest := s.newest(id); newest > x.reached {
		x.reached = newest
	}
	first := &s.series[id].first
	if first.selector != noSelector {
		first.next = s.links.add(link{selector: x.slot, lane: lane, next: first.next})
		return
	}
	*first = link{selector: x.slot, lane: lane}
}

// unbind takes a series out of its lane of x. It reports whether somebody selects the series still.
func (s *Store) unbind(id ID, x *Selector) (selected bool) {
	first := &s.series[id].first
	if first.selector == x.slot {
		next := first.next
		if next == 0 {
			first.selector = noSelector
			return false
		}
		*first = *s.links.at(next)
		s.links.drop(next)
		return true
	}
	for at := &first.next; *at != 0; at = &s.links.at(*at).next {
		if number := *at; s.links.at(number).selector == x.slot {
			*at = s.links.at(number).next
			s.links.drop(number)
			break
		}
	}
	return true
}

// find returns the series that bears the labels.
func (s *Store) find(ls labels.Labels, hash uint64) (ID, bool) {
	id, ok := s.byHash[hash]
	for ok && !labels.Equal(s.labels[id], ls) {
		id, ok = s.twins[id]
	}
	return id, ok
}

// create makes a series that stands in no lane and has no sample.
func (s *Store) create(ls labels.Labels, hash uint64) ID {
	id := ID(len(s.series))
	if last := len(s.free) - 1; last >= 0 {
		id, s.free = s.free[last], s.free[:last]
	} else {
		s.series = append(s.series, series{})
		s.lastT = append(s.lastT, 0)
		s.lastV = append(s.lastV, 0)
		s.labels = append(s.labels, labels.EmptyLabels())
	}
	s.series[id] = series{
		first: link{selector: noSelector}, flags: flagLive, lost: math.MinInt64, unknown: math.MaxInt64,
	}
	s.lastT[id], s.lastV[id] = math.MinInt64, math.NaN()
	s.labels[id] = ls
	if other, ok := s.byHash[hash]; ok {
		s.twins[id] = other
	}
	s.byHash[hash] = id
	s.live++
	s.stats.LabelBytes += int64(ls.ByteSize())
	return id
}

// destroy lets go of all that is known of a series. Its lanes are the caller's business, but for the links to them.
func (s *Store) destroy(id ID) {
	r := &s.series[id]
	if r.flags&flagBuffer != 0 {
		s.buffers.give(r.class, r.block)
	}
	for n := r.first.next; n != 0; {
		next := s.links.at(n).next
		s.links.drop(n)
		n = next
	}
	s.forgetRefs(id)
	s.unhash(id)
	delete(s.hists, id)
	delete(s.inserted, id)
	s.wheel.Cancel(uint32(id))
	s.stats.LabelBytes -= int64(s.labels[id].ByteSize())
	s.stats.Samples -= int64(r.n)
	s.labels[id] = labels.EmptyLabels()
	s.lastT[id], s.lastV[id] = math.MinInt64, math.NaN()
	*r = series{lost: math.MinInt64, unknown: math.MaxInt64}
	s.free = append(s.free, id)
	s.live--
}

func (s *Store) unhash(id ID) {
	hash := s.hash(s.labels[id])
	next, more := s.twins[id]
	delete(s.twins, id)
	head := s.byHash[hash]
	if head == id {
		if more {
			s.byHash[hash] = next
		} else {
			delete(s.byHash, hash)
		}
		return
	}
	for s.twins[head] != id {
		head = s.twins[head]
	}
	if more {
		s.twins[head] = next
	} else {
		delete(s.twins, head)
	}
}

// refer notes that ref is the series. 0 is nobody's reference.
func (s *Store) refer(id ID, ref uint64) {
	if ref == 0 {
		return
	}
	s.refs.set(ref, uint32(id)+refFirst)
	if r := &s.series[id]; r.ref == 0 {
		r.ref = ref
		return
	}
	s.more[id] = append(s.more[id], ref)
}

func (s *Store) forgetRefs(id ID) {
	if ref := s.series[id].ref; ref != 0 {
		s.refs.set(ref, refUnknown)
	}
	more, ok := s.more[id]
	if !ok {
		return
	}
	for _, ref := range more {
		s.refs.set(ref, refUnknown)
	}
	delete(s.more, id)
}

// evict lets go of a series that nobody can see any more. Its selectors remember up to when.
func (s *Store) evict(id ID) {
	gone := s.latest(id)
	s.each(id, func(x *Selector, lane uint32) {
		x.evicted = max(x.evicted, gone)
		x.evictedNow = max(x.evictedNow, gone)
		x.leave(lane)
	})
	s.destroy(id)
	s.stats.Evicted++
}

// leave releases a lane.
func (x *Selector) leave(lane uint32) {
	x.ids[lane] = 0
	x.lanes.Release(lane)
	x.version++
}

// inherit works out, from what is known of all series of its selectors, what may be unknown of a series that was not
// filled.
func (s *Store) inherit(id ID) int64 {
	unknown := int64(math.MaxInt64)
	s.each(id, func(x *Selector, _ uint32) { unknown = min(unknown, x.bound()) })
	return unknown
}

package window

import (
	"math"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/value"
)

// push appends a sample that is newer than all others of the series.
func (s *Store) push(id ID, t int64, v float64) {
	r := &s.series[id]
	if r.flags&flagBuffer == 0 || r.head+r.n == capacity(r.class) {
		s.room(id, t)
	}
	at := r.head + r.n
	bt, bv := s.buffers.view(r.class, r.block, at, 1)
	bt[0], bv[0] = t, v
	r.n++
	s.stats.Samples++
	if value.IsStaleNaN(v) {
		r.markers++
	}
	s.lastT[id], s.lastV[id] = t, v
}

// insert puts a sample that is not newer than the newest in its place. It reports whether it was taken: not, if there is
// one of that time.
func (s *Store) insert(id ID, t int64, v float64) bool {
	r := &s.series[id]
	if r.n == 0 {
		s.push(id, t, v)
		return true
	}
	ts, _ := s.Samples(id)
	if _, there := slices.BinarySearch(ts, t); there {
		s.stats.Dropped.Duplicate++
		return false
	}
	if r.head+r.n == capacity(r.class) {
		s.room(id, s.lastT[id])
		if s.tooOld(id, t) { // What was let go for room was newer.
			s.refuse(id, t)
			return false
		}
	}
	r.n++
	ts, vs := s.Samples(id)
	last := len(ts) - 1
	i, _ := slices.BinarySearch(ts[:last], t)
	copy(ts[i+1:], ts[i:last])
	copy(vs[i+1:], vs[i:last])
	ts[i], vs[i] = t, v
	s.stats.Samples++
	if value.IsStaleNaN(v) {
		r.markers++
	}
	s.lastT[id], s.lastV[id] = ts[last], vs[last]
	return true
}

// tooOld reports whether others may be missing between a sample of time t and those that are kept. Where nothing is known
// of the past, that is found out later: see settle.
func (s *Store) tooOld(id ID, t int64) bool {
	r := &s.series[id]
	return t <= r.lost || t <= r.unknown && r.unknown != math.MaxInt64
}

// refuse counts a sample that is too old to be kept: there may be others, newer ones, that are not.
func (s *Store) refuse(id ID, t int64) {
	r := &s.series[id]
	r.lost = max(r.lost, t)
	r.flags |= flagLoses
	s.stats.Dropped.Old++
}

// room makes place at the end of a series' buffer for a sample; newest is the time of its newest sample, with that one.
func (s *Store) room(id ID, newest int64) {
	r := &s.series[id]
	if r.flags&flagBuffer == 0 {
		r.block, _ = s.buffers.take(0)
		r.class, r.head = 0, 0
		r.flags |= flagBuffer
		return
	}
	s.trim(id, newest)
	full := capacity(r.class)
	switch {
	case r.class > 0 && r.n <= full/4 && s.move(id, classFor(2*int(r.n))):
	case r.n <= full/4*3:
		s.compact(id)
	case s.move(id, r.class+1):
	default:
		if r.n == full {
			s.stats.Truncated += uint64(full / 4)
			s.drop(id, full/4)
		}
		s.compact(id)
	}
}

// move takes the samples to a buffer of another class. It reports whether there was one.
func (s *Store) move(id ID, class uint8) bool {
	r := &s.series[id]
	block, ok := s.buffers.take(class)
	if !ok {
		return false
	}
	ts, vs := s.Samples(id)
	toT, toV := s.buffers.whole(class, block)
	copy(toT, ts)
	copy(toV, vs)
	s.buffers.give(r.class, r.block)
	r.class, r.block, r.head = class, block, 0
	return true
}

func (s *Store) compact(id ID) {
	r := &s.series[id]
	ts, vs := s.Samples(id)
	toT, toV := s.buffers.whole(r.class, r.block)
	copy(toT, ts)
	copy(toV, vs)
	r.head = 0
}

// trim lets go of what no evaluation can want any more that is for a time at most Slack before newest or now, whichever
// is earlier. Of the samples that old, the latest stays: it is what an instant selector may look at.
func (s *Store) trim(id ID, newest int64) {
	ts, _ := s.Samples(id)
	if k := s.surplus(id, ts, newest); k > 0 {
		s.drop(id, uint32(k))
	}
}

// surplus returns how many of the samples ts, from the oldest on, trim lets go.
func (s *Store) surplus(id ID, ts []int64, newest int64) int {
	var keep int64
	s.each(id, func(x *Selector, _ uint32) { keep = max(keep, x.keep) })
	edge := plus(min(newest, s.now), -keep)
	bound := plus(edge, -s.opts.Slack)
	k := 0
	for k+1 < len(ts) && ts[k+1] <= bound {
		k++
	}
	if limit := s.opts.SlackSamples; limit > 0 && len(ts)-k > limit+1 {
		inEdge := k + sort.Search(len(ts)-k, func(i int) bool { return ts[k+i] > edge })
		k = max(k, inEdge-limit-1)
	}
	return k
}

// drop lets go of the k oldest samples of a series.
func (s *Store) drop(id ID, k uint32) {
	r := &s.series[id]
	ts, vs := s.Samples(id)
	if r.markers > 0 {
		r.markers -= markers(vs[:k])
	}
	r.lost = max(r.lost, ts[k-1])
	r.flags |= flagLoses
	r.head += k
	r.n -= k
	s.stats.Samples -= int64(k)
}

// settle lets go of the samples up to the floor, between which others may be missing, after it was lowered from where
// nothing was known, or raised.
func (s *Store) settle(id ID) {
	r := &s.series[id]
	ts, _ := s.Samples(id)
	floor := r.lost
	if r.unknown != math.MaxInt64 {
		floor = max(floor, r.unknown)
	}
	k, _ := slices.BinarySearch(ts, plus(floor, 1))
	if k == 0 {
		return
	}
	s.stats.Dropped.Old += uint64(k)
	s.drop(id, uint32(k))
	if r.n == 0 {
		s.lastT[id], s.lastV[id] = math.MinInt64, math.NaN()
		s.arm(id)
	}
}

// replace makes ts and vs, ascending, the series' samples, as far as they are to be kept and there is memory.
func (s *Store) replace(id ID, ts []int64, vs []float64) {
	r := &s.series[id]
	if r.flags&flagBuffer != 0 {
		s.buffers.give(r.class, r.block)
		r.flags &^= flagBuffer
	}
	s.stats.Samples -= int64(r.n)
	r.n, r.head, r.markers = 0, 0, 0
	s.lastT[id], s.lastV[id] = math.MinInt64, math.NaN()
	if len(ts) == 0 {
		return
	}
	let := s.surplus(id, ts, ts[len(ts)-1])
	class := classFor(len(ts) - let)
	block, ok := s.buffers.take(class)
	for !ok {
		class--
		block, ok = s.buffers.take(class)
	}
	if most := int(capacity(class)); len(ts)-let > most {
		s.stats.Truncated += uint64(len(ts) - let - most)
		let = len(ts) - most
	}
	if let > 0 {
		r.lost = max(r.lost, ts[let-1])
		r.flags |= flagLoses
		ts, vs = ts[let:], vs[let:]
	}
	toT, toV := s.buffers.whole(class, block)
	copy(toT, ts)
	copy(toV, vs)
	r.class, r.block, r.n = class, block, uint32(len(ts))
	r.flags |= flagBuffer
	r.markers = markers(vs)
	s.stats.Samples += int64(len(ts))
	s.lastT[id], s.lastV[id] = ts[len(ts)-1], vs[len(vs)-1]
}

func markers(vs []float64) (n uint32) {
	for _, v := range vs {
		if value.IsStaleNaN(v) {
			n++
		}
	}
	return n
}

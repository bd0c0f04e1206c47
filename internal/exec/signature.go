package exec

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// none stands where there is no lane, or no id.
const none = ^uint32(0)

// signer makes the signature of an element: the labels by which two vectors are matched, as bytes that are equal
// exactly when those labels are.
type signer struct {
	on    bool
	names []string // sorted
	buf   []byte
}

// newSigner follows PromQL: on takes the labels that are named, the metric name only if it is among them; ignoring
// takes all others, the metric name never.
func newSigner(b *plan.Binary) signer {
	names := slices.Clone(b.Labels)
	if !b.On {
		names = append(names, model.MetricNameLabel)
	}
	slices.Sort(names)
	return signer{on: b.On, names: slices.Compact(names)}
}

// of returns the signature of ls. It is valid until the next call.
func (s *signer) of(ls labels.Labels) []byte {
	if s.on {
		s.buf = ls.BytesWithLabels(s.buf, s.names...)
	} else {
		s.buf = ls.BytesWithoutLabels(s.buf, s.names...)
	}
	return s.buf
}

// registry gives ids to byte strings and counts their users. An id without users is given to the next newcomer. The zero
// value is ready.
type registry struct {
	ids  map[string]uint32
	keys []string // by id
	uses []uint32 // by id
	free []uint32
	size int // of all keys
}

// take returns the id of key with one more user. Ids are below len().
func (r *registry) take(key []byte) uint32 {
	if id, ok := r.ids[string(key)]; ok {
		r.uses[id]++
		return id
	}
	if r.ids == nil {
		r.ids = map[string]uint32{}
	}
	name := string(key)
	r.size += len(name)
	var id uint32
	if last := len(r.free) - 1; last >= 0 {
		id, r.free = r.free[last], r.free[:last]
		r.keys[id], r.uses[id] = name, 1
	} else {
		id = uint32(len(r.keys))
		r.keys, r.uses = append(r.keys, name), append(r.uses, 1)
	}
	r.ids[name] = id
	return id
}

// keep counts one more user of id.
func (r *registry) keep(id uint32) { r.uses[id]++ }

// drop counts one user of id less, and reports whether it was the last.
func (r *registry) drop(id uint32) bool {
	r.uses[id]--
	if r.uses[id] > 0 {
		return false
	}
	r.size -= len(r.keys[id])
	delete(r.ids, r.keys[id])
	r.keys[id] = ""
	r.free = append(r.free, id)
	return true
}

// len is above all ids.
func (r *registry) len() int { return len(r.keys) }

// bytes estimates what it occupies.
func (r *registry) bytes() int {
	return r.size + 28*len(r.ids) + 16*cap(r.keys) + 4*(cap(r.uses)+cap(r.free))
}

// roster says to which id each lane belongs, and which lanes an id has: a list through arrays, the newest lane first.
type roster struct {
	id         []uint32 // by lane, none where the lane belongs to no id
	next, prev []uint32 // by lane
	head       []uint32 // by id, none where the id has no lanes
	count      []uint32 // by id
}

func (r *roster) grow(lanes, ids int) {
	r.id = growNone(r.id, lanes)
	r.next, r.prev = column.GrowSlice(r.next, lanes), column.GrowSlice(r.prev, lanes)
	r.head, r.count = growNone(r.head, ids), column.GrowSlice(r.count, ids)
}

// growNone is column.GrowSlice with none in the new elements.
func growNone(s []uint32, n int) []uint32 {
	old := len(s)
	s = column.GrowSlice(s, n)
	for i := old; i < len(s); i++ {
		s[i] = none
	}
	return s
}

// add enters a lane that belongs to no id.
func (r *roster) add(lane, id uint32) {
	first := r.head[id]
	r.id[lane], r.next[lane], r.prev[lane] = id, first, none
	if first != none {
		r.prev[first] = lane
	}
	r.head[id] = lane
	r.count[id]++
}

// remove strikes a lane off and returns the id to which it belonged.
func (r *roster) remove(lane uint32) uint32 {
	id, next, prev := r.id[lane], r.next[lane], r.prev[lane]
	if next != none {
		r.prev[next] = prev
	}
	if prev != none {
		r.next[prev] = next
	} else {
		r.head[id] = next
	}
	r.id[lane] = none
	r.count[id]--
	return id
}

func (r *roster) bytes() int {
	return 4 * (cap(r.id) + cap(r.next) + cap(r.prev) + cap(r.head) + cap(r.count))
}

// side is one input of an operator between two vectors, with the signature of each of its lanes.
type side struct {
	in     *output
	cursor column.Cursor
	of     roster // lanes by signature
	// went and came are the lanes that the last follow found gone and new; one that changed hands is in both.
	went, came []uint32
	seen       column.Bitmap
	// synced is what in.synced was at the last evaluation.
	synced uint64
}

// follow brings went and came up to date. It reports whether lanes were released or used again: then results that were
// computed before may be those of others.
func (s *side) follow() (churn bool) {
	s.went, s.came = s.went[:0], s.came[:0]
	lanes := s.in.lanes
	if !lanes.Changed(s.cursor) {
		return false
	}
	known := len(s.of.id)
	s.of.grow(lanes.Len(), 0)
	s.seen = s.seen.Grow(lanes.Len())
	lanes.Follow(&s.cursor, func(lane uint32, live bool) {
		if s.seen.Has(lane) {
			return
		}
		s.seen.Set(lane)
		if s.of.id[lane] != none {
			s.went = append(s.went, lane)
		}
		if live {
			s.came = append(s.came, lane)
			churn = churn || int(lane) < known
		}
	})
	clear(s.seen)
	return churn || len(s.went) > 0
}

// moved reports whether the input was evaluated in full since the last evaluation, so that its marks do not tell all.
func (s *side) moved() bool { return s.in.synced != s.synced }

// any reports whether an element of the input has a value.
func (s *side) any() bool {
	for _, w := range s.in.column.OK {
		if w != 0 {
			return true
		}
	}
	return false
}

func (s *side) bytes() int { return s.of.bytes() + 4*(cap(s.went)+cap(s.came)) + 8*cap(s.seen) }

// idSet is a set of ids that is listed without order. The zero value is empty.
type idSet struct {
	list  []uint32
	place []uint32 // by id, one above the index in list; 0 where it is not a member
}

func (s *idSet) has(id uint32) bool { return int(id) < len(s.place) && s.place[id] != 0 }

// add makes id a member, and reports whether it was none.
func (s *idSet) add(id uint32) bool {
	if s.has(id) {
		return false
	}
	s.place = column.GrowSlice(s.place, int(id)+1)
	s.list = append(s.list, id)
	s.place[id] = uint32(len(s.list))
	return true
}

func (s *idSet) remove(id uint32) {
	if !s.has(id) {
		return
	}
	last := s.list[len(s.list)-1]
	s.list[s.place[id]-1] = last
	s.place[last] = s.place[id]
	s.place[id] = 0
	s.list = s.list[:len(s.list)-1]
}

// clear empties the set and keeps its memory.
func (s *idSet) clear() {
	for _, id := range s.list {
		s.place[id] = 0
	}
	s.list = s.list[:0]
}

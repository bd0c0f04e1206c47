package exec

import "github.com/tocsin/tocsin/internal/column"

// bucketIndex has the buckets of each group in the order of their upper bounds. A group's buckets stand next to each
// other, with room for some more; a group that outgrows its room moves to the end, and what it leaves is reclaimed when
// half of everything is such.
type bucketIndex struct {
	lane   []uint32
	bound  []float64
	spans  []bucketSpan // by group
	unused int          // room that groups left behind
}

// bucketSpan is where a group's buckets stand.
type bucketSpan struct{ start, n, room uint32 }

// grow makes room for groups.
func (x *bucketIndex) grow(groups int) { x.spans = column.GrowSlice(x.spans, groups) }

// of returns the lanes and upper bounds of a group, lowest bound first, NaN last.
func (x *bucketIndex) of(group uint32) (lanes []uint32, bounds []float64) {
	s := x.spans[group]
	return x.lane[s.start:][:s.n], x.bound[s.start:][:s.n]
}

// insert enters a bucket.
func (x *bucketIndex) insert(group, lane uint32, bound float64) {
	if s := &x.spans[group]; s.n == s.room {
		x.move(s)
	}
	s := &x.spans[group]
	lanes, bounds := x.lane[s.start:][:s.room], x.bound[s.start:][:s.room]
	i := int(s.n)
	for ; i > 0 && (bounds[i-1] > bound || bounds[i-1] != bounds[i-1]); i-- {
		lanes[i], bounds[i] = lanes[i-1], bounds[i-1]
	}
	lanes[i], bounds[i] = lane, bound
	s.n++
}

// move gives s a place with twice the room at the end.
func (x *bucketIndex) move(s *bucketSpan) {
	if x.unused > 64 && x.unused > len(x.lane)/2 {
		x.compact()
	}
	start, room := uint32(len(x.lane)), max(4, 2*s.room)
	x.lane = append(x.lane, make([]uint32, room)...)
	x.bound = append(x.bound, make([]float64, room)...)
	copy(x.lane[start:], x.lane[s.start:][:s.n])
	copy(x.bound[start:], x.bound[s.start:][:s.n])
	x.unused += int(s.room)
	s.start, s.room = start, room
}

// compact moves all groups together, in their order.
func (x *bucketIndex) compact() {
	n := len(x.lane) - x.unused
	lane, bound := make([]uint32, 0, n+n/4), make([]float64, 0, n+n/4)
	for i := range x.spans {
		s := &x.spans[i]
		start := uint32(len(lane))
		lane = append(lane, x.lane[s.start:][:s.room]...)
		bound = append(bound, x.bound[s.start:][:s.room]...)
		s.start = start
	}
	x.lane, x.bound, x.unused = lane, bound, 0
}

// remove strikes a bucket off.
func (x *bucketIndex) remove(group, lane uint32) {
	s := &x.spans[group]
	lanes, bounds := x.of(group)
	for i, l := range lanes {
		if l == lane {
			copy(lanes[i:], lanes[i+1:])
			copy(bounds[i:], bounds[i+1:])
			s.n--
			return
		}
	}
	panic("BUG: a bucket left a group in which it was not")
}

// drop gives up the room of a group without buckets.
func (x *bucketIndex) drop(group uint32) {
	x.unused += int(x.spans[group].room)
	x.spans[group] = bucketSpan{}
}

func (x *bucketIndex) bytes() int { return 4*cap(x.lane) + 8*cap(x.bound) + 12*cap(x.spans) }

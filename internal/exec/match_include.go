package exec

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
)

// inclusion is what group_left(label, …) takes over from the one side. The labels of a result then depend on both
// elements, so the result has lanes of its own: those of the many side under the same numbers, bound anew where the
// labels taken over change.
type inclusion struct {
	names  []string // as written
	sorted []string
	buf    []byte
	// values are the distinct values of the labels, as bytes; labels has them by id.
	values registry
	labels []labels.Labels
	// of is the id by lane of the one side. bound is the id by signature that the results bear, and is kept where the
	// match has gone.
	of, bound []uint32

	lanes  column.Lanes
	wanted idSet // lanes of the many side that are to be bound
	spare  []uint32
}

func newInclusion(names []string) *inclusion {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return &inclusion{names: names, sorted: slices.Compact(sorted)}
}

// enter notes what a lane of the one side has to give.
func (c *inclusion) enter(lane uint32, ls labels.Labels) {
	c.buf = ls.BytesWithLabels(c.buf, c.sorted...)
	id := c.values.take(c.buf)
	if n := c.values.len(); n > len(c.labels) {
		c.labels = column.GrowSlice(c.labels, n)
	}
	if c.values.uses[id] == 1 {
		c.labels[id] = ls.MatchLabels(true, c.sorted...)
	}
	c.of[lane] = id
}

func (c *inclusion) leave(lane uint32) {
	c.values.drop(c.of[lane])
	c.of[lane] = none
}

// bind makes the labels of a lane of the one side those of a signature, and reports whether they were others.
func (c *inclusion) bind(sig, lane uint32) bool {
	id, old := c.of[lane], c.bound[sig]
	if id == old {
		return false
	}
	c.values.keep(id)
	if old != none {
		c.values.drop(old)
	}
	c.bound[sig] = id
	return true
}

func (c *inclusion) unbind(sig uint32) {
	if id := c.bound[sig]; id != none {
		c.values.drop(id)
		c.bound[sig] = none
	}
}

// write puts the labels taken over into b. Those that the one side lacks are taken away.
func (c *inclusion) write(b *labels.Builder, sig uint32) {
	var from labels.Labels
	if id := c.bound[sig]; id != none {
		from = c.labels[id]
	}
	for _, name := range c.names {
		b.Set(name, from.Get(name))
	}
}

// want notes that a lane of the many side was bound.
func (c *inclusion) want(lane uint32) { c.wanted.add(lane) }

// release follows the release of a lane of the many side.
func (c *inclusion) release(lane uint32) { c.lanes.Release(lane) }

// mirror binds the lanes that are wanted under their numbers, and sees that there are n lanes. Lanes come as they were
// released, the last one first, so others may have to be bound for a moment.
func (c *inclusion) mirror(n int) {
	for len(c.wanted.list) > 0 || c.lanes.Len() < n {
		lane := c.lanes.Bind()
		if c.wanted.has(lane) {
			c.wanted.remove(lane)
		} else {
			c.spare = append(c.spare, lane)
		}
	}
	for _, lane := range slices.Backward(c.spare) {
		c.lanes.Release(lane)
	}
	c.spare = c.spare[:0]
}

// rebind tells followers that the labels of a lane are others. One that is still wanted they do not know.
func (c *inclusion) rebind(lane uint32) {
	if c.wanted.has(lane) {
		return
	}
	c.lanes.Release(lane)
	if c.lanes.Bind() != lane {
		panic("BUG: the lane that was released last is not bound first")
	}
}

func (c *inclusion) bytes() int {
	return c.values.bytes() + 24*cap(c.labels) + 4*(cap(c.of)+cap(c.bound)) + c.lanes.Bytes()
}

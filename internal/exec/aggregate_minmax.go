package exec

import (
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
)

// extremes is the fold of min and max. NaN loses against everything, so a group is NaN only if all of its members are.
type extremes struct {
	max bool
	acc []extreme
}

type extreme struct {
	v   float64
	has bool
}

// take keeps x if it is above what there is.
func (e *extreme) takeMax(x float64) {
	if !e.has || x > e.v || e.v != e.v {
		e.v, e.has = x, true
	}
}

// takeMin keeps x if it is below what there is.
func (e *extreme) takeMin(x float64) {
	if !e.has || x < e.v || e.v != e.v {
		e.v, e.has = x, true
	}
}

func (e *extremes) take(group uint32, x float64) {
	if e.max {
		e.acc[group].takeMax(x)
	} else {
		e.acc[group].takeMin(x)
	}
}

func (e *extremes) grow(groups int) { e.acc = column.GrowSlice(e.acc, groups) }

func (e *extremes) all(c *column.Column, g *groups) {
	clear(e.acc)
	if group, ok := g.only(); ok {
		e.allOfOne(c, group)
		return
	}
	acc, ids := e.acc, g.members.id
	for w, ok := range c.OK {
		if ok == 0 {
			continue
		}
		v, id := c.V[w*column.WordLanes:][:column.WordLanes], ids[w*column.WordLanes:][:column.WordLanes]
		switch {
		case ok == ^uint64(0) && e.max:
			for i, x := range v {
				acc[id[i]].takeMax(x)
			}
		case ok == ^uint64(0):
			for i, x := range v {
				acc[id[i]].takeMin(x)
			}
		default:
			for ; ok != 0; ok &= ok - 1 {
				i := bits.TrailingZeros64(ok)
				e.take(id[i], v[i])
			}
		}
	}
}

// allOfOne folds a column of which all is one group's.
func (e *extremes) allOfOne(c *column.Column, group uint32) {
	var a extreme
	for w, ok := range c.OK {
		v := c.V[w*column.WordLanes:][:column.WordLanes]
		switch {
		case ok == ^uint64(0) && e.max:
			for _, x := range v {
				a.takeMax(x)
			}
		case ok == ^uint64(0):
			for _, x := range v {
				a.takeMin(x)
			}
		case e.max:
			for ; ok != 0; ok &= ok - 1 {
				a.takeMax(v[bits.TrailingZeros64(ok)])
			}
		default:
			for ; ok != 0; ok &= ok - 1 {
				a.takeMin(v[bits.TrailingZeros64(ok)])
			}
		}
	}
	e.acc[group] = a
}

func (e *extremes) one(c *column.Column, g *groups, group uint32) {
	e.acc[group] = extreme{}
	for lane := g.members.head[group]; lane != none; lane = g.members.next[lane] {
		if c.OK.Has(lane) {
			e.take(group, c.V[lane])
		}
	}
}

// apply replaces an extreme where a better one came. Where the extreme itself went or fell behind, somebody else may be
// next: that group is stale.
func (e *extremes) apply(in *output, g *groups, changed, stale *idSet) {
	for i, w := range in.marks.Words() {
		old, ok := in.marks.Old(i), in.column.OK[w]
		v, ids := in.column.V[w*column.WordLanes:], g.members.id[w*column.WordLanes:]
		for lanes := changedLanes(old, v, ok); lanes != 0; lanes &= lanes - 1 {
			l := bits.TrailingZeros64(lanes)
			group := ids[l]
			a := &e.acc[group]
			held := old.OK>>l&1 != 0 && (old.V[l] == a.v || old.V[l] != old.V[l] && a.v != a.v)
			if ok>>l&1 != 0 {
				e.take(group, v[l])
				held = held && v[l] != a.v // otherwise the lane holds the extreme still, be it another
			}
			if held {
				stale.add(group)
			} else {
				changed.add(group)
			}
		}
	}
}

func (e *extremes) value(group uint32) (float64, bool) {
	a := &e.acc[group]
	return a.v, a.has
}

func (e *extremes) bytes() int { return 16 * cap(e.acc) }

package exec

import (
	"math"
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
)

// spreads is the fold of stdvar and stddev, by Welford's method, which is PromQL's, too.
type spreads struct {
	root  bool
	acc   []spread
	lanes []uint32 // memory of one
}

// spread is the mean of n values and the sum of the squares of their distances from it.
type spread struct {
	mean, squares, n float64
}

// take takes in x. What is not finite makes the squares NaN, a first infinity included.
func (s *spread) take(x float64) {
	if s.n++; s.n == 1 {
		s.mean, s.squares = x, x-x
		return
	}
	d := x - s.mean
	s.mean += d / s.n
	s.squares += d * (x - s.mean)
}

func (s *spreads) grow(groups int) { s.acc = column.GrowSlice(s.acc, groups) }

func (s *spreads) all(c *column.Column, g *groups) {
	clear(s.acc)
	if group, ok := g.only(); ok {
		s.acc[group] = allSpread(c)
		return
	}
	acc, ids := s.acc, g.members.id
	for w, ok := range c.OK {
		if ok == 0 {
			continue
		}
		v, id := c.V[w*column.WordLanes:][:column.WordLanes], ids[w*column.WordLanes:][:column.WordLanes]
		if ok == ^uint64(0) {
			for i, x := range v {
				acc[id[i]].take(x)
			}
			continue
		}
		for ; ok != 0; ok &= ok - 1 {
			i := bits.TrailingZeros64(ok)
			acc[id[i]].take(v[i])
		}
	}
}

// allSpread folds a column of which all is one group's.
func allSpread(c *column.Column) spread {
	var a spread
	for w, ok := range c.OK {
		v := c.V[w*column.WordLanes:][:column.WordLanes]
		for ; ok != 0; ok &= ok - 1 {
			a.take(v[bits.TrailingZeros64(ok)])
		}
	}
	return a
}

// one goes by the order of lanes, as all does: rounding, and what an overflow ends as, depend on it.
func (s *spreads) one(c *column.Column, g *groups, group uint32) {
	var a spread
	s.lanes = g.valid(s.lanes[:0], c, group)
	for _, lane := range s.lanes {
		a.take(c.V[lane])
	}
	s.acc[group] = a
}

func (s *spreads) apply(in *output, g *groups, _, stale *idSet) { staleGroups(in, g, stale) }

func (s *spreads) value(group uint32) (float64, bool) {
	a := &s.acc[group]
	if a.n == 0 {
		return 0, false
	}
	if s.root {
		return math.Sqrt(a.squares / a.n), true
	}
	return a.squares / a.n, true
}

func (s *spreads) bytes() int { return 24*cap(s.acc) + 4*cap(s.lanes) }

package exec

import (
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
)

// counts is the fold of count, and if single of group, which is 1 wherever count is not 0.
type counts struct {
	single bool
	n      []uint32
}

func (k *counts) grow(groups int) { k.n = column.GrowSlice(k.n, groups) }

func (k *counts) all(c *column.Column, g *groups) {
	clear(k.n)
	if group, ok := g.only(); ok {
		k.n[group] = uint32(c.OK.Count())
		return
	}
	ids, n := g.members.id, k.n
	for w, ok := range c.OK {
		if ok == 0 {
			continue
		}
		id := ids[w*column.WordLanes:][:column.WordLanes]
		if ok == ^uint64(0) {
			for _, group := range id {
				n[group]++
			}
			continue
		}
		for ; ok != 0; ok &= ok - 1 {
			n[id[bits.TrailingZeros64(ok)]]++
		}
	}
}

func (k *counts) one(c *column.Column, g *groups, group uint32) {
	k.n[group] = 0
	for lane := g.members.head[group]; lane != none; lane = g.members.next[lane] {
		if c.OK.Has(lane) {
			k.n[group]++
		}
	}
}

func (k *counts) apply(in *output, g *groups, changed, _ *idSet) {
	for i, w := range in.marks.Words() {
		old, ok := in.marks.Old(i).OK, in.column.OK[w]
		ids := g.members.id[w*column.WordLanes:]
		for lanes := old ^ ok; lanes != 0; lanes &= lanes - 1 {
			l := bits.TrailingZeros64(lanes)
			group := ids[l]
			if ok>>l&1 != 0 {
				k.n[group]++
			} else {
				k.n[group]--
			}
			changed.add(group)
		}
	}
}

func (k *counts) value(group uint32) (float64, bool) {
	n := k.n[group]
	if k.single && n > 0 {
		n = 1
	}
	return float64(n), n > 0
}

func (k *counts) bytes() int { return 4 * cap(k.n) }

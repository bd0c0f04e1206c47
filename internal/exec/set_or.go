package exec

import (
	"math/bits"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// union is or: the left side's elements, and those of the right side whose signature the left side has not. It has lanes
// of its own, one for each lane of either side.
type union struct {
	output
	pairing
	own column.Lanes
	// leftAt and rightAt are the own lanes by lane of the sides; from is the other way round: the lane of the side,
	// doubled, plus one for the right side; none where the lane is not in use.
	leftAt, rightAt []uint32
	from            []uint32
	word            column.Word
}

func newUnion(n *plan.Node, p pairing) *union {
	u := &union{pairing: p}
	u.node = n
	l, r := p.left.in, p.right.in
	u.lanes, u.labels = &u.own, u.fromLabels
	// Lanes of both sides may have equal labels. Then they have equal signatures, and only one has a value.
	u.unique = l.unique && r.unique
	u.named = l.named || r.named
	u.oneName = !u.named
	u.bind()
	return u
}

func (u *union) fromLabels(lane uint32) labels.Labels {
	from := u.from[lane]
	if from&1 != 0 {
		return u.right.in.labels(from >> 1)
	}
	return u.left.in.labels(from >> 1)
}

func (u *union) bind() {
	u.follow()
	u.leftAt = growNone(u.leftAt, u.left.in.lanes.Len())
	u.rightAt = growNone(u.rightAt, u.right.in.lanes.Len())
	for _, lane := range u.left.went {
		u.goes(&u.left, u.leftAt, lane)
	}
	for _, lane := range u.right.went {
		u.goes(&u.right, u.rightAt, lane)
	}
	for _, lane := range u.left.came {
		u.comes(&u.left, u.leftAt, lane, 0)
	}
	for _, lane := range u.right.came {
		u.comes(&u.right, u.rightAt, lane, 1)
	}
	u.from = growNone(u.from, column.Words(u.own.Len())*column.WordLanes)
	u.column.Grow(u.own.Len())
}

func (u *union) goes(s *side, at []uint32, lane uint32) {
	u.release(s, lane)
	u.own.Release(at[lane])
	u.from[at[lane]] = none
	at[lane] = none
}

func (u *union) comes(s *side, at []uint32, lane, right uint32) {
	u.pairing.bind(s, lane)
	own := u.own.Bind()
	u.from = growNone(u.from, u.own.Len())
	u.from[own] = lane<<1 | right
	at[lane] = own
}

func (u *union) full(int64) error {
	u.start()
	u.countAll(&u.left)
	for w := range u.column.OK {
		u.column.OK[w] = u.compute(w, wordOf(u.column.V, w))
	}
	return nil
}

// compute computes word w into dst and returns which of its lanes have values.
func (u *union) compute(w int, dst *lanes64) (ok uint64) {
	left, right := &u.left.in.column, &u.right.in.column
	for i, from := range (*[column.WordLanes]uint32)(u.from[w*column.WordLanes:]) {
		if from == none {
			continue
		}
		lane := from >> 1
		at, has := lane/column.WordLanes, lane%column.WordLanes
		if from&1 == 0 {
			dst[i] = left.V[lane]
			ok |= (left.OK[at] >> has & 1) << uint(i)
			continue
		}
		dst[i] = right.V[lane]
		if right.OK[at]>>has&1 != 0 && u.present[u.right.of.id[lane]] == 0 {
			ok |= 1 << uint(i)
		}
	}
	return ok
}

func (u *union) update(int64) error {
	all := u.moved()
	u.start()
	if all {
		u.countAll(&u.left)
		for w := range u.column.OK {
			u.dirty.add(uint32(w))
		}
	} else {
		u.reach(&u.left, u.leftAt)
		u.reach(&u.right, u.rightAt)
		for i := range u.left.in.marks.Words() {
			u.recount(&u.left, i, u.reachRight)
		}
	}
	for _, w := range u.dirty.list {
		v, old := wordOf(u.column.V, int(w)), u.column.OK[w]
		if u.word.OK = u.compute(int(w), &u.word.V); equalWord(&u.word, v[:], old) {
			continue
		}
		u.marks.Add(w, v[:], old)
		*v, u.column.OK[w] = u.word.V, u.word.OK
	}
	return nil
}

// reach finds the own words that the marks of a side lead to.
func (u *union) reach(s *side, at []uint32) {
	in := s.in
	for i, w := range in.marks.Words() {
		lanes := differing(in.marks.Old(i), in.column.V[w*column.WordLanes:], in.column.OK[w])
		for ; lanes != 0; lanes &= lanes - 1 {
			lane := int(w)*column.WordLanes + bits.TrailingZeros64(lanes)
			if lane < len(at) && at[lane] != none {
				u.dirty.add(at[lane] / column.WordLanes)
			}
		}
	}
}

// reachRight finds the own words of the right side's lanes with a signature.
func (u *union) reachRight(sig uint32) {
	of := &u.right.of
	for l := of.head[sig]; l != none; l = of.next[l] {
		u.dirty.add(u.rightAt[l] / column.WordLanes)
	}
}

func (u *union) bytes() int {
	return u.column.Bytes() + u.pairing.bytes() + u.own.Bytes() + 4*(cap(u.leftAt)+cap(u.rightAt)+cap(u.from))
}

package exec

import (
	"math"
	"math/bits"
	"slices"

	"github.com/tocsin/tocsin/internal/column"
)

// hugeBits is the magnitude, as bits, from which on values are folded with care: sums of fewer than 2³² smaller ones
// cannot overflow. Infinities and NaN are above it, too.
const hugeBits = (1023 + 991) << 52

// signBit is a float64's.
const signBit = 1 << 63

// dust is the part of the largest value that went through a sum below which what is left of the sum is not trusted.
const dust = 1.0 / (1 << 32)

// sums is the fold of sum and avg. A sum is kept in double-double arithmetic, so that values can be taken out of it
// again; what is not finite or near overflow is counted instead, and folded as PromQL does it where the order matters.
type sums struct {
	avg bool
	acc []sum
	// odd counts the members that acc leaves out; it has groups only where there ever were any.
	odd []oddMembers
	// scale is the largest magnitude that inexact updates since the last fold took in or out of the sum, by group.
	scale []float64
	lanes []uint32 // memory of one
}

// sum is hi+lo, the exact sum but for a part of 2⁻¹⁰⁶ or so of the largest member, of n members of which odd are left
// out.
type sum struct {
	hi, lo float64
	n, odd uint32
}

// oddMembers are those that are NaN, infinite, or huge. slow is what PromQL's way of folding gives if there are huge ones.
type oddMembers struct {
	nan, pos, neg, huge uint32
	slow                careful
}

func (s *sum) add(x float64) { s.hi, s.lo = twoSum(s.hi, s.lo, x) }

// twoSum adds x to hi+lo by Knuth's TwoSum: hi+x without rounding error is the new hi and what goes to lo.
func twoSum(hi, lo, x float64) (float64, float64) {
	t := hi + x
	b := t - hi
	return t, lo + ((hi - (t - b)) + (x - b))
}

func isOdd(x float64) bool { return math.Float64bits(x)&^signBit >= hugeBits }

func (s *sums) grow(groups int) {
	s.acc = column.GrowSlice(s.acc, groups)
	s.scale = column.GrowSlice(s.scale, groups)
}

func (s *sums) all(c *column.Column, g *groups) {
	clear(s.acc)
	clear(s.odd)
	clear(s.scale)
	if group, ok := g.only(); ok {
		s.acc[group] = s.allOfOne(c, group)
	} else {
		s.scatter(c, g.members.id)
	}
	s.foldHuge(c, g.members.id)
}

func (s *sums) scatter(c *column.Column, ids []uint32) {
	acc := s.acc
	for w, ok := range c.OK {
		if ok == 0 {
			continue
		}
		v, id := c.V[w*column.WordLanes:][:column.WordLanes], ids[w*column.WordLanes:][:column.WordLanes]
		if ok == ^uint64(0) {
			for i, x := range v {
				a := &acc[id[i]]
				a.n++
				if isOdd(x) {
					s.takeOdd(id[i], x, 1)
					continue
				}
				a.add(x)
			}
			continue
		}
		for ; ok != 0; ok &= ok - 1 {
			i := bits.TrailingZeros64(ok)
			s.take(id[i], v[i])
		}
	}
}

func (s *sums) take(group uint32, x float64) {
	a := &s.acc[group]
	a.n++
	if isOdd(x) {
		s.takeOdd(group, x, 1)
		return
	}
	a.add(x)
}

// takeOdd counts x, which is left out of the sum, n (1 or -1) times.
func (s *sums) takeOdd(group uint32, x float64, n uint32) {
	s.odd = column.GrowSlice(s.odd, len(s.acc))
	s.acc[group].odd += n
	o := &s.odd[group]
	switch {
	case x != x:
		o.nan += n
	case x > math.MaxFloat64:
		o.pos += n
	case x < -math.MaxFloat64:
		o.neg += n
	default:
		o.huge += n
	}
}

// allOfOne folds a column of which all is one group's.
func (s *sums) allOfOne(c *column.Column, group uint32) sum {
	var n uint32
	var hi, lo float64
	for w, ok := range c.OK {
		if ok == 0 {
			continue
		}
		v := (*[column.WordLanes]float64)(c.V[w*column.WordLanes:])
		n += uint32(bits.OnesCount64(ok))
		if ok == ^uint64(0) && !anyOdd(v) {
			for _, x := range v {
				hi, lo = twoSum(hi, lo, x)
			}
			continue
		}
		for ; ok != 0; ok &= ok - 1 {
			x := v[bits.TrailingZeros64(ok)]
			if isOdd(x) {
				s.takeOdd(group, x, 1)
				continue
			}
			hi, lo = twoSum(hi, lo, x)
		}
	}
	return sum{hi: hi, lo: lo, n: n, odd: s.acc[group].odd}
}

// anyOdd reports whether a value of a full word is odd.
func anyOdd(v *[column.WordLanes]float64) bool {
	var most uint64
	for _, x := range v {
		most = max(most, math.Float64bits(x)&^signBit)
	}
	return most >= hugeBits
}

// foldHuge folds the groups with huge members in the order of lanes.
func (s *sums) foldHuge(c *column.Column, ids []uint32) {
	if !slices.ContainsFunc(s.odd, func(o oddMembers) bool { return o.huge > 0 }) {
		return
	}
	for w, ok := range c.OK {
		for ; ok != 0; ok &= ok - 1 {
			lane := w*column.WordLanes + bits.TrailingZeros64(ok)
			if o := &s.odd[ids[lane]]; o.huge > 0 {
				o.slow.add(c.V[lane], s.avg)
			}
		}
	}
}

func (s *sums) one(c *column.Column, g *groups, group uint32) {
	s.acc[group], s.scale[group] = sum{}, 0
	if s.odd != nil {
		s.odd = column.GrowSlice(s.odd, len(s.acc))
		s.odd[group] = oddMembers{}
	}
	for lane := g.members.head[group]; lane != none; lane = g.members.next[lane] {
		if c.OK.Has(lane) {
			s.take(group, c.V[lane])
		}
	}
	if s.acc[group].odd == 0 || s.odd[group].huge == 0 {
		return
	}
	s.lanes = g.valid(s.lanes[:0], c, group)
	for _, lane := range s.lanes {
		s.odd[group].slow.add(c.V[lane], s.avg)
	}
}

func (s *sums) apply(in *output, g *groups, changed, stale *idSet) {
	for i, w := range in.marks.Words() {
		old, ok := in.marks.Old(i), in.column.OK[w]
		v, ids := in.column.V[w*column.WordLanes:], g.members.id[w*column.WordLanes:]
		for lanes := changedLanes(old, v, ok); lanes != 0; lanes &= lanes - 1 {
			l := bits.TrailingZeros64(lanes)
			group := ids[l]
			if old.OK>>l&1 != 0 {
				s.acc[group].n--
				s.move(group, old.V[l], true)
			}
			if ok>>l&1 != 0 {
				s.acc[group].n++
				s.move(group, v[l], false)
			}
			changed.add(group)
		}
	}
	for _, group := range changed.list {
		if s.doubtful(group) {
			stale.add(group)
		}
	}
}

// move takes x into the group's sum, or out of it.
func (s *sums) move(group uint32, x float64, out bool) {
	if isOdd(x) {
		n := uint32(1)
		if out {
			n = ^uint32(0)
		}
		s.takeOdd(group, x, n)
		return
	}
	if out {
		x = -x
	}
	a := &s.acc[group]
	lo := a.lo
	a.add(x)
	if lo != 0 || a.lo != 0 {
		s.scale[group] = max(s.scale[group], math.Abs(x))
	}
}

// doubtful reports whether the group is to be folded anew: it has huge members, or so much of it was taken out that
// rounding errors may be what is left. While lo stays 0, as with whole numbers, there are none.
func (s *sums) doubtful(group uint32) bool {
	a := &s.acc[group]
	if a.odd > 0 && s.odd[group].huge > 0 {
		return true
	}
	return s.scale[group] > 0 && math.Abs(a.hi+a.lo) < s.scale[group]*dust
}

func (s *sums) value(group uint32) (float64, bool) {
	a := &s.acc[group]
	if a.n == 0 {
		return 0, false
	}
	if a.odd > 0 {
		return s.odd[group].value(s.avg), true
	}
	if s.avg {
		n := float64(a.n)
		return a.hi/n + a.lo/n, true
	}
	return a.hi + a.lo, true
}

func (o *oddMembers) value(avg bool) float64 {
	switch {
	case o.nan > 0 || o.pos > 0 && o.neg > 0:
		return math.NaN()
	case o.huge > 0:
		return o.slow.value(avg)
	case o.pos > 0:
		return math.Inf(1)
	}
	return math.Inf(-1)
}

func (s *sums) bytes() int {
	return 24*cap(s.acc) + 8*cap(s.scale) + 64*cap(s.odd) + 4*cap(s.lanes)
}

package threshold

import (
	"math"
	"math/bits"
	"slices"
)

// Slots are numbered so that neighbours lie side by side: 2 is what is less than all constants, 3 the least constant, 4
// what is between it and the second, and so on. Before them come two that are no numbers.
const (
	slotAbsent = iota // the lane has no value
	slotNaN
	slotFirst
)

// isPoint reports whether slot is a constant, or NaN, which is like a constant that no line has.
func isPoint(slot uint32) bool { return slot&1 != 0 }

// pointOf returns which constant a slot is: the least is 1. 0 is NaN.
func pointOf(slot uint32) uint32 { return slot / 2 }

// scale is the sorted constants and the slots between them.
type scale struct {
	// keys are the constants, ascending, each once, as numbers that compare like them.
	keys []uint64
	// bounds are the least and the greatest number by slot. Nothing is within those of what is no number.
	bounds [][2]float64
}

// newScale makes a scale of the lines' constants.
func newScale(lines []*Line) scale {
	keys := make([]uint64, 0, len(lines))
	for _, l := range lines {
		keys = append(keys, keyOf(l.c))
	}
	slices.Sort(keys)
	s := scale{keys: slices.Clip(slices.Compact(keys))}
	nothing := [2]float64{math.NaN(), math.NaN()}
	s.bounds = make([][2]float64, 0, slotFirst+2*len(s.keys)+1)
	s.bounds = append(s.bounds, nothing, nothing)
	lo := math.Inf(-1)
	for _, k := range s.keys {
		c := numberOf(k)
		s.bounds = append(s.bounds, [2]float64{lo, math.Nextafter(c, math.Inf(-1))}, [2]float64{c, c})
		lo = math.Nextafter(c, math.Inf(1))
	}
	s.bounds = append(s.bounds, [2]float64{lo, math.Inf(1)})
	return s
}

// keyOf returns a number that is less than another one's if, and only if, v is. v is not NaN; both zeros have one key.
func keyOf(v float64) uint64 {
	b := math.Float64bits(v + 0) // -0 becomes 0
	return b ^ (uint64(int64(b)>>63) | 1<<63)
}

// numberOf is the inverse of keyOf.
func numberOf(k uint64) float64 { return math.Float64frombits(k ^ (uint64(int64(^k)>>63) | 1<<63)) }

// slot returns where v is.
func (s *scale) slot(v float64) uint32 {
	if v != v {
		return slotNaN
	}
	if len(s.keys) == 0 {
		return slotFirst
	}
	// A binary search without branches that depend on v: which way it goes cannot be foreseen.
	k, at, n := keyOf(v), 0, len(s.keys)
	for n > 1 {
		half := n >> 1
		_, less := bits.Sub64(s.keys[at+half-1], k, 0)
		at += half & -int(less)
		n -= half
	}
	_, less := bits.Sub64(s.keys[at], k, 0)
	// at+less constants are less than v.
	slot := slotFirst + 2*uint32(at) + 2*uint32(less)
	if s.keys[at] == k {
		slot++
	}
	return slot
}

// span is slots side by side.
type span struct{ first, last uint32 }

// spans returns, by slot of another scale, in which slots its numbers are here.
func (s *scale) spans(other *scale) []span {
	spans := make([]span, len(other.bounds))
	for i, b := range other.bounds {
		spans[i] = span{s.slot(b[0]), s.slot(b[1])}
	}
	return spans
}

// bytes returns what the scale occupies.
func (s *scale) bytes() int { return 8*cap(s.keys) + 16*cap(s.bounds) }

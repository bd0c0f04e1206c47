// Package column holds what the compiled engine passes from room to room: bitmaps, columns of values, lanes that series
// and groups occupy, and marks on what changed.
//
// A lane is one series' place, an index from 0. A column is a float64 a lane with a bitmap that says which lanes have a
// value. Bits stand 64 lanes to a word, lane l in word l/64 at bit l%64; work is done and marked word by word. The package
// must not know samples, time or expressions. Nothing here is safe for concurrent use.
package column

import "math/bits"

// WordLanes is how many lanes a word of a bitmap holds.
const WordLanes = 64

// Words returns how many words hold n lanes.
func Words(n int) int { return (n + WordLanes - 1) / WordLanes }

// Bitmap is one bit a lane. Bits past the last lane are zero.
type Bitmap []uint64

// Has reports whether the bit of lane is set.
func (b Bitmap) Has(lane uint32) bool { return b[lane/WordLanes]>>(lane%WordLanes)&1 != 0 }

// Set sets the bit of lane.
func (b Bitmap) Set(lane uint32) { b[lane/WordLanes] |= 1 << (lane % WordLanes) }

// Unset clears the bit of lane.
func (b Bitmap) Unset(lane uint32) { b[lane/WordLanes] &^= 1 << (lane % WordLanes) }

// Count returns how many bits are set.
func (b Bitmap) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Grow returns b with room for n lanes; new bits are zero. Capacity at least doubles, so that growing lane by lane costs
// constant work each.
func (b Bitmap) Grow(n int) Bitmap { return grow(b, Words(n)) }

// Column is a value a lane and which of them count. V has room for whole words: len(V) == 64·len(OK). What stands in V
// where OK has no bit means nothing and may be anything.
type Column struct {
	V  []float64
	OK Bitmap
}

// Grow makes room for n lanes; new ones have no value.
func (c *Column) Grow(n int) {
	c.V = grow(c.V, Words(n)*WordLanes)
	c.OK = c.OK.Grow(n)
}

// Bytes returns what the column occupies.
func (c *Column) Bytes() int { return 8 * (cap(c.V) + cap(c.OK)) }

// grow returns s with length at least n, new elements zero.
func grow[S ~[]E, E any](s S, n int) S {
	if n <= len(s) {
		return s
	}
	if n <= cap(s) {
		return s[:n] // Never shortened, so what lies beyond the length was not written to.
	}
	bigger := make(S, n, max(n, 2*cap(s)))
	copy(bigger, s)
	return bigger
}

// GrowSlice is the growth of columns for the arrays that stand beside them.
func GrowSlice[E any](s []E, n int) []E { return grow(s, n) }

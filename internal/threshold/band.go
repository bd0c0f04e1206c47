package threshold

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/tocsin/tocsin/internal/column"
)

// band is the lines that change once from one end of the scale to the other, in the order in which they do: those that
// hold above it (> and >=), or those that hold below (< and <=). A lane without a number is where none of them holds: at
// the low end for the former, at the high end for the latter.
type band struct {
	lines []*Line
	// below is, by slot, how many lines change at or below it. A lane that goes from one slot to another changes the
	// lines between both numbers.
	below []uint32
	// falling says that the lines hold below where they change.
	falling bool

	// What a word's lanes do is collected first: delta is, by line, the lanes that begin or end to change lines there,
	// events a bit for each that is not zero. Both are zero between two words.
	delta     []uint64
	events    column.Bitmap
	low, high int // which words of events are not zero
}

// newBand makes a band of those lines of all that belong to it.
func newBand(all []*Line, s *scale, falling bool) band {
	b := band{falling: falling, low: noEvent, high: -1}
	for _, l := range all {
		if falling && (l.op == Less || l.op == LessEqual) || !falling && (l.op == Greater || l.op == GreaterEqual) {
			b.lines = append(b.lines, l)
		}
	}
	slices.SortFunc(b.lines, func(x, y *Line) int {
		return cmp.Or(cmp.Compare(x.c, y.c), cmp.Compare(x.changesAbove(), y.changesAbove()))
	})
	b.below = make([]uint32, len(s.bounds))
	for _, l := range b.lines {
		b.below[s.slot(l.c)+uint32(l.changesAbove())]++
	}
	for slot := slotFirst + 1; slot < len(b.below); slot++ {
		b.below[slot] += b.below[slot-1]
	}
	n := len(b.lines)
	if falling {
		b.below[slotAbsent], b.below[slotNaN] = uint32(n), uint32(n)
	}
	b.delta = make([]uint64, n+1)
	b.events = make([]uint64, column.Words(n+1))
	return b
}

// changesAbove is 0 where the line's constant itself is with what is above it, 1 where it is with what is below.
func (l *Line) changesAbove() int {
	if l.op == Greater || l.op == LessEqual {
		return 1
	}
	return 0
}

const noEvent = int(^uint(0) >> 1)

// move takes down that the lanes of mask go from one slot to another.
func (b *band) move(from, to uint32, mask uint64) {
	x, y := b.below[from], b.below[to]
	if x == y {
		return
	}
	b.delta[x] ^= mask
	b.delta[y] ^= mask
	b.events.Set(x)
	b.events.Set(y)
	b.low = min(b.low, int(x/column.WordLanes), int(y/column.WordLanes))
	b.high = max(b.high, int(x/column.WordLanes), int(y/column.WordLanes))
}

// apply changes the lines as taken down, in word w, and returns how many lanes changed in all lines together.
func (b *band) apply(w uint32, j *journal) (toggles int) {
	var mask uint64
	at := 0
	for n := b.low; n <= b.high; n++ {
		for e := b.events[n]; e != 0; e &= e - 1 {
			next := n*column.WordLanes + bits.TrailingZeros64(e)
			if mask != 0 {
				toggles += toggle(b.lines[at:next], w, mask, j)
			}
			mask ^= b.delta[next]
			b.delta[next] = 0
			at = next
		}
		b.events[n] = 0
	}
	b.low, b.high = noEvent, -1
	return toggles
}

// holding returns the lines that hold in any of the lanes that are in these slots.
func (b *band) holding(slots *[column.WordLanes]uint32, lanes uint64) []*Line {
	if len(b.lines) == 0 {
		return nil
	}
	if b.falling {
		from := uint32(len(b.lines))
		for ; lanes != 0; lanes &= lanes - 1 {
			from = min(from, b.below[slots[bits.TrailingZeros64(lanes)]])
		}
		return b.lines[from:]
	}
	to := uint32(0)
	for ; lanes != 0; lanes &= lanes - 1 {
		to = max(to, b.below[slots[bits.TrailingZeros64(lanes)]])
	}
	return b.lines[:to]
}

// bytes returns what the band occupies.
func (b *band) bytes() int { return 8*(cap(b.lines)+cap(b.delta)+cap(b.events)) + 4*cap(b.below) }

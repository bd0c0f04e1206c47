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
	// steps are what delta comes to for the words of a tile.
	steps [tileWords][]step
	any   bool // there are some
}

// step says that from a line on, up to the next step, lines change in the lanes of mask.
type step struct {
	line int
	mask uint64
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

// collect ends the n-th word of the tile.
func (b *band) collect(n int) {
	var mask uint64
	for i := b.low; i <= b.high; i++ {
		for e := b.events[i]; e != 0; e &= e - 1 {
			line := i*column.WordLanes + bits.TrailingZeros64(e)
			mask ^= b.delta[line]
			b.delta[line] = 0
			b.steps[n] = append(b.steps[n], step{line, mask})
		}
		b.events[i] = 0
	}
	b.any = b.any || b.low <= b.high
	b.low, b.high = noEvent, -1
}

// apply changes the lines as taken down for the words of t, and returns how many lanes changed in all lines together. It
// goes through some lines for all words before it goes on to the next: what it needs of them is near then.
func (b *band) apply(t *tile, j *journal) (toggles int) {
	if !b.any {
		return 0
	}
	b.any = false
	var done [tileWords]int // how many steps are over
	for end := blockLines; ; end += blockLines {
		for n := range t.n {
			steps, at := b.steps[n], done[n]
			for at+1 < len(steps) && steps[at].line < end {
				from, to := max(steps[at].line, end-blockLines), min(steps[at+1].line, end)
				if steps[at].mask != 0 {
					toggles += toggle(b.lines[from:to], t.words[n], n, steps[at].mask, j)
				}
				if steps[at+1].line > end {
					break
				}
				at++
			}
			done[n] = at
		}
		if end >= len(b.lines) {
			break
		}
	}
	for n := range t.n {
		b.steps[n] = b.steps[n][:0]
	}
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


package threshold

import (
	"math/bits"
	"slices"

	"github.com/tocsin/tocsin/internal/column"
)

// stale reports whether lines came or went since the index was built.
func (x *Index) stale() bool { return len(x.added) > 0 || x.gone > 0 }

// arrange lets moves change the given lines and no others.
func (x *Index) arrange(lines []*Line) {
	x.up = newBand(lines, &x.scale, false)
	x.down = newBand(lines, &x.scale, true)
	x.points = newPoints(lines, &x.scale)
}

// rebuild brings lines that came in and takes those out that went: it sorts the lines anew, finds each lane's slot between
// them, and says to the lines that came which lanes pass. v is the column that the lanes have been brought to.
func (x *Index) rebuild(v []float64) {
	isGone := func(l *Line) bool { return l.gone }
	x.journal.drop()
	for _, all := range [...]*[]*Line{&x.lines, &x.added} {
		for _, l := range *all {
			if l.gone {
				x.rows.giveBack(l)
			}
		}
		*all = slices.DeleteFunc(*all, isGone)
	}
	x.gone = 0
	before := len(x.lines)
	x.lines = append(x.lines, x.added...)
	x.added = nil
	for i, l := range x.lines {
		l.number = uint32(i)
	}
	old := x.scale
	x.scale = newScale(x.lines)
	x.arrange(x.lines[before:])
	spans := x.scale.spans(&old)
	for w := range x.words {
		x.seat(w, spans, v)
	}
	x.arrange(x.lines)
	if x.rows.wasteful() {
		x.moveRows(x.words)
	}
}

// seat finds the slots of word w in a new scale, in which the old one's slots have become these spans, and brings lines to
// it that have seen no lane yet. A lane whose value is not what it was brought to, because its word was not given, goes on
// as the least number of the slot that it was in: that is what the lines that were there before know of it.
func (x *Index) seat(w int, spans []span, v []float64) {
	lane := w * column.WordLanes
	values := (*[column.WordLanes]float64)(v[lane:])
	slots := (*[column.WordLanes]uint32)(x.slots[lane:])
	lo, hi := (*[column.WordLanes]float64)(x.lo[lane:]), (*[column.WordLanes]float64)(x.hi[lane:])
	for m := x.present[w]; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		to := spans[slots[i]]
		if to.first != to.last && lo[i] <= values[i] && values[i] <= hi[i] {
			to.first = x.scale.slot(values[i])
		}
		slots[i] = to.first
		lo[i], hi[i] = x.scale.bounds[to.first][0], x.scale.bounds[to.first][1]
		x.move(slotAbsent, to.first, 1<<i)
	}
	x.apply(uint32(w), x.present[w])
}

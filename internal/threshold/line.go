package threshold

import (
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
)

// Line is one comparison of the column with a constant. Its fields are for reading, and of the index: they are right after
// each Full and Update, and read anew after every call of one of the index's methods.
type Line struct {
	// OK is which lanes pass, Words, a bit a word of OK, which of its words are not zero.
	OK    column.Bitmap
	Words column.Bitmap

	// serial is the journal's when it last noted a change, noted how many changes it did.
	serial  uint64
	noted   uint32
	number  uint32 // of the line in the index
	changes []Change

	row  []uint64 // where OK and Words stand
	c    float64
	op   Op
	gone bool
}

// Change is a word of a line that changed.
type Change struct {
	// Word is the word, At its place among those that Update was given.
	Word, At uint32
	// OldOK is what the line's OK was there.
	OldOK uint64
}

// Changes returns the words of which Update found that a lane began or ceased to pass, or one that passes was said to have
// another value. They are in the order in which they were given. Full keeps no such list, and the first Full or Update
// after Add does not for the added line. It is valid until the next Full, Update or ClearChanges.
func (l *Line) Changes() []Change { return l.changes }

// Count returns how many lanes pass. It looks at the words that are not zero.
func (l *Line) Count() int {
	n := 0
	for i, summary := range l.Words {
		for ; summary != 0; summary &= summary - 1 {
			n += bits.OnesCount64(l.OK[i*column.WordLanes+bits.TrailingZeros64(summary)])
		}
	}
	return n
}

// Op returns how the line compares.
func (l *Line) Op() Op { return l.op }

// Constant returns what the line compares with.
func (l *Line) Constant() float64 { return l.c }

// toggle changes the lanes of mask in word w of all lines, and returns how many lanes changed in all of them together.
func toggle(lines []*Line, w uint32, mask uint64, j *journal) (toggles int) {
	if j.on {
		for _, l := range lines {
			j.note(l, l.OK[w])
		}
	}
	for _, l := range lines { // Nothing is called here, so that all stays in registers.
		old := l.OK[w]
		now := old ^ mask
		l.OK[w] = now
		if (now == 0) != (old == 0) { // Seldom, and Words is far from OK.
			l.Words[w/column.WordLanes] ^= 1 << (w % column.WordLanes)
		}
	}
	return bits.OnesCount64(mask) * len(lines)
}

package threshold

import (
	"math"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/kernel"
)

// Index is many lines over one column. The caller shows it the column, whole or the words that changed, and finds in the
// lines which lanes pass. Between two such calls the index knows nothing of what the column holds now.
type Index struct {
	lines []*Line // that stand in the bands and points, those that are gone since included
	added []*Line // that do not yet
	gone  int     // how many of both were removed
	rows  rows

	scale    scale
	up, down band
	points   points
	journal  journal

	// Of each lane, its slot and that slot's bounds; which lanes have a value.
	words   int
	slots   []uint32
	lo, hi  []float64
	present column.Bitmap

	run   kernel.Runner
	block kernel.Block
	same  []uint64 // which lanes of the block are in their slot still
	stats Stats
}

// Stats count what an index did since it was made.
type Stats struct {
	// Checked is how many values were looked at, Moved how many lanes came into another slot, Toggles how often a lane
	// began or ceased to pass a line.
	Checked, Moved, Toggles uint64
	// Answered is how many comparisons were answered: for each value that was looked at, as many as there were lines.
	// All but those in Toggles were answered without computing.
	Answered uint64
}

// New returns an index without lines. run runs the program that Check returns; the caller closes it when the index is not
// used any more. nil interprets.
func New(run kernel.Runner) *Index {
	if run == nil {
		run = kernel.NewInterpreter(Check())
	}
	x := &Index{run: run, block: kernel.Block{In: make([]kernel.Input, checkInputs)}}
	x.rows.reset(0)
	x.scale = newScale(nil)
	x.arrange(nil)
	return x
}

// Add makes a line. c is not NaN. Every call makes a line of its own, also where there is an equal one. Which lanes pass is
// known after the next Full or Update; making many lines between two of these costs little more than making one.
func (x *Index) Add(op Op, c float64) *Line {
	if c != c {
		panic("BUG: a threshold that is not a number")
	}
	if op > NotEqual {
		panic("BUG: a comparison that does not exist")
	}
	l := &Line{op: op, c: c}
	x.rows.lend(l, x.words)
	x.added = append(x.added, l)
	return l
}

// Remove takes a line of this index away. The line must not be used any more.
func (x *Index) Remove(l *Line) {
	if l.gone {
		panic("BUG: a line was removed twice")
	}
	l.gone = true
	x.gone++
}

// Len returns how many lines there are.
func (x *Index) Len() int { return len(x.lines) + len(x.added) - x.gone }

// Grow makes room for so many lanes; new ones have no value. There never are fewer again.
func (x *Index) Grow(lanes int) {
	words := column.Words(lanes)
	if words <= x.words {
		return
	}
	x.words = words
	from := len(x.slots)
	x.slots = column.GrowSlice(x.slots, words*column.WordLanes)
	x.lo = column.GrowSlice(x.lo, words*column.WordLanes)
	x.hi = column.GrowSlice(x.hi, words*column.WordLanes)
	for i := from; i < len(x.lo); i++ {
		x.lo[i], x.hi[i] = math.NaN(), math.NaN() // what an absent lane has
	}
	x.present = x.present.Grow(lanes)
	x.same = column.GrowSlice(x.same, min(words, kernel.MaxWords))
	if words > x.rows.words {
		x.moveRows(max(words, 2*x.rows.words))
		return
	}
	for _, all := range [...][]*Line{x.lines, x.added} {
		for _, l := range all {
			x.rows.stretch(l, words)
		}
	}
}

// moveRows gives all lines new memory for so many words.
func (x *Index) moveRows(capacity int) {
	x.rows.move(append(x.lines[:len(x.lines):len(x.lines)], x.added...), capacity, x.words)
}

// Changed returns the lines that have changes, each once. It is valid until the next Full, Update or
// ClearChanges.
func (x *Index) Changed() []*Line { return x.journal.lines }

// ClearChanges empties the lists of changes.
func (x *Index) ClearChanges() { x.journal.clear() }

// Stats returns what the index has done.
func (x *Index) Stats() Stats { return x.stats }

// Bytes returns what the index occupies, in bytes, apart from the runner.
func (x *Index) Bytes() int {
	n := x.rows.bytes() + x.scale.bytes() + x.up.bytes() + x.down.bytes() + x.points.bytes()
	n += 4*cap(x.slots) + 8*(cap(x.lo)+cap(x.hi)+cap(x.present)+cap(x.same))
	return n + x.journal.bytes() + 8*(cap(x.lines)+cap(x.added)) + lineBytes*(len(x.lines)+len(x.added))
}

// lineBytes is what a Line itself occupies.
const lineBytes = 128

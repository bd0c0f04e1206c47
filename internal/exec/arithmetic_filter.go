package exec

import (
	"math"

	"github.com/tocsin/tocsin/internal/plan"
)

// filter keeps a vector's values and lets through those elements for which a comparison with a scalar holds. Without a
// comparison it lets everything through: what is left of operations that are about labels or order only.
type filter struct {
	output
	in    vectorInput
	scale scalarInput
	holds comparisonKernel // nil: always
	// failure is what every evaluation comes to, nil usually.
	failure error
}

func newFilter(n *plan.Node, v, s operator, holds comparisonKernel) *filter {
	f := newPass(n, v)
	f.scale, f.holds = newScalarInput(s), holds
	return f
}

// newPass makes a filter that lets everything through and has its input's labels.
func newPass(n *plan.Node, v operator) *filter {
	f := &filter{in: newVectorInput(v)}
	f.node = n
	f.shape = v.out().shape
	return f
}

func (f *filter) bind() {
	f.in.bind()
	f.column.OK = f.column.OK.Grow(f.lanes.Len())
	f.column.V = f.in.column.V
}

// word returns which lanes of word w come through.
func (f *filter) word(w int, c float64) uint64 {
	ok := f.in.column.OK[w]
	if ok == 0 || f.holds == nil {
		return ok
	}
	return ok & f.holds(wordOf(f.column.V, w), c)
}

func (f *filter) full(t int64) error {
	f.in.moved()
	c, _ := f.operand(t)
	f.column.V = f.in.column.V
	for w := range f.column.OK {
		f.column.OK[w] = f.word(w, c)
	}
	return f.failure
}

// operand returns what to compare with, and whether it is another than last time.
func (f *filter) operand(t int64) (c float64, moved bool) {
	if f.holds == nil {
		return 0, false
	}
	return f.scale.take(t)
}

func (f *filter) update(t int64) error {
	f.column.V = f.in.column.V
	c, moved := f.operand(t)
	if f.in.moved() {
		f.recompute(c)
		return f.failure
	}
	for i, w := range f.in.marks.Words() {
		was, now := f.column.OK[w], f.word(int(w), c)
		v, old := wordOf(f.column.V, int(w)), f.in.marks.Old(i)
		stood := &old.V
		if was&^old.OK != 0 {
			// The input was marked by somebody who did not know what stood there: then it stands there still.
			stood = v
		}
		if was != now || !sameBits(stood, v, now) {
			f.marks.Add(w, stood[:], was)
			f.column.OK[w] = now
		}
	}
	if moved {
		f.rest(c)
	}
	return f.failure
}

// rest follows a scalar that changed through the words that the input did not mark.
func (f *filter) rest(c float64) {
	for w := range f.column.OK {
		if f.in.marks.Has(uint32(w)) {
			continue
		}
		was, now := f.column.OK[w], f.word(w, c)
		if was != now {
			f.marks.Add(uint32(w), wordOf(f.column.V, w)[:], was)
			f.column.OK[w] = now
		}
	}
}

// recompute computes all words after the input was evaluated for somebody else. The values that stood in what is shared
// are lost, so all words are marked, with NaN for the old values, and sums that others keep have to be made anew.
func (f *filter) recompute(c float64) {
	f.synced++
	var lost lanes64
	for i := range lost {
		lost[i] = math.NaN()
	}
	for w := range f.column.OK {
		was, now := f.column.OK[w], f.word(w, c)
		if was|now != 0 {
			f.marks.Add(uint32(w), lost[:], was)
			f.column.OK[w] = now
		}
	}
}

// bytes returns what the filter occupies; the values are its input's.
func (f *filter) bytes() int { return 8 * cap(f.column.OK) }

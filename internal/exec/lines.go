package exec

import (
	"math"
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/threshold"
)

// minLines is how many comparisons of one vector with numbers make an index over them worth its pass: about what one
// comparison's kernel costs, four times.
const minLines = 4

// lines are comparisons of one vector with numbers, which an index answers together: an evaluation looks at each lane
// once, not once for each comparison, and a comparison that nothing crossed costs nothing.
type lines struct {
	index  *threshold.Index
	runner kernel.Runner
	in     *output
	users  int
	env    *env
	// synced is the input's at the last evaluation, pulse the last one followed; evaluated says that there was one, stale
	// that lines were added since.
	synced, pulse    uint64
	evaluated, stale bool
	// differ are, by place in the input's marks, the lanes whose values the running pulse changed.
	differ []uint64
	// hits are the evaluations of comparisons that another had brought about.
	hits uint64
}

func newLines(in *output, e *env) *lines {
	x := &lines{runner: e.open(threshold.Check(), "is no threshold crossed"), in: in, env: e}
	x.index = threshold.New(x.runner)
	return x
}

// bring brings the index to the column's present values, once for all who ask at the same evaluation.
func (x *lines) bring() {
	if x.evaluated && x.synced == x.in.synced && !x.stale {
		x.hits++
		return
	}
	x.evaluated, x.stale, x.synced = true, false, x.in.synced
	x.pulse = x.env.pulse // What is marked is there already.
	x.index.Full(x.in.column.V, x.in.column.OK)
}

// follow lets the index follow the input's marks, once in a pulse.
func (x *lines) follow() {
	switch {
	case !x.evaluated || x.synced != x.in.synced:
		x.bring()
		return
	case x.pulse == x.env.pulse:
		x.hits++
		return
	}
	x.pulse, x.stale = x.env.pulse, false
	x.differ = x.differ[:0]
	marks := &x.in.marks
	for i, w := range marks.Words() {
		x.differ = append(x.differ, differingBits(marks.Old(i), wordOf(x.in.column.V, int(w)), x.in.column.OK[w]))
	}
	x.index.Update(marks.Words(), x.differ, x.in.column.V, x.in.column.OK)
}

// differingBits returns the lanes of ok that have other bits than before, or had no value.
func differingBits(old *column.Word, v *lanes64, ok uint64) (lanes uint64) {
	for i := range v {
		lanes |= bit(math.Float64bits(v[i]) != math.Float64bits(old.V[i])) << uint(i)
	}
	return (lanes | ^old.OK) & ok
}

// lined is a filter by a number that an index answers.
type lined struct {
	output
	in    vectorInput
	lines *lines
	line  *threshold.Line
	// seen are the words that were not empty at the last evaluation.
	seen column.Bitmap
}

func newLined(n *plan.Node, v operator, x *lines, c float64) *lined {
	op := n.Binary.Op
	if n.In[0].Scalar {
		op = mirrored(op)
	}
	f := &lined{in: newVectorInput(v), lines: x}
	f.node = n
	f.shape = v.out().shape
	f.line = x.index.Add(thresholdOp(op), c)
	x.users++
	x.stale = true
	return f
}

func thresholdOp(op plan.Operator) threshold.Op {
	switch op {
	case plan.Equal:
		return threshold.Equal
	case plan.NotEqual:
		return threshold.NotEqual
	case plan.Less:
		return threshold.Less
	case plan.LessEqual:
		return threshold.LessEqual
	case plan.Greater:
		return threshold.Greater
	case plan.GreaterEqual:
		return threshold.GreaterEqual
	}
	panic("BUG: not a comparison: " + op.String())
}

func (f *lined) close() {
	f.lines.index.Remove(f.line)
	f.lines.users--
}

func (f *lined) bind() {
	f.in.bind()
	f.lines.index.Grow(f.lanes.Len())
	f.show()
}

// show lets the column be the input's values and the line's presence.
func (f *lined) show() {
	f.column.V, f.column.OK = f.in.column.V, f.line.OK
	f.occupied = f.line.Words
}

func (f *lined) full(int64) error {
	f.in.moved()
	f.lines.bring()
	f.show()
	f.see()
	return nil
}

func (f *lined) see() { f.seen = append(f.seen[:0], f.line.Words...) }

func (f *lined) update(int64) error {
	f.lines.follow()
	f.show()
	if f.in.moved() {
		f.remake()
	} else {
		f.mark()
	}
	f.see()
	return nil
}

// mark marks the words where elements came or went, and those where the value of one that stayed is another.
func (f *lined) mark() {
	marks := &f.in.marks
	for _, c := range f.line.Changes() {
		stood := f.column.V[c.Word*column.WordLanes:][:column.WordLanes]
		// Marked by somebody who did not know what stood there, it stands there still.
		if old := marks.Old(int(c.At)); c.OldOK&^old.OK == 0 {
			stood = old.V[:]
		}
		f.marks.Add(c.Word, stood, c.OldOK)
	}
}

// remake marks everything after the input was evaluated for somebody else: what stood there is lost, so those who keep
// sums make them anew, and whether elements came or went is taken to be so.
func (f *lined) remake() {
	f.synced++
	var lost lanes64
	for i := range lost {
		lost[i] = math.NaN()
	}
	for at := range f.line.Words {
		words := f.line.Words[at]
		if at < len(f.seen) {
			words |= f.seen[at]
		}
		for ; words != 0; words &= words - 1 {
			w := uint32(at*column.WordLanes + bits.TrailingZeros64(words))
			f.marks.Add(w, lost[:], ^f.line.OK[w])
		}
	}
}

// bytes returns what the filter occupies; the values are its input's, and the index counts the rest.
func (f *lined) bytes() int { return 8 * cap(f.seen) }

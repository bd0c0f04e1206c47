package exec

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/plan"
)

// fused computes a run of element-wise nodes by a kernel. All of its inputs have the same lanes.
type fused struct {
	output
	*work
	in []vectorInput
	// shared is the input whose values are the result's, so that only presence is computed; -1 if none.
	shared int
	// joined is a vector of everybody who has a lane, without names: where series bear what goes with their names, a
	// type or a unit, they may come to have equal labels, which only tier 0 can tell from harmless.
	joined output
	names  nameless
	mixed  bool // see lowering

	dirty idSet
}

// newFused makes the operator of n over the operators of at, by key; nil where the inputs' labels do not allow it.
func newFused(d *demand, n *plan.Node, at map[string]operator, e *env) *fused {
	l, result, ok := lower(d, n, at)
	if !ok {
		return nil
	}
	f := &fused{shared: -1}
	f.node = n
	for _, in := range l.inputs {
		f.in = append(f.in, newVectorInput(in))
	}
	f.describe(result, l.drops || l.joins)
	f.mixed = l.mixed
	value := result.value
	for place := range l.inputs {
		if value == l.b.Load(place) {
			f.shared, value = place, kernel.None
		}
	}
	f.work = newWork(l, value, result.mask, e, n.Text())
	return f
}

// describe sets the shape.
func (f *fused) describe(result part, watches bool) {
	from := f.in[result.from].shape
	f.shape = from
	if result.stripped {
		named := from.labels
		f.shape.labels = func(lane uint32) labels.Labels { return dropName(named(lane)) }
		f.shape.named, f.shape.oneName = false, true
	}
	if !watches {
		return
	}
	watched := from
	for i := range f.in {
		if f.in[i].named {
			watched = f.in[i].shape
			break
		}
	}
	f.names = newNameless(watched)
	f.joined.shape = f.names.shape()
}

func (f *fused) close() { f.runner.Close() }

func (f *fused) bind() {
	for i := range f.in {
		f.in[i].bind()
	}
	if f.shared >= 0 {
		f.column.OK = f.column.OK.Grow(f.lanes.Len())
		f.share()
	} else {
		f.column.Grow(f.lanes.Len())
	}
	if f.joined.lanes != nil {
		f.names.bind()
	}
}

func (f *fused) share() {
	if f.shared >= 0 {
		f.column.V = f.in[f.shared].column.V
	}
}

// moved reports whether an input was evaluated in full since the last call.
func (f *fused) moved() (moved bool) {
	for i := range f.in {
		moved = f.in[i].moved() || moved
	}
	return moved
}

// check fails where elements may have met that bear equal labels.
func (f *fused) check() error {
	switch {
	case f.names.watched == nil:
		return nil
	case f.mixed:
		return errDuplicate // Some that stand side by side may not meet.
	}
	f.joined.column.OK = f.joined.lanes.Live()
	return f.names.check(&f.joined)
}

func (f *fused) full(t int64) error {
	f.settle(t)
	f.moved()
	f.share()
	for from, words := 0, len(f.column.OK); from < words; from += kernel.MaxWords {
		f.runFrom(from, min(kernel.MaxWords, words-from), f.column.V[from*column.WordLanes:], f.column.OK[from:])
	}
	return f.check()
}

// runFrom computes words from the from-th on into v, unless values are shared, and ok.
func (f *fused) runFrom(from, words int, v []float64, ok []uint64) {
	for i := range f.block.In {
		c := &f.in[i].column
		f.block.In[i] = kernel.Input{V: c.V[from*column.WordLanes:], OK: c.OK[from:]}
	}
	f.run(words, v, ok)
}

// compute computes word w into f.word, unless values are shared, and returns which lanes have a value.
func (f *fused) compute(w int) uint64 {
	f.runFrom(w, 1, f.word[:], f.ok[:])
	return f.ok[0]
}

func (f *fused) update(t int64) error {
	other := f.settle(t)
	f.share()
	switch all := f.moved(); {
	case f.shared >= 0:
		f.updateShared(all, other)
	case all || other:
		for w := range f.column.OK {
			f.redo(w)
		}
	default:
		f.dirty.clear()
		for i := range f.in {
			for _, w := range f.in[i].marks.Words() {
				if f.dirty.add(w) { // another input may have it marked, too
					f.redo(int(w))
				}
			}
		}
	}
	return f.check()
}

// redo computes word w again, and marks it if it comes out otherwise.
func (f *fused) redo(w int) {
	ok := f.compute(w)
	was, v := f.column.OK[w], wordOf(f.column.V, w)
	if ok == was && sameBits(&f.word, v, ok) {
		return
	}
	f.marks.Add(uint32(w), v[:], was)
	f.column.OK[w] = ok
	if ok != 0 {
		*v = f.word
	}
}

// updateShared is update where the values are an input's. all says that inputs were evaluated for somebody else, other
// that parameters changed.
func (f *fused) updateShared(all, other bool) {
	if all {
		f.remake()
		return
	}
	marks := &f.in[f.shared].marks
	for i, w := range marks.Words() {
		f.redoShared(int(w), marks.Old(i))
	}
	if other {
		for w := range f.column.OK {
			if !marks.Has(uint32(w)) {
				f.redoShared(w, nil)
			}
		}
		return
	}
	f.dirty.clear()
	for i := range f.in {
		for _, w := range f.in[i].marks.Words() {
			if i != f.shared && !marks.Has(w) && f.dirty.add(w) {
				f.redoShared(int(w), nil)
			}
		}
	}
}

// redoShared computes the presence of word w again, and marks it if that or a value is another. old is what stood there,
// nil if the values are what they were.
func (f *fused) redoShared(w int, old *column.Word) {
	was, now := f.column.OK[w], f.compute(w)
	v := wordOf(f.column.V, w)
	stood := v
	if old != nil && was&^old.OK == 0 { // Else it was marked by somebody who did not know: then it stands there still.
		stood = &old.V
	}
	if was != now || !sameBits(stood, v, now) {
		f.marks.Add(uint32(w), stood[:], was)
		f.column.OK[w] = now
	}
}

// remake computes all words after the input was evaluated for somebody else. The values that stood in what is shared are
// lost, so all words are marked, with NaN for the old values, and sums that others keep have to be made anew.
func (f *fused) remake() {
	f.synced++
	var lost lanes64
	for i := range lost {
		lost[i] = math.NaN()
	}
	for w := range f.column.OK {
		was, now := f.column.OK[w], f.compute(w)
		if was|now != 0 {
			f.marks.Add(uint32(w), lost[:], was)
			f.column.OK[w] = now
		}
	}
}

// bytes returns what the operator occupies.
func (f *fused) bytes() int {
	n := 8 * cap(f.column.OK)
	if f.shared < 0 {
		n = f.column.Bytes()
	}
	if f.names.watched != nil {
		n += f.names.watched.bytes()
	}
	return n
}

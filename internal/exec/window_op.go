package exec

import (
	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

// windowed is a function over a range vector selector: of each series the samples in (t-offset-range, t-offset].
//
// Where the window begins and ends among a series' samples is remembered from one evaluation to the next, and for sums,
// counts and extremes what the window holds: then an evaluation costs what came in and what went out (windowState).
type windowed struct {
	output
	store    *window.Store
	selector *window.Selector
	names    nameless // where the name is dropped
	call     windowCall
	args     []scalarInput
	way      windowWay
	// seconds is the length of the range; 1 where the result is not per second.
	seconds float64

	cursor column.Cursor
	known  int
	// stale are the words in which a lane changed hands since they were computed; dirty says that there are any.
	stale column.Bitmap
	dirty bool
	// slide asks the next update to compute all words, since windows have moved on meanwhile.
	slide bool

	// By lane; nil where way has no use for them.
	spots    []spot
	states   []windowState
	sums     []windowSum
	extremes []windowExtreme

	word lanes64

	// The rest is of the running evaluation.
	span
	histograms bool // some series has native histograms
	failed     error
	plainT     []int64 // a window's samples without staleness markers
	plainV     []float64
}

// windowWay is how a function is evaluated.
type windowWay uint8

const (
	// wayCall calls the function with the window's samples.
	wayCall windowWay = iota
	// wayNewest looks at the newest sample alone.
	wayNewest
	// The others keep states: wayRise, waySum and wayAvg with sums, wayMin and wayMax with extremes.
	wayRise
	wayResets
	wayChanges
	waySum
	wayAvg
	wayMin
	wayMax
)

func wayOf(name string) windowWay {
	switch name {
	case "last_over_time", "present_over_time", "ts_of_last_over_time":
		return wayNewest
	case "rate", "increase":
		return wayRise
	case "resets":
		return wayResets
	case "changes":
		return wayChanges
	case "sum_over_time":
		return waySum
	case "avg_over_time":
		return wayAvg
	case "min_over_time":
		return wayMin
	case "max_over_time":
		return wayMax
	}
	return wayCall
}

// newWindow makes the operator of a function over a selector, which it holds until it is closed.
func newWindow(n *plan.Node, in []operator, e *env) operator {
	o := &windowed{
		store: e.store, selector: e.store.Select(n.Select), call: newWindowCall(n), way: wayOf(n.Func), seconds: 1,
	}
	o.node = n
	o.shape = shape{
		lanes: o.selector.Lanes(), labels: o.selector.Labels, unique: true, named: true, oneName: o.selector.OneName(),
	}
	if !o.call.keepsName {
		o.names = newNameless(o.shape)
		o.shape = o.names.shape()
	}
	for _, s := range in {
		o.args = append(o.args, newScalarInput(s))
	}
	o.call.span(-n.Select.Range, 0)
	if n.Func == "rate" {
		o.seconds = o.call.window.Seconds()
	}
	return o
}

func (o *windowed) close() { o.store.Release(o.selector, o.node.Select) }

func (o *windowed) bind() {
	if !o.lanes.Changed(o.cursor) {
		return
	}
	n := o.lanes.Len()
	o.column.Grow(n)
	o.stale = o.stale.Grow(column.Words(n))
	o.grow(column.Words(n) * column.WordLanes)
	known := uint32(o.known)
	o.lanes.Follow(&o.cursor, func(lane uint32, _ bool) {
		o.spots[lane] = spot{}
		if o.states != nil {
			o.states[lane].n = 0 // With a state of no samples everything begins anew.
		}
		if lane < known {
			o.stale.Set(lane / column.WordLanes)
			o.dirty = true
		}
	})
	o.known = n
	o.names.bind()
}

// grow makes room for n lanes.
func (o *windowed) grow(n int) {
	o.spots = column.GrowSlice(o.spots, n)
	if o.way > wayNewest {
		o.states = column.GrowSlice(o.states, n)
	}
	switch o.way {
	case wayRise, waySum, wayAvg:
		o.sums = column.GrowSlice(o.sums, n)
	case wayMin, wayMax:
		o.extremes = column.GrowSlice(o.extremes, n)
	}
}

// begin prepares an evaluation at t. It reports whether an argument is another than at the last one.
func (o *windowed) begin(t int64) (moved bool, err error) {
	to := t - o.node.Select.Offset
	o.span = span{to - o.node.Select.Range, to}
	o.call.span(o.from, o.to)
	o.histograms = o.store.AnyHistogram()
	for i := range o.args {
		v, other := o.args[i].take(t)
		o.call.window.Args[i] = v
		moved = moved || other
	}
	return moved, o.call.check()
}

func (o *windowed) full(t int64) error {
	if _, err := o.begin(t); err != nil {
		return err
	}
	for w := range o.column.OK {
		ok, err := o.compute(wordOf(o.column.V, w), w)
		if err != nil {
			return err
		}
		o.column.OK[w] = ok
	}
	if o.dirty {
		clear(o.stale)
		o.dirty = false
	}
	return o.names.check(&o.output)
}

func (o *windowed) update(t int64) error {
	moved, err := o.begin(t)
	if err != nil {
		return err
	}
	if moved || o.slide {
		o.slide = false
		for w := range o.column.OK {
			if err := o.redo(w); err != nil {
				return err
			}
		}
		return o.names.check(&o.output)
	}
	if o.dirty {
		for w := range o.column.OK {
			if o.stale.Has(uint32(w)) {
				if err := o.redo(w); err != nil {
					return err
				}
			}
		}
		o.dirty = false
	}
	for _, w := range o.selector.Marks().Words() {
		if err := o.redo(int(w)); err != nil {
			return err
		}
	}
	return o.names.check(&o.output)
}

// redo computes word w again, and marks it if it comes out otherwise.
func (o *windowed) redo(w int) error {
	o.stale.Unset(uint32(w))
	ok, err := o.compute(&o.word, w)
	if err != nil {
		return err
	}
	was, v := o.column.OK[w], wordOf(o.column.V, w)
	if ok == was && sameBits(&o.word, v, ok) {
		return nil
	}
	o.marks.Add(uint32(w), v[:], was)
	o.column.OK[w] = ok
	if ok != 0 {
		*v = o.word
	}
	return nil
}

// compute writes the results of word w's series to dst, and returns which lanes have one.
func (o *windowed) compute(dst *lanes64, w int) (uint64, error) {
	live := o.lanes.Live()[w]
	if live == 0 {
		return 0, nil
	}
	o.failed = nil
	var ok uint64
	switch o.way {
	case wayCall:
		ok = o.computeCall(dst, w, live)
	case wayNewest:
		ok = o.computeNewest(dst, w, live)
	case wayRise:
		ok = o.computeRise(dst, w, live)
	case wayResets, wayChanges:
		ok = o.computeCount(dst, w, live)
	case waySum, wayAvg:
		ok = o.computeSum(dst, w, live)
	case wayMin, wayMax:
		ok = o.computeExtreme(dst, w, live)
	}
	return ok, o.failed
}

// bytes returns what the operator occupies.
func (o *windowed) bytes() int {
	n := o.column.Bytes() + 8*cap(o.spots) + 24*cap(o.states) + 32*cap(o.sums) + 16*cap(o.extremes) +
		16*cap(o.plainT) + 8*cap(o.call.window.Scratch)
	if o.names.watched != nil {
		n += o.names.watched.bytes()
	}
	return n
}

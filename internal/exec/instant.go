package exec

import (
	"math"
	"math/bits"

	"github.com/prometheus/prometheus/model/value"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

// instant is an instant vector selector: of each series the latest sample in (t-offset-lookback, t-offset], unless that
// is a staleness marker. For timestamp(selector) the value is the sample's time.
type instant struct {
	output
	env      *env
	selector *window.Selector
	names    nameless // where the name is dropped

	cursor column.Cursor
	known  int
	// resync says that a lane has changed hands, so that marks do not tell all.
	resync bool
	word   lanes64
}

// newInstant makes the operator of a selector, which it holds until it is closed.
func newInstant(n *plan.Node, _ []operator, e *env) operator {
	o := &instant{env: e, selector: e.store.Select(n.Select)}
	o.node = n
	o.shape = shape{
		lanes: o.selector.Lanes(), labels: o.selector.Labels, unique: true, named: true, oneName: o.selector.OneName(),
	}
	if n.Select.Timestamp {
		o.names = newNameless(o.shape)
		o.shape = o.names.shape()
	}
	return o
}

func (o *instant) close() { o.env.store.Release(o.selector, o.node.Select) }

func (o *instant) bind() {
	if !o.lanes.Changed(o.cursor) {
		return
	}
	known := uint32(o.known)
	o.lanes.Follow(&o.cursor, func(lane uint32, _ bool) {
		if lane < known {
			o.resync = true
		}
	})
	o.known = o.lanes.Len()
	o.column.Grow(o.known)
	o.names.bind()
}

// span is the time (from, to] in which samples are visible.
type span struct{ from, to int64 }

func (o *instant) span(t int64) span {
	to := t - o.node.Select.Offset
	return span{to - o.env.lookback, to}
}

func (o *instant) full(t int64) error {
	s := o.span(t)
	o.resync = false
	for w := range o.column.OK {
		ok, err := o.compute(wordOf(o.column.V, w), w, s)
		if err != nil {
			return err
		}
		o.column.OK[w] = ok
	}
	return o.names.check(&o.output)
}

func (o *instant) update(t int64) error {
	s := o.span(t)
	if o.resync {
		o.resync = false
		for w := range o.column.OK {
			if err := o.redo(w, s); err != nil {
				return err
			}
		}
		return o.names.check(&o.output)
	}
	for _, w := range o.selector.Marks().Words() {
		if int(w) >= len(o.column.OK) {
			panic("BUG: a word is marked that has no lanes")
		}
		if err := o.redo(int(w), s); err != nil {
			return err
		}
	}
	return o.names.check(&o.output)
}

// redo computes word w again, and marks it if it comes out otherwise.
func (o *instant) redo(w int, s span) error {
	ok, err := o.compute(&o.word, w, s)
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

// compute writes what is visible of word w's series to dst, and returns for which lanes that is.
func (o *instant) compute(dst *lanes64, w int, s span) (uint64, error) {
	live := o.lanes.Live()[w]
	if live == 0 {
		return 0, nil
	}
	ids := o.selector.IDs()[w*column.WordLanes:]
	t, v := o.env.store.Last()
	var ok, late uint64
	switch {
	case live != math.MaxUint64:
		ok, late = newestOf(live, dst, ids, t, v, s)
	default:
		ok, late = newest(dst, (*[column.WordLanes]window.ID)(ids), t, v, s)
	}
	if o.node.Select.Timestamp {
		for m := ok; m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m)
			dst[i] = seconds(t[ids[i]])
		}
	}
	if o.env.store.AnyHistogram() {
		if err := o.histograms(live, ids, s); err != nil {
			return 0, err
		}
	}
	for ; late != 0; late &= late - 1 {
		i := bits.TrailingZeros64(late)
		at, x, err := o.before(ids[i], s)
		if err != nil {
			return 0, err
		}
		if at <= s.from || value.IsStaleNaN(x) {
			continue
		}
		if dst[i] = x; o.node.Select.Timestamp {
			dst[i] = seconds(at)
		}
		ok |= 1 << uint(i)
	}
	return ok, nil
}

// newest takes the newest samples of a word's series. ok are the lanes where that is visible, late those where it is too
// new, so that an older one may be visible.
func newest(dst *lanes64, ids *[column.WordLanes]window.ID, t []int64, v []float64, s span) (ok, late uint64) {
	v = v[:len(t)]
	from, to := s.from, s.to
	for i, id := range ids {
		at, x := t[id], v[id]
		dst[i] = x
		ok |= bit(at > from && math.Float64bits(x) != value.StaleNaN) << uint(i)
		late |= bit(at > to) << uint(i)
	}
	return ok &^ late, late
}

// newestOf is newest for some of a word's lanes.
func newestOf(lanes uint64, dst *lanes64, ids []window.ID, t []int64, v []float64, s span) (ok, late uint64) {
	for ; lanes != 0; lanes &= lanes - 1 {
		i := bits.TrailingZeros64(lanes)
		at, x := t[ids[i]], v[ids[i]]
		dst[i] = x
		switch {
		case at > s.to:
			late |= 1 << uint(i)
		case at > s.from && !value.IsStaleNaN(x):
			ok |= 1 << uint(i)
		}
	}
	return ok, late
}

// before finds the latest sample of a series at or before s.to; its time is s.from where there is none after that. It
// fails where the window does not hold what is asked for.
func (o *instant) before(id window.ID, s span) (int64, float64, error) {
	t, v := o.env.store.Samples(id)
	at, x := s.from, 0.0
	for i := len(t) - 1; i >= 0; i-- { // An evaluation is rarely for a time that is long gone.
		if t[i] <= s.to {
			if t[i] > s.from {
				at, x = t[i], v[i]
			}
			break
		}
	}
	if floor := o.env.store.Floor(id); floor > at {
		return 0, 0, errWindow // Later ones, still visible, may have been dropped.
	}
	return at, x, nil
}

// histograms fails where the visible sample of a series may be a native histogram.
func (o *instant) histograms(live uint64, ids []window.ID, s span) error {
	for ; live != 0; live &= live - 1 {
		id := ids[bits.TrailingZeros64(live)]
		h := o.env.store.Histograms(id)
		if h <= s.from {
			continue
		}
		if h > s.to {
			return errHistogram // There may be earlier ones.
		}
		if at, _, err := o.before(id, s); err != nil || at <= h {
			return errHistogram
		}
	}
	return nil
}

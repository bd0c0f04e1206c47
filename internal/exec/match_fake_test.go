package exec

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
)

// matchInput is an operator whose lanes and values a test sets.
type matchInput struct {
	output
	own column.Lanes
	ls  []labels.Labels // by lane
}

func newMatchInput(named, oneName bool) *matchInput {
	in := &matchInput{}
	in.lanes = &in.own
	in.unique, in.named, in.oneName = true, named, oneName
	in.labels = func(lane uint32) labels.Labels { return in.ls[lane] }
	return in
}

func (in *matchInput) bind()              {}
func (in *matchInput) full(int64) error   { return nil }
func (in *matchInput) update(int64) error { return nil }

// add binds a series that has no value yet.
func (in *matchInput) add(ls labels.Labels) uint32 {
	lane := in.own.Bind()
	in.ls = column.GrowSlice(in.ls, in.own.Len())
	in.ls[lane] = ls
	in.column.Grow(in.own.Len())
	return lane
}

// drop releases a lane, whose value goes first.
func (in *matchInput) drop(lane uint32) {
	in.unset(lane)
	in.ls[lane] = labels.EmptyLabels()
	in.own.Release(lane)
}

func (in *matchInput) set(lane uint32, v float64) {
	in.mark(lane)
	in.column.V[lane] = v
	in.column.OK.Set(lane)
}

func (in *matchInput) unset(lane uint32) {
	if !in.column.OK.Has(lane) {
		return
	}
	in.mark(lane)
	in.column.V[lane] = math.Inf(-1) // Means nothing from here on.
	in.column.OK.Unset(lane)
}

func (in *matchInput) mark(lane uint32) {
	w := lane / column.WordLanes
	in.marks.Add(w, wordOf(in.column.V, int(w))[:], in.column.OK[w])
}

// refill is a full evaluation: marks tell nothing after it.
func (in *matchInput) refill() {
	in.synced++
	in.marks.Clear()
}

// values returns the elements of an output by their labels, and whether two have the same labels.
func matchValues(out *output) (values map[string]float64, twice bool) {
	values = map[string]float64{}
	for lane := range uint32(out.lanes.Len()) {
		if !out.column.OK.Has(lane) {
			continue
		}
		if !out.lanes.Live().Has(lane) {
			panic("BUG: a lane has a value that is not in use")
		}
		key := out.labels(lane).String()
		if _, ok := values[key]; ok {
			twice = true
		}
		values[key] = out.column.V[lane]
	}
	return values, twice
}

// matchSnapshot is a copy of a column.
func matchSnapshot(c *column.Column) column.Column {
	return column.Column{V: append([]float64(nil), c.V...), OK: append(column.Bitmap(nil), c.OK...)}
}

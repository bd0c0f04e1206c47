package exec

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/facette/natsort"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// result makes elements of a root's column. Labels are made once a lane, when it first has a value.
type result struct {
	cursor column.Cursor
	// pages are the labels by word of lanes, nil where none are known: usually few of a rule's lanes ever have a value.
	pages []*[column.WordLanes]labels.Labels
	known column.Bitmap
}

// appendResult appends the root's elements to buf.
func (r *root) appendResult(buf promql.Vector, at int64) (promql.Vector, error) {
	u := r.unit
	if u.broken {
		return buf, errBroken
	}
	out := u.op.out()
	if u.lined != nil {
		u.lined.show() // Another line's evaluation may have moved it.
	}
	if u.node.Scalar {
		return append(buf, promql.Sample{T: at, F: out.scalar, Metric: labels.EmptyLabels()}), nil
	}
	r.result.follow(out)
	from := len(buf)
	if out.occupied == nil {
		for w := range out.column.OK {
			buf = r.result.appendWord(buf, out, w, at)
		}
	} else {
		for i, words := range out.occupied {
			for ; words != 0; words &= words - 1 {
				buf = r.result.appendWord(buf, out, i*column.WordLanes+bits.TrailingZeros64(words), at)
			}
		}
	}
	order(u.node, buf[from:])
	return buf, nil
}

// appendWord appends the elements of word w.
func (r *result) appendWord(buf promql.Vector, out *output, w int, at int64) promql.Vector {
	for ok := out.column.OK[w]; ok != 0; ok &= ok - 1 {
		lane := uint32(w*column.WordLanes + bits.TrailingZeros64(ok))
		buf = append(buf, promql.Sample{T: at, F: out.column.V[lane], Metric: r.of(out, lane)})
	}
	return buf
}

// follow forgets the labels of lanes that changed hands.
func (r *result) follow(out *output) {
	if !out.lanes.Changed(r.cursor) {
		return
	}
	n := out.lanes.Len()
	r.known = r.known.Grow(n)
	r.pages = column.GrowSlice(r.pages, column.Words(n))
	out.lanes.Follow(&r.cursor, func(lane uint32, _ bool) {
		if r.known.Has(lane) {
			r.known.Unset(lane)
			r.pages[lane/column.WordLanes][lane%column.WordLanes] = labels.EmptyLabels()
		}
	})
}

func (r *result) of(out *output, lane uint32) labels.Labels {
	page := r.pages[lane/column.WordLanes]
	if page == nil {
		page = new([column.WordLanes]labels.Labels)
		r.pages[lane/column.WordLanes] = page
	}
	at := &page[lane%column.WordLanes]
	if !r.known.Has(lane) {
		*at = out.labels(lane)
		r.known.Set(lane)
	}
	return *at
}

// order sorts the elements where the root's operation is about order.
func order(n *plan.Node, v promql.Vector) {
	switch {
	case n.Op == plan.Sort && n.Func == "sort":
		slices.SortStableFunc(v, func(a, b promql.Sample) int { return byValue(1, a.F, b.F) })
	case n.Op == plan.Sort && n.Func == "sort_desc":
		slices.SortStableFunc(v, func(a, b promql.Sample) int { return byValue(-1, a.F, b.F) })
	case n.Op == plan.Sort:
		sign := 1
		if n.Func == "sort_by_label_desc" {
			sign = -1
		}
		slices.SortStableFunc(v, func(a, b promql.Sample) int { return sign * byLabels(n.Strings, a.Metric, b.Metric) })
	case n.Op == plan.Aggregate && n.Aggregate.Op == plan.TopK:
		slices.SortStableFunc(v, func(a, b promql.Sample) int { return byValue(-1, a.F, b.F) })
	case n.Op == plan.Aggregate && n.Aggregate.Op == plan.BottomK:
		slices.SortStableFunc(v, func(a, b promql.Sample) int { return byValue(1, a.F, b.F) })
	}
}

// byValue compares in ascending (sign 1) or descending (-1) order; NaN comes last in both.
func byValue(sign int, a, b float64) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return 1
	case math.IsNaN(b):
		return -1
	}
	return sign * cmp.Compare(a, b)
}

// byLabels compares by the named labels in natural order, then by all.
func byLabels(names []string, a, b labels.Labels) int {
	for _, name := range names {
		x, y := a.Get(name), b.Get(name)
		if x == y {
			continue
		}
		if natsort.Compare(x, y) {
			return -1
		}
		return 1
	}
	return labels.Compare(a, b)
}

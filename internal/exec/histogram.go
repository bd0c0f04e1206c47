package exec

import (
	"math"
	"math/bits"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// histogramQuantile is histogram_quantile on classic histograms: the lanes that bear a bucket's upper bound in the label
// le are grouped by their other labels, and each group's quantile is estimated.
type histogramQuantile struct {
	output
	follower
	phi    *output
	groups *groups
	index  bucketIndex
	// arg is φ at the last evaluation.
	arg   float64
	stale idSet
	taken withdrawn
	// memory of one evaluation
	buckets buckets
}

// newHistogramQuantile makes the operator of histogram_quantile(in[0], in[1]).
func newHistogramQuantile(n *plan.Node, in []operator, _ *env) operator {
	v := in[1].out()
	h := &histogramQuantile{
		phi: in[0].out(), groups: newGroups(v, false, []string{labels.BucketLabel}), follower: follower{in: v},
	}
	h.groups.accept = func(ls labels.Labels) bool {
		_, ok := upperBound(ls)
		return ok
	}
	h.groups.joined = h.joined
	h.groups.left = func(lane, group uint32) { h.index.remove(group, lane) }
	h.node = n
	h.shape = shape{
		lanes: &h.groups.lanes, oneName: true,
		// Histograms of several names may have the same labels without it.
		unique: !v.named || v.oneName,
		labels: func(group uint32) labels.Labels { return dropName(h.groups.labels[group]) },
	}
	return h
}

// upperBound returns what the label le says, if that is a number.
func upperBound(ls labels.Labels) (float64, bool) {
	bound, err := strconv.ParseFloat(ls.Get(labels.BucketLabel), 64)
	return bound, err == nil
}

func (h *histogramQuantile) joined(lane, group uint32, ls labels.Labels) {
	bound, ok := upperBound(ls)
	if !ok {
		panic("BUG: a bucket without an upper bound was accepted")
	}
	h.index.grow(h.groups.lanes.Len())
	h.index.insert(group, lane, bound)
}

func (h *histogramQuantile) bind() {
	h.groups.follow()
	for _, group := range h.groups.released {
		h.taken.take(&h.column, group)
		if h.groups.members.count[group] == 0 {
			h.index.drop(group)
		}
	}
	h.column.Grow(h.groups.lanes.Len())
}

func (h *histogramQuantile) full(int64) error {
	h.taken.clear()
	c := &h.column
	for w := range c.OK {
		v := c.V[w*column.WordLanes:][:column.WordLanes]
		var has uint64
		for live := h.groups.lanes.Live()[w]; live != 0; live &= live - 1 {
			i := bits.TrailingZeros64(live)
			x, ok, err := h.value(uint32(w*column.WordLanes + i))
			if err != nil {
				return err
			}
			if ok {
				v[i] = x
				has |= 1 << i
			}
		}
		c.OK[w] = has
	}
	h.evaluated()
	return nil
}

func (h *histogramQuantile) evaluated() {
	h.arg = h.phi.scalar
	h.groups.churn = false
	h.caughtUp()
}

func (h *histogramQuantile) update(int64) error {
	h.taken.mark(&h.output)
	phi := h.phi.scalar
	if h.groups.churn || phi != h.arg && (phi == phi || h.arg == h.arg) || !h.inStep() {
		for w, live := range h.groups.lanes.Live() {
			for ; live != 0; live &= live - 1 {
				if err := h.publish(uint32(w*column.WordLanes + bits.TrailingZeros64(live))); err != nil {
					return err
				}
			}
		}
		h.evaluated()
		return nil
	}
	h.stale.clear()
	h.findStale()
	h.followed()
	for _, group := range h.stale.list {
		if err := h.publish(group); err != nil {
			return err
		}
	}
	return nil
}

// findStale adds the groups of buckets that changed to stale.
func (h *histogramQuantile) findStale() {
	in := h.in
	for i, w := range in.marks.Words() {
		v, ids := in.column.V[w*column.WordLanes:], h.groups.members.id[w*column.WordLanes:]
		for lanes := changedLanes(in.marks.Old(i), v, in.column.OK[w]); lanes != 0; lanes &= lanes - 1 {
			if group := ids[bits.TrailingZeros64(lanes)]; group != none {
				h.stale.add(group)
			}
		}
	}
}

func (h *histogramQuantile) publish(group uint32) error {
	v, ok, err := h.value(group)
	if err == nil {
		h.setMarked(group, v, ok)
	}
	return err
}

// value estimates a group's quantile; ok is false where none of its buckets has a value.
func (h *histogramQuantile) value(group uint32) (v float64, ok bool, err error) {
	b := &h.buckets
	b.reset()
	lanes, bounds := h.index.of(group)
	c := &h.in.column
	for i, lane := range lanes {
		if c.OK.Has(lane) {
			b.add(bounds[i], c.V[lane])
		}
	}
	n := len(b.bound)
	if n == 0 {
		return 0, false, nil
	}
	if last := b.bound[n-1]; last != last {
		return 0, false, errParameter // Where a bound that is no number stands among the others is upstream's secret.
	}
	switch phi := h.phi.scalar; {
	case phi != phi:
		return phi, true, nil
	case phi < 0:
		return math.Inf(-1), true, nil
	case phi > 1:
		return math.Inf(1), true, nil
	default:
		return b.quantile(phi), true, nil
	}
}

func (h *histogramQuantile) bytes() int {
	return h.column.Bytes() + h.groups.bytes() + h.index.bytes() + 8*cap(h.seen)
}

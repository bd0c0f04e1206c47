package exec

import (
	"math"
	"math/bits"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// vectorInput is an element-wise operator's vector: the operator's lanes are the vector's.
type vectorInput struct {
	*output
	op   operator
	seen uint64 // synced, when the operator was last evaluated
}

func newVectorInput(op operator) vectorInput { return vectorInput{output: op.out(), op: op} }

// bind sees to it that the vector has room for all lanes. It is bound before those who use it unless it has nothing to
// do in this evaluation; its lanes may have become more nevertheless, where they are another's.
func (v *vectorInput) bind() {
	if len(v.column.OK) < column.Words(v.lanes.Len()) {
		v.op.bind()
	}
}

// moved reports whether the vector was evaluated in full since the last call. Then its marks do not tell all.
func (v *vectorInput) moved() bool {
	moved := v.synced != v.seen
	v.seen = v.synced
	return moved
}

// scalarInput is an operator's scalar. What depends on the evaluation time alone is computed for that time here: time
// passes without anybody marking it.
type scalarInput struct {
	out   *output
	clock bool
	used  float64
}

func newScalarInput(op operator) scalarInput {
	return scalarInput{out: op.out(), clock: timeAlone(op.out().node)}
}

// at returns the scalar as of t, in Unix milliseconds.
func (s *scalarInput) at(t int64) float64 {
	if s.clock {
		return atTime(s.out.node, t)
	}
	return s.out.scalar
}

// take returns the scalar as of t, and whether all that was computed with the last one has to be computed again.
func (s *scalarInput) take(t int64) (v float64, moved bool) {
	v = s.at(t)
	moved = !s.clock && math.Float64bits(v) != math.Float64bits(s.used)
	s.used = v
	return v, moved
}

// timeAlone reports whether scalar n depends on nothing but the evaluation time.
func timeAlone(n *plan.Node) bool {
	switch n.Op {
	case plan.Number, plan.Time:
		return true
	case plan.Arithmetic:
		return timeAlone(n.In[0]) && timeAlone(n.In[1])
	}
	return false
}

// atTime computes a scalar for which timeAlone holds.
func atTime(n *plan.Node, t int64) float64 {
	switch n.Op {
	case plan.Number:
		return n.Number
	case plan.Time:
		return seconds(t)
	}
	return n.Binary.Op.Apply(atTime(n.In[0], t), atTime(n.In[1], t))
}

// seconds is a time in Unix milliseconds as PromQL has it.
func seconds(t int64) float64 { return float64(t) / 1000 }

// sameBits reports whether the lanes of ok have the same values in a and b. It tells 0 from -0, whose inverses differ.
func sameBits(a, b *lanes64, ok uint64) bool {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return false
		}
	}
	return true
}

// nameless is the shape of a vector that has lost its metric name. The type and the unit of a metric go with the name,
// so that even series of one name may come to bear the same labels: then elements are watched.
type nameless struct {
	from   shape
	cursor column.Cursor
	// look says that uniqueness hangs on nobody's bearing a type or a unit.
	look    bool
	watched *uniqueness
}

func newNameless(from shape) nameless {
	return nameless{from: from, look: from.unique && (from.oneName || !from.named)}
}

// shape returns the shape without names.
func (n *nameless) shape() shape {
	named := n.from.labels
	return shape{
		lanes: n.from.lanes, unique: n.from.unique && (n.from.oneName || !n.from.named), oneName: true,
		labels: func(lane uint32) labels.Labels { return dropName(named(lane)) },
	}
}

// bind looks at the series that came.
func (n *nameless) bind() {
	if !n.look || !n.from.lanes.Changed(n.cursor) {
		return
	}
	found := false
	n.from.lanes.Follow(&n.cursor, func(lane uint32, live bool) {
		found = found || live && typed(n.from.labels(lane))
	})
	if found {
		n.look, n.watched = false, newUniqueness()
	}
}

// typed reports whether ls has, beside the metric name, what goes with it.
func typed(ls labels.Labels) bool {
	return ls.Has(model.MetricTypeLabel) || ls.Has(model.MetricUnitLabel)
}

// check returns errDuplicate where two elements of out have equal labels and nobody else looks.
func (n *nameless) check(out *output) error {
	if n.watched == nil {
		return nil
	}
	return n.watched.check(out)
}

package exec

import (
	"math"
	"math/bits"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// constantScalar is a number.
type constantScalar struct{ output }

func newNumber(n *plan.Node, _ []operator, _ *env) operator {
	c := &constantScalar{}
	c.node, c.output.scalar = n, n.Number
	return c
}

func (c *constantScalar) bind()              {}
func (c *constantScalar) full(int64) error   { return nil }
func (c *constantScalar) update(int64) error { return nil }

// clockScalar is the evaluation time in seconds.
type clockScalar struct{ output }

func newTime(n *plan.Node, _ []operator, _ *env) operator {
	c := &clockScalar{}
	c.node = n
	return c
}

func (c *clockScalar) bind() {}

func (c *clockScalar) full(t int64) error {
	c.output.scalar = seconds(t)
	return nil
}

// update does not say that time has changed: that it passes is for ticks to notice.
func (c *clockScalar) update(t int64) error { return c.full(t) }

// scalarOf is the value of a vector's one element, NaN where it has none or more.
type scalarOf struct {
	output
	in vectorInput
}

func newScalarOf(n *plan.Node, in []operator, _ *env) operator {
	s := &scalarOf{in: newVectorInput(in[0])}
	s.node = n
	return s
}

func (s *scalarOf) bind() {}

func (s *scalarOf) full(int64) error {
	s.setScalar(s.only())
	return nil
}

func (s *scalarOf) update(t int64) error { return s.full(t) }

func (s *scalarOf) only() float64 {
	found, at := uint64(0), 0
	for w, ok := range s.in.column.OK {
		if ok == 0 {
			continue
		}
		if found != 0 {
			return math.NaN()
		}
		found, at = ok, w
	}
	if found == 0 || found&(found-1) != 0 {
		return math.NaN()
	}
	return s.in.column.V[at*column.WordLanes+bits.TrailingZeros64(found)]
}

// vectorOf is a vector of one element without labels.
type vectorOf struct {
	output
	in scalarInput
}

func newVectorOf(n *plan.Node, in []operator, _ *env) operator {
	v := &vectorOf{in: newScalarInput(in[0])}
	v.node = n
	v.shape = shape{
		lanes: &column.Lanes{}, unique: true, oneName: true,
		labels: func(uint32) labels.Labels { return labels.EmptyLabels() },
	}
	v.lanes.Bind()
	v.column.Grow(v.lanes.Len())
	return v
}

func (v *vectorOf) bind() {}

func (v *vectorOf) full(t int64) error {
	v.column.V[0], _ = v.in.take(t)
	v.column.OK.Set(0)
	return nil
}

func (v *vectorOf) update(t int64) error {
	s := v.in.at(t)
	if math.Float64bits(s) == math.Float64bits(v.column.V[0]) && v.column.OK.Has(0) {
		return nil
	}
	v.marks.Add(0, v.column.V, v.column.OK[0])
	return v.full(t)
}

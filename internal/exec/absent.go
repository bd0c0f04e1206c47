package exec

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// absent is one element of value 1 where its input has none. It has one lane, which is always in use.
type absent struct {
	output
	in  *output
	own column.Lanes
}

// newAbsent makes the operator of absent(in[0]).
func newAbsent(n *plan.Node, in []operator, _ *env) operator {
	a := &absent{in: in[0].out()}
	a.own.Bind()
	a.column.Grow(1)
	a.node = n
	a.shape = shape{
		lanes: &a.own, unique: true, oneName: true,
		labels: func(uint32) labels.Labels { return n.Labels },
	}
	return a
}

func (a *absent) bind() {}

func (a *absent) full(int64) error {
	a.column.V[0], a.column.OK[0] = 1, 1
	for _, ok := range a.in.column.OK {
		if ok != 0 {
			a.column.OK[0] = 0
			return nil
		}
	}
	return nil
}

func (a *absent) update(t int64) error {
	was := a.column.OK[0]
	if err := a.full(t); err != nil {
		return err
	}
	if is := a.column.OK[0]; is != was {
		a.marks.Add(0, a.column.V, was)
	}
	return nil
}

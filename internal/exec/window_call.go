package exec

import (
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rangefunc"
)

// windowCall is the function of a Window or Subwindow with its arguments.
type windowCall struct {
	name string
	rangefunc.Info
	window rangefunc.Window
	offset int64
	// keepsName says that the result keeps the metric name.
	keepsName bool
}

func newWindowCall(n *plan.Node) windowCall {
	info, ok := rangefunc.Lookup(n.Func)
	if !ok || info.Scalars != len(n.In) {
		panic("BUG: a window of an unknown function or with other arguments: " + n.Key)
	}
	c := windowCall{name: n.Func, Info: info, keepsName: info.KeepsName}
	switch {
	case n.Select != nil:
		c.offset = n.Select.Offset
	case n.Subquery != nil:
		c.offset = n.Subquery.Offset
	}
	return c
}

// arguments takes the scalar arguments from the inputs.
func (c *windowCall) arguments(in []operator) error {
	for i, op := range in {
		c.window.Args[i] = op.out().scalar
	}
	return c.check()
}

// check fails where PromQL does not take the arguments.
func (c *windowCall) check() error {
	if !rangefunc.ValidArgs(c.name, c.window.Args) {
		return errParameter
	}
	return nil
}

// span sets the range in which the samples are.
func (c *windowCall) span(from, to int64) {
	c.window.Start, c.window.End, c.window.At = from, to, to+c.offset
}

// apply evaluates the function over the samples in (from, to], which are ascending and hold no staleness markers.
func (c *windowCall) apply(t []int64, v []float64, from, to int64) (float64, bool) {
	c.span(from, to)
	return c.Func(t, v, &c.window)
}

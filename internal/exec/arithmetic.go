package exec

import (
	"github.com/tocsin/tocsin/internal/plan"
)

// newArithmetic makes the operator of an arithmetic or comparison operator with at least one scalar operand: of two
// scalars it is a scalar; a comparison of a vector filters it; everything else computes each element anew.
func newArithmetic(n *plan.Node, in []operator, _ *env) operator {
	left, right := in[0], in[1]
	op := n.Binary.Op
	switch {
	case n.Scalar:
		return newScalarArithmetic(n, left, right)
	case left.out().node.Scalar:
		return newVectorArithmetic(n, right, left, mirrored(op), scalarFirst(op))
	}
	return newVectorArithmetic(n, left, right, op, scalarLast(op))
}

// newVectorArithmetic makes v op s for comparisons, and run of v and s otherwise. Where the scalar stands on the left, op
// was mirrored: a filter keeps the vector's value wherever that stands.
func newVectorArithmetic(n *plan.Node, v, s operator, op plan.Operator, run mapKernel) operator {
	if !op.Comparison() {
		return newMapped(n, v, []operator{s}, run)
	}
	holds := comparison(op)
	if !n.Binary.Bool {
		return newFilter(n, v, s, holds)
	}
	m := newMapped(n, v, []operator{s}, truth)
	m.params.holds = holds
	return m
}

// mirrored returns the comparison that holds for (b, a) where op holds for (a, b), NaN included; others as they are.
func mirrored(op plan.Operator) plan.Operator {
	switch op {
	case plan.Less:
		return plan.Greater
	case plan.Greater:
		return plan.Less
	case plan.LessEqual:
		return plan.GreaterEqual
	case plan.GreaterEqual:
		return plan.LessEqual
	}
	return op
}

// scalarArithmetic is an operator between two scalars.
type scalarArithmetic struct {
	output
	left, right scalarInput
}

func newScalarArithmetic(n *plan.Node, left, right operator) operator {
	s := &scalarArithmetic{left: newScalarInput(left), right: newScalarInput(right)}
	s.node = n
	return s
}

func (s *scalarArithmetic) bind() {}

func (s *scalarArithmetic) full(t int64) error {
	s.setScalar(s.node.Binary.Op.Apply(s.left.at(t), s.right.at(t)))
	return nil
}

func (s *scalarArithmetic) update(t int64) error { return s.full(t) }

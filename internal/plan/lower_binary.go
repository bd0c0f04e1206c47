package plan

import (
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

func lowerBinary(e *parser.BinaryExpr) (*Node, error) {
	op, ok := operator(e.Op)
	if !ok {
		return nil, notCompiled("the operator %s", e.Op)
	}
	lhs, err := lower(e.LHS)
	if err != nil {
		return nil, err
	}
	rhs, err := lower(e.RHS)
	if err != nil {
		return nil, err
	}
	b := &Binary{Op: op, Bool: e.ReturnBool}
	if lhs.Scalar || rhs.Scalar {
		return arithmetic(b, lhs, rhs), nil
	}
	m := e.VectorMatching
	if m.FillValues.LHS != nil || m.FillValues.RHS != nil {
		return nil, notCompiled("the fill modifiers")
	}
	b.On, b.Card = m.On, cardinality(m.Card)
	b.Labels, b.Include = slices.Clone(m.MatchingLabels), slices.Clone(m.Include)
	slices.Sort(b.Labels)
	b.Labels = slices.Compact(b.Labels)
	n := &Node{Op: Match, Binary: b, In: []*Node{lhs, rhs}}
	if op >= And {
		n.Op = Set
	}
	n.Key = fmt.Sprintf("(%d %t %t %q %d %q|%s)", op, b.Bool, b.On, b.Labels, b.Card, b.Include, inputsKey(n.In))
	return n, nil
}

// arithmetic is the node of an operator with a scalar operand. Two constants fold.
func arithmetic(b *Binary, lhs, rhs *Node) *Node {
	if lhs.Op == Number && rhs.Op == Number {
		return number(b.Op.Apply(lhs.Number, rhs.Number))
	}
	n := &Node{Op: Arithmetic, Scalar: lhs.Scalar && rhs.Scalar, Binary: b, In: []*Node{lhs, rhs}}
	n.Key = fmt.Sprintf("(%d %t|%s)", b.Op, b.Bool, inputsKey(n.In))
	return n
}

func operator(op parser.ItemType) (Operator, bool) {
	switch op {
	case parser.ADD:
		return Add, true
	case parser.SUB:
		return Sub, true
	case parser.MUL:
		return Mul, true
	case parser.DIV:
		return Div, true
	case parser.MOD:
		return Mod, true
	case parser.POW:
		return Pow, true
	case parser.ATAN2:
		return Atan2, true
	case parser.EQLC:
		return Equal, true
	case parser.NEQ:
		return NotEqual, true
	case parser.LSS:
		return Less, true
	case parser.GTR:
		return Greater, true
	case parser.LTE:
		return LessEqual, true
	case parser.GTE:
		return GreaterEqual, true
	case parser.LAND:
		return And, true
	case parser.LOR:
		return Or, true
	case parser.LUNLESS:
		return Unless, true
	}
	return 0, false
}

// String returns the operator as PromQL spells it.
func (o Operator) String() string {
	return [...]string{"+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", ">", "<=", ">=", "and", "or", "unless"}[o]
}

func cardinality(c parser.VectorMatchCardinality) Cardinality {
	switch c {
	case parser.CardOneToOne:
		return OneToOne
	case parser.CardManyToOne:
		return ManyToOne
	case parser.CardOneToMany:
		return OneToMany
	case parser.CardManyToMany:
		return ManyToMany
	}
	panic("BUG: unknown cardinality")
}

// Apply returns a o b as PromQL has it for two scalars: comparisons return 0 or 1. o is no set operator.
func (o Operator) Apply(a, b float64) float64 {
	switch o {
	case Add:
		return a + b
	case Sub:
		return a - b
	case Mul:
		return a * b
	case Div:
		return a / b
	case Mod:
		return math.Mod(a, b)
	case Pow:
		return math.Pow(a, b)
	case Atan2:
		return math.Atan2(a, b)
	}
	if o.Holds(a, b) {
		return 1
	}
	return 0
}

// Holds reports whether the comparison a o b holds; NaN is not equal to anything.
func (o Operator) Holds(a, b float64) bool {
	switch o {
	case Equal:
		return a == b
	case NotEqual:
		return a != b
	case Less:
		return a < b
	case Greater:
		return a > b
	case LessEqual:
		return a <= b
	case GreaterEqual:
		return a >= b
	}
	panic("BUG: not a comparison: " + o.String())
}

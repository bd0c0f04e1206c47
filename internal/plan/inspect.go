package plan

import (
	"errors"

	"github.com/prometheus/prometheus/promql/parser"
)

// ResultType names what the expression returns, in upstream's words: "vector", "scalar", "matrix" or "string". Only the
// first two can be a rule's result.
func (p *Plan) ResultType() string { return string(p.expr.Type()) }

// Evaluable reports whether the result can be a rule's: an instant vector or a scalar.
func (p *Plan) Evaluable() bool {
	t := p.expr.Type()
	return t == parser.ValueTypeVector || t == parser.ValueTypeScalar
}

// Filters reports whether something in the expression lets elements through by a condition: a comparison without bool,
// a set operation, or a function or aggregation whose result depends on presence or rank. An alerting rule without any
// fires whenever its series exist.
func (p *Plan) Filters() bool {
	found := false
	parser.Inspect(p.expr, func(n parser.Node, _ []parser.Node) error {
		switch e := n.(type) {
		case *parser.BinaryExpr:
			found = found || e.Op.IsComparisonOperator() && !e.ReturnBool || e.Op.IsSetOperator()
		case *parser.Call:
			found = found || e.Func.Name == "absent" || e.Func.Name == "absent_over_time"
		case *parser.AggregateExpr:
			found = found || e.Op == parser.TOPK || e.Op == parser.BOTTOMK
		}
		return nil
	})
	return found
}

// ErrorOffset returns where in the compiled text, in bytes from 0, the first syntax error of err stands. It is false
// where err is not the parser's.
func ErrorOffset(err error) (int, bool) {
	if es, ok := errors.AsType[parser.ParseErrors](err); ok && len(es) > 0 {
		return int(es[0].PositionRange.Start), true
	}
	if e, ok := errors.AsType[*parser.ParseErr](err); ok {
		return int(e.PositionRange.Start), true
	}
	return 0, false
}

package plan

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// PartKind is what a Part is.
type PartKind string

// The kinds.
const (
	PartNumber    PartKind = "number"
	PartString    PartKind = "string"
	PartSelector  PartKind = "selector"
	PartRange     PartKind = "range selector"
	PartSubquery  PartKind = "subquery"
	PartCall      PartKind = "function"
	PartAggregate PartKind = "aggregation"
	PartBinary    PartKind = "operator"
	PartUnary     PartKind = "sign"
)

// Part is a sub-expression of an expression as it was written, with those below it: for those who want to know what each
// is worth at some time. Unlike Node there is one for every expression, whatever tier it runs on. It is immutable.
type Part struct {
	Kind PartKind
	// Text is the sub-expression in the upstream printer's form, Type what it evaluates to, in upstream's words.
	Text, Type string
	// In are the operands, in the order in which they stand there; parentheses are left out.
	In []*Part

	// What follows is set as Kind says.

	Number float64
	String string
	// Func is the function's or the aggregation's name.
	Func string
	// Select is of selectors and range selectors; Span of those and of subqueries.
	Select []*labels.Matcher
	Span   *Span
	Binary *Binary
	// Fill says that an operator makes up elements for those without a partner.
	Fill bool
	// Grouping and Without are an aggregation's.
	Grouping []string
	Without  bool
}

// Span says which time a selector or a subquery looks at.
type Span struct {
	// Range is in milliseconds, 0 for a selector; Step is 0 where a subquery has the default resolution.
	Range, Step int64
	// Offset is in milliseconds and may be negative.
	Offset int64
	// At is the time of an @ modifier in Unix milliseconds, nil where there is none. @ start() and @ end() are nil, too: both
	// are the time of the evaluation.
	At *int64
	// Unclear says why the time is not known without evaluating; empty where it is.
	Unclear string
}

// End returns the last moment, in Unix milliseconds, that s takes in when it is evaluated at t.
func (s *Span) End(t int64) int64 {
	if s.At != nil {
		t = *s.At
	}
	return t - s.Offset
}

// Scalar reports whether the value is a scalar.
func (p *Part) Scalar() bool { return p.Type == string(parser.ValueTypeScalar) }

// Vector reports whether the value is an instant vector.
func (p *Part) Vector() bool { return p.Type == string(parser.ValueTypeVector) }

// Compares reports whether p is a comparison.
func (p *Part) Compares() bool { return p.Kind == PartBinary && p.Binary.Op.Comparison() }

// Parts returns the whole expression as a Part.
func (p *Plan) Parts() *Part { return partOf(p.expr) }

func partOf(expr parser.Expr) *Part {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return partOf(e.Expr)
	case *parser.StepInvariantExpr:
		return partOf(e.Expr)
	}
	p := &Part{Text: expr.String(), Type: string(expr.Type())}
	switch e := expr.(type) {
	case *parser.NumberLiteral:
		p.Kind, p.Number = PartNumber, e.Val
	case *parser.StringLiteral:
		p.Kind, p.String = PartString, e.Val
	case *parser.VectorSelector:
		p.Kind, p.Select, p.Span = PartSelector, e.LabelMatchers, spanOf(e)
	case *parser.MatrixSelector:
		p.Kind = PartRange
		v, ok := unparen(e.VectorSelector).(*parser.VectorSelector)
		if !ok {
			panic("BUG: a range of something that is no selector")
		}
		p.Select, p.Span = v.LabelMatchers, spanOf(v)
		p.Span.Range = e.Range.Milliseconds()
		if e.RangeExpr != nil {
			p.Span.Unclear = "its range is computed"
		}
	case *parser.SubqueryExpr:
		p.Kind, p.In = PartSubquery, []*Part{partOf(e.Expr)}
		p.Span = &Span{Range: e.Range.Milliseconds(), Step: e.Step.Milliseconds(), Offset: e.OriginalOffset.Milliseconds(), At: e.Timestamp}
		if e.RangeExpr != nil || e.StepExpr != nil || e.OriginalOffsetExpr != nil {
			p.Span.Unclear = "its range, step or offset is computed"
		}
	case *parser.Call:
		p.Kind, p.Func = PartCall, e.Func.Name
		for _, a := range e.Args {
			p.In = append(p.In, partOf(a))
		}
	case *parser.AggregateExpr:
		p.Kind, p.Func, p.Without, p.Grouping = PartAggregate, e.Op.String(), e.Without, slices.Clone(e.Grouping)
		p.In = []*Part{partOf(e.Expr)}
		if e.Param != nil {
			p.In = append(p.In, partOf(e.Param))
		}
	case *parser.UnaryExpr:
		p.Kind, p.Func, p.In = PartUnary, e.Op.String(), []*Part{partOf(e.Expr)}
	case *parser.BinaryExpr:
		p.binary(e)
	default:
		panic("BUG: an expression that the parser does not know")
	}
	return p
}

func spanOf(e *parser.VectorSelector) *Span {
	s := &Span{Offset: e.OriginalOffset.Milliseconds(), At: e.Timestamp}
	switch {
	case e.OriginalOffsetExpr != nil:
		s.Unclear = "its offset is computed"
	case e.Anchored || e.Smoothed:
		s.Unclear = "it is anchored or smoothed"
	}
	return s
}

func (p *Part) binary(e *parser.BinaryExpr) {
	p.Kind, p.In = PartBinary, []*Part{partOf(e.LHS), partOf(e.RHS)}
	op, ok := operator(e.Op)
	if !ok { // An operator that is newer than this list: it is shown, and not taken apart.
		p.Kind, p.Func = PartCall, e.Op.String()
		return
	}
	p.Binary = &Binary{Op: op, Bool: e.ReturnBool}
	if m := e.VectorMatching; m != nil {
		p.Binary.On, p.Binary.Card = m.On, cardinality(m.Card)
		p.Binary.Labels, p.Binary.Include = slices.Clone(m.MatchingLabels), slices.Clone(m.Include)
		slices.Sort(p.Binary.Labels)
		p.Fill = m.FillValues.LHS != nil || m.FillValues.RHS != nil
	}
}

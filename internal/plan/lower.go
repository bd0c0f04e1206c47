package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// NotCompiled says why an expression runs on tier 0.
type NotCompiled struct {
	// Reason is a short phrase that names what is not compiled.
	Reason string
}

// Error implements error.
func (e *NotCompiled) Error() string { return "not compiled: " + e.Reason }

func notCompiled(format string, args ...any) error {
	return &NotCompiled{Reason: fmt.Sprintf(format, args...)}
}

// Lower turns an expression into nodes. Its errors are *NotCompiled.
func lower(expr parser.Expr) (*Node, error) {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return lower(e.Expr)
	case *parser.NumberLiteral:
		return number(e.Val), nil
	case *parser.VectorSelector:
		sel, err := lowerSelector(e, 0)
		if err != nil {
			return nil, err
		}
		return instant(sel), nil
	case *parser.UnaryExpr:
		return lowerUnary(e)
	case *parser.BinaryExpr:
		return lowerBinary(e)
	case *parser.AggregateExpr:
		return lowerAggregate(e)
	case *parser.Call:
		return lowerCall(e)
	case *parser.StringLiteral:
		return nil, notCompiled("a string is no rule's result")
	case *parser.MatrixSelector, *parser.SubqueryExpr:
		return nil, notCompiled("a range vector is no rule's result")
	}
	return nil, notCompiled("%T", expr)
}

func number(v float64) *Node {
	return &Node{Op: Number, Scalar: true, Number: v, Key: numberKey(v)}
}

func numberKey(v float64) string { return "#" + strconv.FormatFloat(v, 'g', -1, 64) }

func instant(sel *Select) *Node {
	key := "instant(" + sel.spanKey() + ")"
	if sel.Timestamp {
		key = "timestamp(" + sel.spanKey() + ")"
	}
	return &Node{Op: Instant, Select: sel, Key: key}
}

// lowerSelector makes the Select of a vector selector, or of a range vector selector with its range.
func lowerSelector(e *parser.VectorSelector, window int64) (*Select, error) {
	switch {
	case e.Timestamp != nil || e.StartOrEnd != 0:
		return nil, notCompiled("the @ modifier")
	case e.OriginalOffsetExpr != nil:
		return nil, notCompiled("an offset that is computed")
	case e.Anchored || e.Smoothed:
		return nil, notCompiled("the anchored and smoothed modifiers")
	}
	matchers := slices.Clone(e.LabelMatchers)
	slices.SortFunc(matchers, func(a, b *labels.Matcher) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
	})
	matchers = slices.CompactFunc(matchers, func(a, b *labels.Matcher) bool {
		return a.Name == b.Name && a.Type == b.Type && a.Value == b.Value
	})
	var key strings.Builder
	key.WriteByte('{')
	for i, m := range matchers {
		if i > 0 {
			key.WriteByte(',')
		}
		key.WriteString(m.String())
	}
	key.WriteByte('}')
	return &Select{Matchers: matchers, Key: key.String(), Range: window, Offset: e.OriginalOffset.Milliseconds()}, nil
}

// spanKey is canonical for the matchers and the span of time.
func (s *Select) spanKey() string {
	return s.Key + "[" + strconv.FormatInt(s.Range, 10) + "]@" + strconv.FormatInt(s.Offset, 10)
}

// Name returns the metric name that the matchers fix, "" if they fix none.
func (s *Select) Name() string {
	for _, m := range s.Matchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

func lowerUnary(e *parser.UnaryExpr) (*Node, error) {
	in, err := lower(e.Expr)
	if err != nil || e.Op != parser.SUB {
		return in, err
	}
	if in.Op == Number {
		return number(-in.Number), nil
	}
	if in.Scalar {
		return arithmetic(&Binary{Op: Mul}, number(-1), in), nil
	}
	return &Node{Op: Map, Func: "neg", In: []*Node{in}, Key: "neg(" + in.Key + ")"}, nil
}

// inputsKey joins the keys of inputs.
func inputsKey(in []*Node) string {
	keys := make([]string, len(in))
	for i, n := range in {
		keys[i] = n.Key
	}
	return strings.Join(keys, ",")
}

func lowerAggregate(e *parser.AggregateExpr) (*Node, error) {
	op, ok := aggregator(e.Op)
	if !ok {
		return nil, notCompiled("the aggregation %s", e.Op)
	}
	in, err := lower(e.Expr)
	if err != nil {
		return nil, err
	}
	a := &Aggregation{Op: op, Without: e.Without, Labels: slices.Clone(e.Grouping)}
	slices.Sort(a.Labels)
	a.Labels = slices.Compact(a.Labels)
	n := &Node{Op: Aggregate, Aggregate: a, In: []*Node{in}}
	param := ""
	switch {
	case e.Param == nil:
	case op == CountValues:
		s, ok := unparen(e.Param).(*parser.StringLiteral)
		if !ok {
			return nil, notCompiled("count_values with a label that is computed")
		}
		a.Label, param = s.Val, strconv.Quote(s.Val)
	default:
		p, err := lower(e.Param)
		if err != nil {
			return nil, err
		}
		n.In = append(n.In, p)
	}
	n.Key = fmt.Sprintf("%s(%s %t %q|%s)", e.Op, param, a.Without, a.Labels, inputsKey(n.In))
	return n, nil
}

func aggregator(op parser.ItemType) (Aggregator, bool) {
	switch op {
	case parser.SUM:
		return Sum, true
	case parser.AVG:
		return Avg, true
	case parser.COUNT:
		return Count, true
	case parser.MIN:
		return Min, true
	case parser.MAX:
		return Max, true
	case parser.GROUP:
		return Group, true
	case parser.STDDEV:
		return Stddev, true
	case parser.STDVAR:
		return Stdvar, true
	case parser.QUANTILE:
		return Quantile, true
	case parser.TOPK:
		return TopK, true
	case parser.BOTTOMK:
		return BottomK, true
	case parser.COUNT_VALUES:
		return CountValues, true
	}
	return 0, false
}

func unparen(e parser.Expr) parser.Expr {
	for {
		p, ok := e.(*parser.ParenExpr)
		if !ok {
			return e
		}
		e = p.Expr
	}
}

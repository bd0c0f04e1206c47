package plan

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// mapFunctions are the element-wise functions with the number of their arguments, optional ones included.
func mapFunction(name string) bool {
	switch name {
	case "abs", "ceil", "floor", "exp", "ln", "log2", "log10", "sqrt", "sgn", "deg", "rad",
		"acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "sin", "sinh", "tan", "tanh",
		"clamp", "clamp_min", "clamp_max", "round", "timestamp":
		return true
	}
	return dateFunction(name)
}

func dateFunction(name string) bool {
	switch name {
	case "days_in_month", "day_of_month", "day_of_week", "day_of_year", "hour", "minute", "month", "year":
		return true
	}
	return false
}

// windowFunction reports whether name is a function of a range vector that is compiled, and where that argument stands.
func windowFunction(name string) (matrix int, ok bool) {
	switch name {
	case "rate", "increase", "delta", "irate", "idelta", "deriv", "predict_linear", "changes", "resets",
		"avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time", "last_over_time",
		"present_over_time", "stddev_over_time", "stdvar_over_time", "first_over_time", "mad_over_time",
		"ts_of_first_over_time", "ts_of_last_over_time", "ts_of_max_over_time", "ts_of_min_over_time",
		"double_exponential_smoothing":
		return 0, true
	case "quantile_over_time":
		return 1, true
	}
	return 0, false
}

func lowerCall(e *parser.Call) (*Node, error) {
	name := e.Func.Name
	if at, ok := windowFunction(name); ok {
		return lowerWindow(e, at)
	}
	switch name {
	case "absent":
		return lowerAbsent(e)
	case "absent_over_time":
		return lowerAbsentOverTime(e)
	case "time":
		return &Node{Op: Time, Scalar: true, Key: "time()"}, nil
	case "pi":
		return number(3.141592653589793), nil
	case "label_replace", "label_join":
		return lowerRelabel(e)
	case "sort_by_label", "sort_by_label_desc":
		return lowerSortByLabel(e)
	}
	if len(e.Args) == 0 && dateFunction(name) {
		now := &Node{Op: VectorOf, In: []*Node{{Op: Time, Scalar: true, Key: "time()"}}, Key: "vector(time())"}
		return call(Map, name, now), nil
	}
	if name == "timestamp" {
		if sel, ok := unparen(e.Args[0]).(*parser.VectorSelector); ok {
			return lowerTimestamp(sel)
		}
	}
	op, ok := callOp(name)
	if !ok {
		return nil, notCompiled("the function %s", name)
	}
	args := make([]*Node, len(e.Args))
	for i, a := range e.Args {
		var err error
		if args[i], err = lower(a); err != nil {
			return nil, err
		}
	}
	n := call(op, name, args...)
	n.Scalar = op == ScalarOf
	return n, nil
}

func callOp(name string) (Op, bool) {
	switch name {
	case "scalar":
		return ScalarOf, true
	case "vector":
		return VectorOf, true
	case "histogram_quantile":
		return HistogramQuantile, true
	case "sort", "sort_desc":
		return Sort, true
	}
	return Map, mapFunction(name)
}

func call(op Op, name string, args ...*Node) *Node {
	return &Node{Op: op, Func: name, In: args, Key: name + "(" + inputsKey(args) + ")"}
}

func lowerTimestamp(e *parser.VectorSelector) (*Node, error) {
	sel, err := lowerSelector(e, 0)
	if err != nil {
		return nil, err
	}
	sel.Timestamp = true
	return instant(sel), nil
}

// lowerWindow makes the node of a function whose argument number at is a range vector.
func lowerWindow(e *parser.Call, at int) (*Node, error) {
	var scalars []*Node
	for i, a := range e.Args {
		if i == at {
			continue
		}
		n, err := lower(a)
		if err != nil {
			return nil, err
		}
		scalars = append(scalars, n)
	}
	return window(e.Func.Name, e.Args[at], scalars)
}

// window is the node of function name over the range vector arg.
func window(name string, arg parser.Expr, scalars []*Node) (*Node, error) {
	n := &Node{Func: name, In: scalars}
	switch arg := unparen(arg).(type) {
	case *parser.MatrixSelector:
		if arg.RangeExpr != nil {
			return nil, notCompiled("a range that is computed")
		}
		sel, err := lowerSelector(arg.VectorSelector.(*parser.VectorSelector), arg.Range.Milliseconds())
		if err != nil {
			return nil, err
		}
		n.Op, n.Select = Window, sel
		n.Key = name + "(" + sel.spanKey()
	case *parser.SubqueryExpr:
		sub, err := lowerSubquery(arg)
		if err != nil {
			return nil, err
		}
		n.Op, n.Subquery = Subwindow, sub
		n.Key = fmt.Sprintf("%s({%s}[%d:%d]@%d", name, sub.Text, sub.Range, sub.Step, sub.Offset)
	default:
		return nil, notCompiled("%T as a range vector", arg)
	}
	n.Key += "|" + inputsKey(scalars) + ")"
	return n, nil
}

// lowerSubquery checks that what a subquery needs can be known beforehand. Its inner expression is left as text.
func lowerSubquery(e *parser.SubqueryExpr) (*Subquery, error) {
	sub := &Subquery{
		Text: e.Expr.String(), Range: e.Range.Milliseconds(), Step: e.Step.Milliseconds(), Offset: e.OriginalOffset.Milliseconds(),
	}
	if err := plainSubquery(e); err != nil {
		return nil, err
	}
	var failed error
	parser.Inspect(e.Expr, func(n parser.Node, path []parser.Node) error {
		switch n := n.(type) {
		case *parser.SubqueryExpr:
			failed = plainSubquery(n)
		case *parser.MatrixSelector:
			if n.RangeExpr != nil {
				failed = notCompiled("a range that is computed")
			}
		case *parser.Call:
			if n.Func.Name == "start" || n.Func.Name == "end" || n.Func.Name == "range" || n.Func.Name == "step" {
				failed = notCompiled("the function %s", n.Func.Name)
			}
		case *parser.VectorSelector:
			var sel *Select
			if sel, failed = lowerSelector(n, 0); failed == nil {
				sel.Range = reach(path) + sub.Range
				sel.Offset += sub.Offset
				sub.Selects = append(sub.Selects, sel)
			}
		}
		return failed
	})
	return sub, failed
}

func plainSubquery(e *parser.SubqueryExpr) error {
	switch {
	case e.Timestamp != nil || e.StartOrEnd != 0:
		return notCompiled("the @ modifier")
	case e.RangeExpr != nil || e.StepExpr != nil || e.OriginalOffsetExpr != nil:
		return notCompiled("a range that is computed")
	}
	return nil
}

// reach sums up how far back in time the range selectors and subqueries on a selector's path make it look.
func reach(path []parser.Node) int64 {
	var ms int64
	for _, n := range path {
		switch n := n.(type) {
		case *parser.MatrixSelector:
			ms += n.Range.Milliseconds()
		case *parser.SubqueryExpr:
			ms += n.Range.Milliseconds() + n.OriginalOffset.Milliseconds()
		}
	}
	return ms
}

func lowerAbsent(e *parser.Call) (*Node, error) {
	in, err := lower(e.Args[0])
	if err != nil {
		return nil, err
	}
	sel, _ := unparen(e.Args[0]).(*parser.VectorSelector)
	return absent(in, sel), nil
}

func lowerAbsentOverTime(e *parser.Call) (*Node, error) {
	in, err := window("present_over_time", e.Args[0], nil)
	if err != nil {
		return nil, err
	}
	var sel *parser.VectorSelector
	if m, ok := unparen(e.Args[0]).(*parser.MatrixSelector); ok {
		sel = m.VectorSelector.(*parser.VectorSelector)
	}
	return absent(in, sel), nil
}

// absent gives the result the labels that the selector asks for by equality, each once; sel may be nil.
func absent(in *Node, sel *parser.VectorSelector) *Node {
	lb := labels.NewBuilder(labels.EmptyLabels())
	if sel != nil {
		set := map[string]bool{}
		for _, m := range sel.LabelMatchers {
			switch {
			case m.Name == model.MetricNameLabel:
			case m.Type == labels.MatchEqual && !set[m.Name]:
				lb.Set(m.Name, m.Value)
				set[m.Name] = true
			default: // Asked for in more than one way: which value it would have cannot be said.
				lb.Del(m.Name)
			}
		}
	}
	ls := lb.Labels()
	return &Node{Op: Absent, In: []*Node{in}, Labels: ls, Key: "absent(" + ls.String() + "|" + in.Key + ")"}
}

func lowerRelabel(e *parser.Call) (*Node, error) {
	in, err := lower(e.Args[0])
	if err != nil {
		return nil, err
	}
	words, err := stringArguments(e)
	if err != nil {
		return nil, err
	}
	r := &Relabeling{Join: e.Func.Name == "label_join", Dst: words[0]}
	if r.Join {
		r.Separator, r.Src = words[1], words[2:]
	} else {
		r.Replacement, r.Src, r.Regex = words[1], words[2:3], words[3]
	}
	return &Node{
		Op: Relabel, Func: e.Func.Name, Relabel: r, In: []*Node{in},
		Key: e.Func.Name + "(" + quoted(words) + "|" + in.Key + ")",
	}, nil
}

func lowerSortByLabel(e *parser.Call) (*Node, error) {
	in, err := lower(e.Args[0])
	if err != nil {
		return nil, err
	}
	words, err := stringArguments(e)
	if err != nil {
		return nil, err
	}
	n := call(Sort, e.Func.Name, in)
	n.Strings = words
	n.Key += quoted(words)
	return n, nil
}

// stringArguments returns the arguments after the first, which must be strings.
func stringArguments(e *parser.Call) ([]string, error) {
	var words []string
	for _, a := range e.Args[1:] {
		s, ok := unparen(a).(*parser.StringLiteral)
		if !ok {
			return nil, notCompiled("%s with an argument that is no string", e.Func.Name)
		}
		words = append(words, s.Val)
	}
	return words, nil
}

func quoted(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = strconv.Quote(w)
	}
	return strings.Join(all, ",")
}

package rule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/plan"
)

// errOpaque says that an expression cannot be taken apart.
var errOpaque = errors.New("the expression cannot be taken apart")

// taken returns the nodes of an expression that can be taken apart and put together again, or why it cannot.
func taken(p *plan.Plan, c *plan.Compiler) (*plan.Node, error) {
	if _, reason := p.Tier(); reason != "" {
		return nil, fmt.Errorf("%w: it runs on Prometheus's own engine because of %s", errOpaque, reason)
	}
	again, err := c.Compile(promQL(p.Root()))
	if err != nil || again.Root() == nil || again.Root().Key != p.Root().Key {
		return nil, errOpaque
	}
	return p.Root(), nil
}

// promQL writes n as PromQL that compiles to an equal node.
func promQL(n *plan.Node) string {
	s, ok := restricted(n, nil)
	if !ok {
		panic("BUG: an unrestricted node cannot be written")
	}
	return s
}

// operand writes n so that no operator around it can take it apart.
func operand(n *plan.Node) string { return bracket(n, promQL(n)) }

func bracket(n *plan.Node, s string) string {
	switch n.Op {
	case plan.Arithmetic, plan.Match, plan.Set:
	case plan.Number:
		if !strings.ContainsAny(s[:1], "+-") {
			return s
		}
	case plan.Map:
		if n.Func != "neg" {
			return s
		}
	default:
		return s
	}
	return "(" + s + ")"
}

// restricted writes the part of n whose elements pass ms, matchers of labels other than the name, by putting the matchers
// into the selectors. It is false where that cannot be done, or would not be exact.
func restricted(n *plan.Node, ms []*labels.Matcher) (string, bool) {
	if n.Scalar && len(ms) > 0 {
		return "", false
	}
	switch n.Op {
	case plan.Number:
		return formatNumber(n.Number), true
	case plan.Time:
		return "time()", true
	case plan.Instant:
		s := selectorText(n.Select, ms)
		if n.Select.Timestamp {
			s = "timestamp(" + s + ")"
		}
		return s, true
	case plan.Window:
		return window(n, selectorText(n.Select, ms)), true
	case plan.Subwindow:
		return window(n, subqueryText(n.Subquery, n.Subquery.Text)), len(ms) == 0
	case plan.Map, plan.Sort:
		in, ok := restricted(n.In[0], ms)
		return mapped(n, in), ok
	case plan.ScalarOf, plan.VectorOf:
		return map[plan.Op]string{plan.ScalarOf: "scalar(", plan.VectorOf: "vector("}[n.Op] + promQL(n.In[0]) + ")", len(ms) == 0
	case plan.Arithmetic, plan.Match, plan.Set:
		return restrictedBinary(n, ms)
	case plan.Aggregate:
		if !keepsThrough(n, ms) {
			return "", false
		}
		in, ok := restricted(n.In[0], ms)
		return aggregated(n, in), ok
	case plan.HistogramQuantile:
		in, ok := restricted(n.In[1], ms)
		return "histogram_quantile(" + promQL(n.In[0]) + ", " + in + ")", ok && !names(ms, "le")
	case plan.Absent:
		if in := n.In[0]; in.Op == plan.Window && in.Func == "present_over_time" {
			return "absent_over_time(" + selectorText(in.Select, nil) + ")", len(ms) == 0
		} else if in.Op == plan.Subwindow && in.Func == "present_over_time" {
			return "absent_over_time(" + subqueryText(in.Subquery, in.Subquery.Text) + ")", len(ms) == 0
		}
		return "absent(" + promQL(n.In[0]) + ")", len(ms) == 0
	case plan.Relabel:
		in, ok := restricted(n.In[0], ms)
		return relabeled(n, in), ok && !names(ms, n.Relabel.Dst)
	}
	panic("BUG: unknown operation")
}

// restrictedBinary is restricted for operators: an element of the result owes a label to one side or to both.
func restrictedBinary(n *plan.Node, ms []*labels.Matcher) (string, bool) {
	var sides [2][]*labels.Matcher
	both := func(m *labels.Matcher) { sides[0], sides[1] = append(sides[0], m), append(sides[1], m) }
	b := n.Binary
	for _, m := range ms {
		matched := slices.Contains(b.Labels, m.Name) == b.On
		many := map[plan.Cardinality]int{plan.ManyToOne: 0, plan.OneToMany: 1}[b.Card]
		switch {
		case n.Op == plan.Arithmetic && n.In[0].Scalar:
			sides[1] = append(sides[1], m)
		case n.Op == plan.Arithmetic:
			sides[0] = append(sides[0], m)
		case matched:
			both(m)
		case n.Op == plan.Set && b.Op != plan.Or:
			sides[0] = append(sides[0], m)
		case n.Op == plan.Set, b.Card == plan.OneToOne:
			return "", false // It takes other labels to say which of the right, or the result has no such label.
		case slices.Contains(b.Include, m.Name):
			sides[1-many] = append(sides[1-many], m)
		default:
			sides[many] = append(sides[many], m)
		}
	}
	left, ok := restricted(n.In[0], sides[0])
	right, too := restricted(n.In[1], sides[1])
	return operation(n, b.Op, b.Bool, bracket(n.In[0], left), bracket(n.In[1], right)), ok && too
}

// keepsThrough reports whether all elements of a group pass ms or none.
func keepsThrough(n *plan.Node, ms []*labels.Matcher) bool {
	for _, m := range ms {
		if slices.Contains(n.Aggregate.Labels, m.Name) == n.Aggregate.Without || n.Aggregate.Op == plan.CountValues && m.Name == n.Aggregate.Label {
			return false
		}
	}
	return true
}

func names(ms []*labels.Matcher, label string) bool {
	return slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return m.Name == label })
}

// operation writes an operator between operands, with n's modifiers.
func operation(n *plan.Node, op plan.Operator, asBool bool, left, right string) string {
	s := left + " " + op.String() + " "
	if asBool {
		s += "bool "
	}
	if n.Op != plan.Arithmetic {
		s += matching(n.Binary)
		switch n.Binary.Card {
		case plan.ManyToOne:
			s += "group_left (" + labelList(n.Binary.Include) + ") "
		case plan.OneToMany:
			s += "group_right (" + labelList(n.Binary.Include) + ") "
		}
	}
	return s + right
}

// matching writes which labels a match is by.
func matching(b *plan.Binary) string {
	switch {
	case b.On:
		return "on (" + labelList(b.Labels) + ") "
	case len(b.Labels) > 0 || b.Card == plan.ManyToOne || b.Card == plan.OneToMany:
		return "ignoring (" + labelList(b.Labels) + ") "
	}
	return ""
}

// aggregated writes n's aggregation of in.
func aggregated(n *plan.Node, in string) string {
	a := n.Aggregate
	op := [...]string{
		"sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "quantile", "topk", "bottomk", "count_values",
	}[a.Op]
	switch {
	case a.Op == plan.CountValues:
		in = strconv.Quote(a.Label) + ", " + in
	case len(n.In) > 1:
		in = promQL(n.In[1]) + ", " + in
	}
	return op + " " + grouping(a.Without, a.Labels) + "(" + in + ")"
}

func grouping(without bool, ls []string) string {
	switch {
	case without:
		return "without (" + labelList(ls) + ") "
	case len(ls) > 0:
		return "by (" + labelList(ls) + ") "
	}
	return ""
}

// mapped writes n's function of in and n's other arguments.
func mapped(n *plan.Node, in string) string {
	if n.Op == plan.Map && n.Func == "neg" {
		return "-" + bracket(n.In[0], in)
	}
	args := []string{in}
	for _, scalar := range n.In[1:] {
		args = append(args, promQL(scalar))
	}
	for _, s := range n.Strings {
		args = append(args, strconv.Quote(s))
	}
	return n.Func + "(" + strings.Join(args, ", ") + ")"
}

func relabeled(n *plan.Node, in string) string {
	r := n.Relabel
	words := []string{r.Dst, r.Replacement}
	if r.Join {
		words = append([]string{r.Dst, r.Separator}, r.Src...)
	} else {
		words = append(words, r.Src[0], r.Regex)
	}
	for _, w := range words {
		in += ", " + strconv.Quote(w)
	}
	return n.Func + "(" + in + ")"
}

// window writes n's function over the range vector span.
func window(n *plan.Node, span string) string {
	var args []string
	for _, scalar := range n.In {
		args = append(args, promQL(scalar))
	}
	at := len(args)
	if n.Func != "quantile_over_time" {
		at = 0
	}
	return n.Func + "(" + strings.Join(slices.Insert(args, at, span), ", ") + ")"
}

// subqueryText writes s with an inner expression that needs no brackets.
func subqueryText(s *plan.Subquery, inner string) string {
	out := inner + "[" + milliseconds(s.Range) + ":"
	if s.Step > 0 {
		out += milliseconds(s.Step)
	}
	return out + "]" + offsetText(s.Offset)
}

// selectorText writes s with further matchers.
func selectorText(s *plan.Select, ms []*labels.Matcher) string {
	name := s.Name()
	if !model.LegacyValidation.IsValidMetricName(name) || keyword(name) {
		name = ""
	}
	var tests []string
	for _, m := range slices.Concat(s.Matchers, ms) {
		if name != "" && m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual && m.Value == name {
			continue
		}
		tests = append(tests, m.String())
	}
	out := name
	if len(tests) > 0 || name == "" {
		out += "{" + strings.Join(tests, ",") + "}"
	}
	if s.Range > 0 {
		out += "[" + milliseconds(s.Range) + "]"
	}
	return out + offsetText(s.Offset)
}

// keyword reports whether a metric's name by itself might mean something else.
func keyword(name string) bool {
	switch strings.ToLower(name) {
	case "inf", "nan":
		return true
	}
	return false
}

func offsetText(ms int64) string {
	switch {
	case ms > 0:
		return " offset " + milliseconds(ms)
	case ms < 0:
		return " offset -" + milliseconds(-ms)
	}
	return ""
}

func milliseconds(ms int64) string {
	return model.Duration(time.Duration(ms) * time.Millisecond).String()
}

func labelList(ls []string) string {
	out := make([]string, len(ls))
	for i, l := range ls {
		if out[i] = l; !model.LegacyValidation.IsValidLabelName(l) {
			out[i] = strconv.Quote(l)
		}
	}
	return strings.Join(out, ", ")
}

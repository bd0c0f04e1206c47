package rule

import (
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// maxAlternatives bounds how many alternatives a condition may have once its `or` stand outermost.
const maxAlternatives = 64

// test is one comparison of an alternative: of a label (matcher), or of numbers.
type test struct {
	matcher     *labels.Matcher
	op          string
	left, right *term
}

// alternative is what must hold together.
type alternative []test

// A comparison that meets NaN is neither true nor false, and neither is its opposite: conditions are Kleene's logic of
// three values, and a rule fires on true alone. With negations pushed down to the comparisons (a > b becomes a <= b),
// it is enough that every comparison, either way round, lets no NaN through; distribution into alternatives keeps that.

// alternatives returns the condition, or its opposite, in disjunctive normal form. None means never, an empty one among
// them always.
func alternatives(n *term, negate bool) ([]alternative, *term) {
	switch n.op {
	case "not":
		return alternatives(n.left, !negate)
	case "and", "or":
		left, at := alternatives(n.left, negate)
		if at != nil {
			return nil, at
		}
		right, at := alternatives(n.right, negate)
		if at != nil {
			return nil, at
		}
		if (n.op == "or") != negate {
			return bounded(n, append(left, right...))
		}
		return both(n, left, right)
	}
	if n.matcher != nil {
		m := n.matcher
		if negate {
			m = inverse(m)
		}
		return []alternative{{{matcher: m}}}, nil
	}
	t := test{op: n.op, left: fold(n.left), right: fold(n.right)}
	if negate {
		t.op = opposite(t.op)
	}
	if t.left.op == "number" && t.right.op != "number" { // 80 < value is value > 80
		t.op, t.left, t.right = mirrored(t.op), t.right, t.left
	}
	switch {
	case t.right.op == "number" && math.IsNaN(t.right.number):
		return nil, nil
	case t.left.op != "number":
		return []alternative{{t}}, nil
	case compareNumbers(t.op, t.left.number, t.right.number):
		return []alternative{{}}, nil
	}
	return nil, nil
}

// both returns the alternatives of two conditions that hold together.
func both(n *term, left, right []alternative) ([]alternative, *term) {
	var out []alternative
	for _, l := range left {
		for _, r := range right {
			out = append(out, slices.Concat(l, r))
			if _, at := bounded(n, out); at != nil {
				return nil, at
			}
		}
	}
	return out, nil
}

// bounded returns as, or n where there are too many of them.
func bounded(n *term, as []alternative) ([]alternative, *term) {
	if len(as) > maxAlternatives {
		return nil, n
	}
	return as, nil
}

func inverse(m *labels.Matcher) *labels.Matcher {
	inv, err := m.Inverse()
	if err != nil {
		panic("BUG: inverse of a valid matcher: " + err.Error())
	}
	return inv
}

func opposite(op string) string {
	switch op {
	case "==":
		return "!="
	case "!=":
		return "=="
	case "<":
		return ">="
	case "<=":
		return ">"
	case ">":
		return "<="
	case ">=":
		return "<"
	}
	panic("BUG: no comparison: " + op)
}

func mirrored(op string) string {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return op
}

// compareNumbers is false where a side is NaN, for every op.
func compareNumbers(op string, a, b float64) bool {
	switch op {
	case "==":
		return a == b
	case "!=":
		return a < b || a > b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	}
	panic("BUG: no comparison: " + op)
}

// fold computes what does not depend on value, as PromQL would.
func fold(n *term) *term {
	if n.left == nil {
		return n
	}
	out := *n
	out.left, out.right = fold(n.left), fold(n.right)
	if out.left.op != "number" || out.right.op != "number" {
		return &out
	}
	v := compute(n.op, out.left.number, out.right.number)
	return &term{sort: ofNumber, op: "number", number: v, pos: n.pos}
}

func compute(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		return a / b
	case "%":
		return math.Mod(a, b)
	case "^":
		return math.Pow(a, b)
	}
	panic("BUG: no arithmetic: " + op)
}

// settle leaves out of an alternative what another of its label tests decides already, and repetitions. It is false
// where no series can pass. metric is the rule's, "" where it has none.
func (a alternative) settle(metric string) (alternative, bool) {
	fixed := map[string]string{}
	if metric != "" {
		fixed[model.MetricNameLabel] = metric
	}
	for _, t := range a {
		if m := t.matcher; m != nil && m.Type == labels.MatchEqual {
			if v, ok := fixed[m.Name]; ok && v != m.Value {
				return nil, false
			}
			fixed[m.Name] = m.Value
		}
	}
	if name, ok := fixed[model.MetricNameLabel]; ok && name == "" {
		return nil, false // every series has a name
	}
	var out alternative
	if metric != "" {
		out = append(out, test{matcher: labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metric)})
	}
	seen := map[string]bool{}
	for _, t := range a {
		if m := t.matcher; m != nil {
			if v, ok := fixed[m.Name]; ok && m.Type != labels.MatchEqual {
				if !m.Matches(v) {
					return nil, false
				}
				continue
			}
			if metric != "" && m.Name == model.MetricNameLabel {
				continue
			}
		}
		if key := t.String(); !seen[key] {
			seen[key] = true
			out = append(out, t)
		}
	}
	return out, true
}

// name returns the metric that the alternative is tied to, "" where it is not tied to one.
func (a alternative) name() string {
	for _, t := range a {
		if m := t.matcher; m != nil && m.Type == labels.MatchEqual && m.Name == model.MetricNameLabel {
			return m.Value
		}
	}
	return ""
}

func (t test) String() string {
	if t.matcher != nil {
		return t.matcher.String()
	}
	return fmt.Sprintf("%s %s %s", arithmetic(t.left, "value", 0), t.op, arithmetic(t.right, "value", 0))
}

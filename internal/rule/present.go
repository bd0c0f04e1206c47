package rule

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/plan"
)

// Present returns an expression that tells, for whatever p returns at some time, whether the series behind it are there
// at another: it returns every label set that p would, whatever its conditions say, as long as all that they look at is
// there. Its values are what p compares, of the left side of `or` where both are there, and NaN where that cannot be told.
//
// It is p without comparisons and without the right side of `and` and `unless`. What was compared or aggregated within
// subqueries, or matched between two vectors, counts as there when both sides are. Conditions within the side of a
// group_left whose labels are taken over stay: without them, more than one element might match. p is refused where it
// cannot be taken apart.
func Present(p *plan.Plan, c *plan.Compiler) (*plan.Plan, error) {
	n, err := taken(p, c)
	if err != nil {
		return nil, err
	}
	b := &presence{c: c}
	value, there := b.value(n), b.there(n)
	text := value
	if value != there {
		text = fmt.Sprintf("(%s) or (%s) * NaN", value, there)
	}
	out, err := c.Compile(text)
	if err != nil || !out.Evaluable() {
		return nil, fmt.Errorf("%w: what is left without its comparisons is no expression", errOpaque)
	}
	return out, nil
}

// presence writes the parts of Present.
type presence struct{ c *plan.Compiler }

// filters reports whether n is a comparison that lets elements through.
func filters(n *plan.Node) bool {
	return (n.Op == plan.Arithmetic || n.Op == plan.Match) && !n.Scalar && n.Binary.Op.Comparison() && !n.Binary.Bool
}

// vectorOf returns the vector operand of an Arithmetic.
func vectorOf(n *plan.Node) *plan.Node {
	if n.In[0].Scalar {
		return n.In[1]
	}
	return n.In[0]
}

// value writes n without the comparisons that are its outermost operations, so that values are what is compared.
func (b *presence) value(n *plan.Node) string {
	switch {
	case filters(n) && n.Op == plan.Arithmetic:
		return b.value(vectorOf(n))
	case filters(n):
		// Either the comparison holds or its opposite; one that meets NaN is the other part's business.
		left, right := operand(n.In[0]), operand(n.In[1])
		return "(" + operation(n, n.Binary.Op, false, left, right) + ") or (" + operation(n, inverted(n.Binary.Op), false, left, right) + ")"
	case n.Op == plan.Set && n.Binary.Op == plan.Or:
		return "(" + b.value(n.In[0]) + ") " + "or " + matching(n.Binary) + "(" + b.value(n.In[1]) + ")"
	case n.Op == plan.Set:
		return b.value(n.In[0])
	case n.Op == plan.Relabel:
		return relabeled(n, b.value(n.In[0]))
	}
	return promQL(n)
}

func inverted(op plan.Operator) plan.Operator {
	switch op {
	case plan.Equal:
		return plan.NotEqual
	case plan.NotEqual:
		return plan.Equal
	case plan.Less:
		return plan.GreaterEqual
	case plan.LessEqual:
		return plan.Greater
	case plan.Greater:
		return plan.LessEqual
	case plan.GreaterEqual:
		return plan.Less
	}
	panic("BUG: not a comparison")
}

// conditional reports whether anything in n lets elements through by more than their being there.
func (b *presence) conditional(n *plan.Node) bool {
	found := false
	n.Walk(func(n *plan.Node) {
		switch n.Op {
		case plan.Arithmetic, plan.Match:
			found = found || filters(n)
		case plan.Aggregate:
			found = found || n.Aggregate.Op == plan.TopK || n.Aggregate.Op == plan.BottomK
		case plan.Set, plan.Absent:
			found = true
		case plan.Subwindow:
			inner, err := b.c.Compile(n.Subquery.Text)
			found = found || err == nil && inner.Root() != nil && b.conditional(inner.Root())
		}
	})
	return found
}

// there writes what returns n's label sets while everything is there that n looks at.
func (b *presence) there(n *plan.Node) string {
	if n.Scalar || !b.conditional(n) {
		return promQL(n)
	}
	switch n.Op {
	case plan.Arithmetic:
		if filters(n) {
			return b.there(vectorOf(n))
		}
		in := "(" + b.there(vectorOf(n)) + ")"
		if n.In[0].Scalar {
			return operation(n, n.Binary.Op, n.Binary.Bool, operand(n.In[0]), in)
		}
		return operation(n, n.Binary.Op, n.Binary.Bool, in, operand(n.In[1]))
	case plan.Match:
		return b.matched(n)
	case plan.Set:
		if n.Binary.Op == plan.Or {
			return "(" + b.there(n.In[0]) + ") or " + matching(n.Binary) + "(" + b.there(n.In[1]) + ")"
		}
		return b.there(n.In[0])
	case plan.Aggregate:
		switch n.Aggregate.Op {
		case plan.TopK, plan.BottomK: // Elements as they were, and who is among the first is a condition.
			return b.there(n.In[0])
		case plan.CountValues: // Values are labels.
			return promQL(n)
		}
		return aggregated(n, b.there(n.In[0]))
	case plan.Map, plan.Sort:
		return mapped(n, "("+b.there(n.In[0])+")")
	case plan.HistogramQuantile:
		return "histogram_quantile(" + promQL(n.In[0]) + ", " + b.there(n.In[1]) + ")"
	case plan.Relabel:
		return relabeled(n, b.there(n.In[0]))
	case plan.Absent:
		return always(n.Labels)
	case plan.Subwindow:
		return b.subwindow(n)
	}
	return promQL(n)
}

// matched is there for an operator between vectors: both sides have to be there, which set operations tell without
// asking for a single partner.
func (b *presence) matched(n *plan.Node) string {
	left, right := b.there(n.In[0]), b.there(n.In[1])
	switch by := matching(n.Binary); {
	case n.Binary.Card == plan.OneToOne && by == "":
		return "(" + left + ") and (" + right + ")"
	case n.Binary.Card == plan.OneToOne:
		by := "group " + groupingOf(n.Binary)
		return by + "(" + left + ") and " + by + "(" + right + ")"
	case n.Binary.Card == plan.ManyToOne && len(n.Binary.Include) == 0:
		return "(" + left + ") and " + by + "(" + right + ")"
	case n.Binary.Card == plan.OneToMany && len(n.Binary.Include) == 0:
		return "(" + right + ") and " + by + "(" + left + ")"
	case n.Binary.Card == plan.ManyToOne:
		left, right = "("+left+")", operand(n.In[1])
	default:
		left, right = operand(n.In[0]), "("+right+")"
	}
	return operation(n, n.Binary.Op, n.Binary.Op.Comparison(), left, right) // bool lets everything through
}

// groupingOf is the grouping that leaves the labels that a match of one to one leaves.
func groupingOf(b *plan.Binary) string {
	if b.On && len(b.Labels) == 0 {
		return ""
	}
	return grouping(!b.On, b.Labels)
}

// subwindow is there for a function over a subquery.
func (b *presence) subwindow(n *plan.Node) string {
	inner, err := b.c.Compile(n.Subquery.Text)
	if err != nil || inner.Root() == nil {
		return promQL(n)
	}
	return window(n, subqueryText(n.Subquery, "("+b.there(inner.Root())+")"))
}

// always writes one element with these labels.
func always(ls labels.Labels) string {
	out := "vector(1)"
	ls.Range(func(l labels.Label) {
		out = fmt.Sprintf("label_replace(%s, %s, %s, \"\", \"\")", out, strconv.Quote(l.Name), strconv.Quote(strings.ReplaceAll(l.Value, "$", "$$")))
	})
	return out
}

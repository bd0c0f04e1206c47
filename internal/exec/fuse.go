package exec

import (
	"math"

	"github.com/tocsin/tocsin/internal/plan"
)

// A run of element-wise nodes, such as (1 - x) * 100 > 5, is computed in one piece by a kernel: no column is written for
// what is between. A node goes into the kernel above it if that is the only one who wants it. What others want, too, has
// a column of its own, at which kernels begin and end.

// demand says who wants which node, over all plans.
type demand struct {
	// users are the distinct nodes and roots that want a node, by key; lines the comparisons with a number among them.
	users, lines map[string]int
}

// demandOf counts what plans want. It calls rest in between.
func demandOf(plans []*plan.Plan, rest func()) demand {
	d := demand{users: map[string]int{}, lines: map[string]int{}}
	seen, roots := map[string]bool{}, map[string]bool{}
	var visit func(n *plan.Node)
	visit = func(n *plan.Node) {
		if seen[n.Key] {
			return
		}
		seen[n.Key] = true
		for i, in := range n.In {
			if i == 0 || in.Key != n.In[0].Key {
				d.users[in.Key]++
			}
			visit(in)
		}
		if v, _, ok := lineOf(n); ok {
			d.lines[v.Key]++
		}
	}
	for _, p := range plans {
		top := p.Root()
		if top == nil || roots[top.Key] {
			continue
		}
		roots[top.Key] = true
		d.users[top.Key]++
		visit(top)
		rest()
	}
	return d
}

// lineOf returns what a filter by a number compares, and with what; false if n is something else.
func lineOf(n *plan.Node) (v *plan.Node, c float64, ok bool) {
	if n.Op != plan.Arithmetic || n.Scalar || n.Binary.Bool || !n.Binary.Op.Comparison() {
		return nil, 0, false
	}
	v, s := operands(n)
	return v, s.Number, s.Op == plan.Number && !math.IsNaN(s.Number)
}

// operands returns an Arithmetic node's vector and its scalar.
func operands(n *plan.Node) (v, s *plan.Node) {
	if n.In[0].Scalar {
		return n.In[1], n.In[0]
	}
	return n.In[0], n.In[1]
}

// inner reports whether n goes into the kernel of the one node that wants it.
func (d *demand) inner(n *plan.Node) bool { return d.users[n.Key] == 1 && elementwise(n) }

// elementwise reports whether kernels have what n does.
func elementwise(n *plan.Node) bool {
	_, ok := alignment(n)
	return ok
}

func simpleOperator(op plan.Operator) bool { return op <= plan.Div || op.Comparison() }

// alignment names what decides which series stand in the lanes of n, and reports whether kernels have what n does.
//
// Both sides of a binary operation between vectors are in one kernel where they are about the same series, so that every
// element of one meets the one of the other that stands in the same lane. That needs no table. It goes by plans alone:
// whether labels are such that it is so is for the kernel's maker to look at.
func alignment(n *plan.Node) (source string, elementwise bool) {
	switch {
	case n.Scalar:
		return n.Key, false
	case n.Op == plan.Instant, n.Op == plan.Window:
		return n.Select.Key, false
	case n.Op == plan.Map:
		source, _ = alignment(n.In[0])
		return source, mapLowering(n) != nil
	case n.Op == plan.Arithmetic:
		v, _ := operands(n)
		source, _ = alignment(v)
		return source, simpleOperator(n.Binary.Op)
	case n.Op == plan.Match && simpleOperator(n.Binary.Op) && n.Binary.Card == plan.OneToOne, n.Op == plan.Set:
		if b := n.Binary; b.On || len(b.Labels) > 0 || len(b.Include) > 0 {
			return n.Key, false
		}
		left, _ := alignment(n.In[0])
		if right, _ := alignment(n.In[1]); right == left {
			return left, true
		}
	}
	return n.Key, false
}

// headOf returns the match between different series at which the kernel of n begins, nil if it does not begin at one. It may
// be n itself; otherwise only n's chain of kernel operations wants it.
func (d *demand) headOf(n *plan.Node) *plan.Node {
	for {
		switch {
		case n.Op == plan.Match && !elementwise(n):
			if !simpleOperator(n.Binary.Op) {
				return nil
			}
			return n
		case !elementwise(n):
			return nil
		case n.Op == plan.Arithmetic:
			n, _ = operands(n)
		case n.Op == plan.Map:
			n = n.In[0]
		default:
			return nil
		}
		if d.users[n.Key] != 1 {
			return nil
		}
	}
}

// ends returns what the kernel of n, which begins at head if there is one, would read: the vectors that have columns, and
// the scalars that are no numbers, each once.
func (d *demand) ends(n, head *plan.Node) (ends []*plan.Node) {
	seen := map[string]bool{}
	var visit func(n *plan.Node, within bool)
	visit = func(n *plan.Node, within bool) {
		if within {
			for _, in := range n.In {
				visit(in, head != nil && in.Key == head.Key || n != head && d.inner(in))
			}
			return
		}
		if !seen[n.Key] && n.Op != plan.Number {
			seen[n.Key] = true
			ends = append(ends, n)
		}
	}
	visit(n, true)
	return ends
}

package exec

import (
	"slices"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

// source is a selector with the leaves that read it.
type source struct {
	selector *window.Selector
	sel      *plan.Select
	leaves   []*unit
	fed      uint64 // what selector.Fed said at the last pulse
	users    int
}

// root is a plan in the graph.
type root struct {
	unit *unit
	// plans are those that are this root's, next those of the Load that is under way.
	plans, next []*plan.Plan
	// order are the units that it needs, inputs first.
	order      []*unit
	sources    []*source // those that look at the present
	subwindows []*subwindow
	filled     bool
	streaming  bool
	// reported is the last pulse that told of it.
	reported uint64
	bails    map[string]uint64
	result   result
	// ticked says that a tick evaluated it since a pulse last told of it. Where several rules have the expression, the
	// others have not seen what that tick saw.
	ticked bool
	// synced is what syncs returned when the root was last evaluated.
	synced uint64
}

// eval brings the root's column to time at.
func (r *root) eval(at int64) error {
	for _, u := range r.order {
		if err := u.full(at); err != nil {
			r.unit.at, r.unit.broken = never, true
			return err
		}
	}
	r.synced = r.syncs()
	return nil
}

// syncs moves when something that the root needs is evaluated in full, be it for another root at another time. Then the
// root's column may share values that are not what it selected by.
func (r *root) syncs() uint64 {
	var n uint64
	for _, u := range r.order {
		n += u.op.out().synced
	}
	return n
}

// bailed counts err, which is a *Bail or what tier 0 said of a subquery, and returns it.
func (c *Core) bailed(r *root, err error) error {
	reason := ReasonSubquery
	if b := AsBail(err); b != nil {
		reason = b.Reason
	}
	r.bails[reason]++
	c.bails[reason]++
	return err
}

// build returns the unit of n, made with all that it needs where it is not there yet.
func (c *Core) build(n *plan.Node) *unit {
	if u := c.units[n.Key]; u != nil {
		return u
	}
	if !c.opts.Separate {
		if u := c.buildLined(n); u != nil {
			return u
		}
		if u := c.buildKernel(n); u != nil {
			return u
		}
	}
	below := make([]*unit, len(n.In))
	in := make([]operator, len(n.In))
	for i, child := range n.In {
		below[i] = c.build(child)
		below[i].bindDeep()
		in[i] = below[i].op
	}
	return c.install(n, below, newOperator(n, in, c.env))
}

// buildKernel returns the unit of n with all that goes into one kernel with it; nil where that cannot be. What the kernel
// would read has been made then, and is what n needs in any case.
func (c *Core) buildKernel(n *plan.Node) *unit {
	if head := c.demand.headOf(n); head != nil {
		below, at := c.buildAll(c.demand.ends(n, head))
		if op := newMatched(&c.demand, n, head, at, c.env); op != nil {
			return c.install(n, below, op)
		}
	}
	if !elementwise(n) {
		return nil
	}
	below, at := c.buildAll(c.demand.ends(n, nil))
	if op := newFused(&c.demand, n, at, c.env); op != nil {
		return c.install(n, below, op)
	}
	return nil
}

// buildLined returns the unit of n if it is a comparison that an index answers, nil otherwise.
func (c *Core) buildLined(n *plan.Node) *unit {
	v, number, ok := lineOf(n)
	if !ok || c.lines[v.Key] == nil && c.demand.lines[v.Key] < minLines {
		return nil
	}
	below := c.build(v)
	below.bindDeep()
	x := c.lines[v.Key]
	if x == nil {
		x = newLines(below.op.out(), c.env)
		c.lines[v.Key] = x
	}
	return c.install(n, []*unit{below}, newLined(n, below.op, x, number))
}

// buildAll returns the units of nodes, and their operators by key.
func (c *Core) buildAll(nodes []*plan.Node) (units []*unit, at map[string]operator) {
	at = make(map[string]operator, len(nodes))
	for _, n := range nodes {
		u := c.build(n)
		u.bindDeep()
		units, at[n.Key] = append(units, u), u.op
	}
	return units, at
}

// install makes op, which computes n from what is below, part of the graph.
func (c *Core) install(n *plan.Node, below []*unit, op operator) *unit {
	c.serial++
	u := &unit{node: n, id: c.serial, at: never, logger: c.opts.Logger, op: op, in: below}
	seen := map[*source]bool{}
	for _, b := range below {
		b.holders++
		b.uses = append(b.uses, u)
		u.rank = max(u.rank, b.rank+1)
		u.stepped = u.stepped || b.stepped
		for _, s := range b.sources {
			if !seen[s] {
				seen[s] = true
				u.sources = append(u.sources, s)
			}
		}
	}
	u.windowed, _ = u.op.(*windowed)
	u.fused, _ = u.op.(*fused)
	u.lined, _ = u.op.(*lined)
	if sub, ok := u.op.(*subwindow); ok {
		sub.id, u.stepped = u.id, true
	}
	if n.Select != nil {
		s := c.source(n.Select)
		s.leaves = append(s.leaves, u)
		u.sources = append(u.sources, s)
	}
	if u.mayCollide() {
		u.unique = newUniqueness()
	}
	c.units[n.Key] = u
	return u
}

// mayCollide reports whether two elements of u may have equal labels without anybody below having looked. Who passes
// elements of one input on as they are, or some of them, has nothing to look for.
func (u *unit) mayCollide() bool {
	out := u.op.out()
	if u.node.Scalar || out.unique || u.node.Op == plan.Instant {
		return false
	}
	for _, in := range u.in {
		below := in.op.out()
		if in.node.Scalar || below.lanes != out.lanes {
			continue
		}
		switch u.node.Op {
		case plan.Sort, plan.Set, plan.Aggregate:
			return false
		case plan.Arithmetic:
			return below.named && (u.node.Binary.Bool || !u.node.Binary.Op.Comparison())
		case plan.Map:
			return below.named
		}
	}
	return true
}

// source returns the selector of sel, counted.
func (c *Core) source(sel *plan.Select) *source {
	s := c.sources[sel.Key]
	if s == nil {
		s = &source{selector: c.store.Select(sel), sel: sel}
		c.sources[sel.Key], c.bySelector[s.selector] = s, s
	}
	s.users++
	return s
}

// drop takes one holder of u away, and u with all that nobody else needs when it was the last.
func (c *Core) drop(u *unit) {
	if u.holders--; u.holders > 0 {
		return
	}
	delete(c.units, u.node.Key)
	if closer, ok := u.op.(interface{ close() }); ok {
		closer.close()
	}
	if l, ok := u.op.(*lined); ok && l.lines.users == 0 {
		l.lines.runner.Close()
		c.lineHits += l.lines.hits
		delete(c.lines, l.in.node.Key)
	}
	if u.node.Select != nil {
		s := c.sources[u.node.Select.Key]
		s.leaves = without(s.leaves, u)
		if s.users--; s.users == 0 {
			c.store.Release(s.selector, s.sel)
			delete(c.sources, u.node.Select.Key)
			delete(c.bySelector, s.selector)
		}
	}
	for _, below := range u.in {
		below.uses = without(below.uses, u)
		c.drop(below)
	}
}

func without[E comparable](s []E, e E) []E {
	return slices.DeleteFunc(s, func(x E) bool { return x == e })
}

// newRoot makes the root of a plan's top node.
func (c *Core) newRoot(top *plan.Node) *root {
	r := &root{unit: c.build(top), bails: map[string]uint64{}}
	r.unit.holders++
	r.unit.roots = append(r.unit.roots, r)
	r.order = r.unit.withAllBelow(nil, map[*unit]bool{})
	seen := map[*source]bool{}
	for _, u := range r.order {
		if sub, ok := u.op.(*subwindow); ok {
			r.subwindows = append(r.subwindows, sub)
		}
		if sel := u.node.Select; sel != nil && sel.Offset <= 0 {
			if s := c.sources[sel.Key]; !seen[s] {
				seen[s] = true
				r.sources = append(r.sources, s)
			}
		}
	}
	return r
}

// withAllBelow appends u and what it needs to order, inputs first, each once.
func (u *unit) withAllBelow(order []*unit, seen map[*unit]bool) []*unit {
	if seen[u] {
		return order
	}
	seen[u] = true
	for _, in := range u.in {
		order = in.withAllBelow(order, seen)
	}
	return append(order, u)
}

// spreadStreaming tells the units which of them streaming plans need.
func (c *Core) spreadStreaming() {
	for _, u := range c.units {
		u.streams = false
	}
	for _, r := range c.roots {
		if r.streaming {
			for _, u := range r.order {
				u.streams = true
			}
		}
	}
	for _, u := range c.units {
		if u.streams && !u.streaming {
			u.at, u.evaluated = never, false // It may have missed marks: the next evaluation is a full one.
		}
		u.streaming = u.streams
	}
	for _, u := range c.units {
		followed := false
		for _, above := range u.uses {
			followed = followed || above.streaming
		}
		u.op.out().marks.Lighten(!followed)
	}
}

// newOperator makes the operator of n.
func newOperator(n *plan.Node, in []operator, e *env) operator {
	switch n.Op {
	case plan.Number:
		return newNumber(n, in, e)
	case plan.Time:
		return newTime(n, in, e)
	case plan.Instant:
		return newInstant(n, in, e)
	case plan.Window:
		return newWindow(n, in, e)
	case plan.Subwindow:
		return newSubwindow(n, in, e)
	case plan.Map:
		return newMap(n, in, e)
	case plan.ScalarOf:
		return newScalarOf(n, in, e)
	case plan.VectorOf:
		return newVectorOf(n, in, e)
	case plan.Arithmetic:
		return newArithmetic(n, in, e)
	case plan.Match:
		return newMatch(n, in, e)
	case plan.Set:
		return newSet(n, in, e)
	case plan.Aggregate:
		return newAggregate(n, in, e)
	case plan.HistogramQuantile:
		return newHistogramQuantile(n, in, e)
	case plan.Absent:
		return newAbsent(n, in, e)
	case plan.Relabel:
		return newRelabel(n, in, e)
	case plan.Sort:
		return newSort(n, in, e)
	}
	panic("BUG: a node without an operator")
}

package exec

import (
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

// never is the evaluation time of what was not evaluated as of one time.
const never = math.MinInt64

// unit is an operator with its place in the graph of all plans.
type unit struct {
	op   operator
	node *plan.Node
	id   int // for people
	in   []*unit
	uses []*unit
	// rank is 0 for leaves, otherwise one more than the highest of the inputs'.
	rank int
	// sources are all selectors at or below it.
	sources []*source
	// holders are the units and roots that use it; at none it goes.
	holders   int
	streaming bool
	roots     []*root // whose root it is
	unique    *uniqueness

	// at is the time of the full evaluation that the column is of, never where it is of no single time; version is
	// what was known then.
	at      int64
	version uint64
	// evaluated says that the column was computed at all, broken that the last attempt bailed.
	evaluated, broken bool
	queued            bool
	panicked          bool
	logger            *slog.Logger
	// reachedIn is the last pulse that looked for roots above it, boundIn the last that bound it.
	reachedIn, boundIn uint64
	// unseen says that it was evaluated in full since a pulse last updated it.
	unseen bool
	// windowed is the operator where it is one over windows of samples. All of these were last brought to time slid, and
	// took slideCost for it.
	windowed  *windowed
	slid      int64
	slideCost time.Duration
	// stepped says that a subquery is at or below it: then the samples that are known do not tell whether it moved.
	stepped bool

	cost cost
}

// source is a selector with the leaves that read it.
type source struct {
	selector *window.Selector
	sel      *plan.Select
	leaves   []*unit
	fed      uint64 // what selector.Fed said at the last pulse
	users    int
}

// cost is what evaluations of a unit took.
type cost struct {
	evaluations uint64
	total       time.Duration
}

func (c *cost) add(d time.Duration) {
	c.evaluations++
	c.total += d
}

// guarded runs f and makes a panic in it a Bail: a mistake in one operator leaves the rules that need it to tier 0, and
// nobody else. It is logged once an operator.
func (u *unit) guarded(f func() error) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		err = &Bail{Reason: ReasonPanic, Detail: fmt.Sprint(p)}
		if !u.panicked {
			u.panicked = true
			u.logger.Error("A mistake in the compiled engine; the rules concerned run on the upstream engine",
				"expression", u.node.Key, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return f()
}

func (u *unit) ready() bool { return u.evaluated && !u.broken }

// known is a number that moves with every sample that could change u's value.
func (u *unit) known() uint64 {
	var v uint64
	for _, s := range u.sources {
		v += s.selector.Version()
	}
	return v
}

// full brings u's column to time at, where it is not there already. The inputs are.
func (u *unit) full(at int64) error {
	u.op.bind()
	known := u.known()
	if u.at == at && u.version == known && u.ready() && !u.stepped {
		return nil
	}
	start := time.Now()
	err := u.guarded(func() error { return u.op.full(at) })
	out := u.op.out()
	out.synced++
	out.marks.Clear()
	out.changed = false
	u.slideCost, u.slid = time.Since(start), at
	u.cost.add(u.slideCost)
	if err == nil && u.unique != nil {
		err = u.unique.check(out)
	}
	if err != nil {
		u.at, u.broken = never, true
		return err
	}
	u.at, u.version, u.evaluated, u.broken, u.unseen = at, known, true, false, true
	return nil
}

// bind follows the lanes of u and of all below it, once a pulse: a unit that has nothing to update itself may still have
// lanes that came, which those that use it have seen through another.
func (u *unit) bind(pulse uint64) {
	if u.boundIn == pulse {
		return
	}
	u.boundIn = pulse
	for _, in := range u.in {
		in.bind(pulse)
	}
	u.op.bind()
}

// bindDeep is bind at any time, for those who are built on u.
func (u *unit) bindDeep() {
	for _, in := range u.in {
		in.bindDeep()
	}
	u.op.bind()
}

// update lets u follow its inputs' marks.
func (u *unit) update(now int64, pulse uint64) {
	start := time.Now()
	slides := u.windowed != nil && now-u.slid >= u.slideSpacing()
	if slides {
		u.windowed.slide = true
	}
	err := u.guarded(func() error {
		u.bind(pulse)
		if err := u.op.update(now); err != nil {
			return err
		}
		if len(u.uses) > 0 {
			u.retouch()
		}
		if u.unique != nil {
			return u.unique.check(u.op.out())
		}
		return nil
	})
	took := time.Since(start)
	if slides {
		u.slid, u.slideCost = now, took
	}
	u.cost.add(took)
	u.at = never
	u.broken = err != nil
}

// The windows of series that nothing arrives for move on, too, and what is made of all of them, such as the sum of their
// rates, must not mix times that lie far apart. So an arrival brings all windows of an operator to its time if they were
// not for slideAfter, or for slideRest times as long as that takes.
const (
	slideAfter = time.Second
	slideRest  = 1000
)

func (u *unit) slideSpacing() int64 { return max(slideAfter, slideRest*u.slideCost).Milliseconds() }

// retouch marks what a pulse may not see as changed, because a full evaluation since the last one has computed it
// already: others that use u have not followed that. Those that have find, as what stood there before, what stands there
// now.
func (u *unit) retouch() {
	out := u.op.out()
	if !u.unseen {
		return
	}
	u.unseen = false
	if u.node.Scalar {
		out.changed = true
		return
	}
	touch := func(w uint32) {
		out.marks.Add(w, out.column.V[w*column.WordLanes:][:column.WordLanes], out.column.OK[w])
	}
	switch {
	case u.node.Select != nil:
		for _, w := range u.sources[len(u.sources)-1].selector.Marks().Words() {
			touch(w)
		}
	case u.node.Op == plan.Map || u.node.Op == plan.Relabel || u.node.Op == plan.Sort:
		for _, w := range u.in[0].op.out().marks.Words() {
			touch(w)
		}
	default:
		for w := range out.column.OK {
			touch(uint32(w))
		}
	}
}

// root is a plan in the graph.
type root struct {
	unit *unit
	// plans are those that are this root's.
	plans []*plan.Plan
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
	c.serial++
	u := &unit{node: n, id: c.serial, at: never, logger: c.opts.Logger}
	in := make([]operator, len(n.In))
	seen := map[*source]bool{}
	for i, child := range n.In {
		below := c.build(child)
		below.bindDeep()
		below.holders++
		below.uses = append(below.uses, u)
		u.in = append(u.in, below)
		in[i] = below.op
		u.rank = max(u.rank, below.rank+1)
		u.stepped = u.stepped || below.stepped
		for _, s := range below.sources {
			if !seen[s] {
				seen[s] = true
				u.sources = append(u.sources, s)
			}
		}
	}
	u.op = newOperator(n, in, c.env)
	u.windowed, _ = u.op.(*windowed)
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
	seenSource := map[*source]bool{}
	top.Walk(func(n *plan.Node) {
		u := c.units[n.Key]
		if !containsUnit(r.order, u) {
			r.order = append(r.order, u)
		}
		if sub, ok := u.op.(*subwindow); ok {
			r.subwindows = append(r.subwindows, sub)
		}
		if n.Select != nil && n.Select.Offset <= 0 {
			if s := c.sources[n.Select.Key]; !seenSource[s] {
				seenSource[s] = true
				r.sources = append(r.sources, s)
			}
		}
	})
	return r
}

func containsUnit(all []*unit, u *unit) bool {
	for _, x := range all {
		if x == u {
			return true
		}
	}
	return false
}

// spreadStreaming tells the units which of them streaming plans need.
func (c *Core) spreadStreaming() {
	streams := map[*unit]bool{}
	for _, r := range c.roots {
		if r.streaming {
			for _, u := range r.order {
				streams[u] = true
			}
		}
	}
	for _, u := range c.units {
		if streams[u] && !u.streaming {
			u.at, u.evaluated = never, false // It may have missed marks: the next evaluation is a full one.
		}
		u.streaming = streams[u]
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

package exec

import (
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// newAggregate makes the operator of an aggregation: in[0] is the vector, in[1] the scalar parameter of those that have
// one.
func newAggregate(n *plan.Node, in []operator, _ *env) operator {
	v := in[0].out()
	var param *output
	if len(in) > 1 {
		param = in[1].out()
	}
	switch n.Aggregate.Op {
	case plan.TopK, plan.BottomK:
		return newRanking(n, v, param)
	case plan.CountValues:
		return newCountValues(n, v)
	}
	a := &aggregate{param: param, groups: aggregationOf(n, v), follower: follower{in: v}}
	a.node, a.shape = n, a.groups.shape()
	switch n.Aggregate.Op {
	case plan.Sum, plan.Avg:
		a.fold = &sums{avg: n.Aggregate.Op == plan.Avg}
	case plan.Count, plan.Group:
		a.fold = &counts{single: n.Aggregate.Op == plan.Group}
	case plan.Min, plan.Max:
		a.fold = &extremes{max: n.Aggregate.Op == plan.Max}
	case plan.Stddev, plan.Stdvar:
		a.fold = &spreads{root: n.Aggregate.Op == plan.Stddev}
	case plan.Quantile:
		a.fold = &quantiles{param: param}
	default:
		panic("BUG: an aggregation without an operator")
	}
	return a
}

// fold computes a number a group. What it keeps is about the groups' lanes; it reads the input's column and the groups'
// members, and writes neither.
type fold interface {
	// grow makes room for groups.
	grow(groups int)
	// all folds all members of all groups anew.
	all(c *column.Column, g *groups)
	// one folds the members of one group anew.
	one(c *column.Column, g *groups, group uint32)
	// apply follows the input's marks, which tell all: it adds the groups whose number it brought up to date to
	// changed, and those that have to be folded anew to stale.
	apply(in *output, g *groups, changed, stale *idSet)
	// value is the group's number; ok is false where no member has a value.
	value(group uint32) (v float64, ok bool)
	bytes() int
}

// aggregate is an aggregation that makes a number of each group.
type aggregate struct {
	output
	follower
	param  *output // nil without
	groups *groups
	fold   fold
	// arg is the parameter at the last evaluation.
	arg            float64
	changed, stale idSet
	taken          withdrawn
}

func (a *aggregate) bind() {
	a.groups.follow()
	for _, group := range a.groups.released {
		a.taken.take(&a.column, group)
	}
	n := a.groups.lanes.Len()
	a.column.Grow(n)
	a.fold.grow(n)
}

func (a *aggregate) full(int64) error {
	a.taken.clear()
	a.foldAll()
	c := &a.column
	for w := range c.OK {
		v := c.V[w*column.WordLanes:][:column.WordLanes]
		var has uint64
		for live := a.groups.lanes.Live()[w]; live != 0; live &= live - 1 {
			i := bits.TrailingZeros64(live)
			x, ok := a.fold.value(uint32(w*column.WordLanes + i))
			if ok {
				v[i] = x
				has |= 1 << i
			}
		}
		c.OK[w] = has
	}
	return nil
}

// foldAll folds everything, from when on the marks tell what changes.
func (a *aggregate) foldAll() {
	a.fold.all(&a.in.column, a.groups)
	a.groups.churn = false
	if a.param != nil {
		a.arg = a.param.scalar
	}
	a.caughtUp()
}

func (a *aggregate) update(int64) error {
	a.taken.mark(&a.output)
	if a.groups.churn || a.paramMoved() || !a.inStep() {
		a.foldAll()
		a.publishAll()
		return nil
	}
	if !a.in.marks.Any() {
		return nil
	}
	a.changed.clear()
	a.stale.clear()
	a.fold.apply(a.in, a.groups, &a.changed, &a.stale)
	a.followed()
	members := 0
	for _, group := range a.stale.list {
		members += int(a.groups.members.count[group])
	}
	if members > a.in.lanes.Used()/2 {
		a.fold.all(&a.in.column, a.groups) // One way through the column is faster than through most lists.
		a.publishAll()
		return nil
	}
	for _, group := range a.stale.list {
		a.fold.one(&a.in.column, a.groups, group)
		a.publish(group)
	}
	for _, group := range a.changed.list {
		a.publish(group)
	}
	return nil
}

// paramMoved reports whether the parameter is another than at the last evaluation.
func (a *aggregate) paramMoved() bool {
	return a.param != nil && a.param.scalar != a.arg && (a.param.scalar == a.param.scalar || a.arg == a.arg)
}

func (a *aggregate) publish(group uint32) {
	v, ok := a.fold.value(group)
	a.setMarked(group, v, ok)
}

func (a *aggregate) publishAll() {
	for w, live := range a.groups.lanes.Live() {
		for ; live != 0; live &= live - 1 {
			a.publish(uint32(w*column.WordLanes + bits.TrailingZeros64(live)))
		}
	}
}

func (a *aggregate) bytes() int {
	return a.column.Bytes() + a.groups.bytes() + a.fold.bytes() + 8*cap(a.seen)
}

// staleGroups adds the groups of all lanes that changed to stale.
func staleGroups(in *output, g *groups, stale *idSet) {
	for i, w := range in.marks.Words() {
		v, ids := in.column.V[w*column.WordLanes:], g.members.id[w*column.WordLanes:][:column.WordLanes]
		for lanes := changedLanes(in.marks.Old(i), v, in.column.OK[w]); lanes != 0; lanes &= lanes - 1 {
			stale.add(ids[bits.TrailingZeros64(lanes)])
		}
	}
}

package exec

import (
	"fmt"
	"math"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// elementwiseInput stands for a selector: its series, and whether they have values, are what a test says.
type elementwiseInput struct {
	output
	owned  column.Lanes
	series []labels.Labels
}

func newElementwiseInput(n *plan.Node, oneName bool) *elementwiseInput {
	e := &elementwiseInput{}
	e.node = n
	e.shape = shape{
		lanes: &e.owned, unique: true, named: true, oneName: oneName,
		labels: func(lane uint32) labels.Labels { return e.series[lane] },
	}
	return e
}

func (e *elementwiseInput) add(ls labels.Labels) uint32 {
	lane := e.owned.Bind()
	e.series = column.GrowSlice(e.series, e.owned.Len())
	e.series[lane] = ls
	return lane
}

func (e *elementwiseInput) bind()              { e.column.Grow(e.owned.Len()) }
func (e *elementwiseInput) full(int64) error   { return nil }
func (e *elementwiseInput) update(int64) error { return nil }

// set gives a lane a value, or none, and marks what stood there if mark says so.
func (e *elementwiseInput) set(lane uint32, v float64, ok, mark bool) {
	e.bind()
	w := lane / column.WordLanes
	if mark {
		e.marks.Add(w, e.column.V[w*column.WordLanes:], e.column.OK[w])
	}
	e.column.V[lane] = v
	if e.column.OK.Unset(lane); ok {
		e.column.OK.Set(lane)
	}
}

// elementwiseGraph is an expression's operators over inputs of a test, run as their owner runs them.
type elementwiseGraph struct {
	t      testing.TB
	inputs map[string]*elementwiseInput // by metric name
	made   map[string]operator
	order  []operator
	root   operator
	unique map[operator]*uniqueness
	before []column.Column // by order, as of the last evaluation; nil where that failed
}

func newElementwiseGraph(t testing.TB, text string) *elementwiseGraph {
	p, err := plan.NewCompiler(plan.Options{}).Compile(text)
	require.NoError(t, err, text)
	_, why := p.Tier()
	require.Empty(t, why, text)
	g := &elementwiseGraph{
		t: t, inputs: map[string]*elementwiseInput{}, made: map[string]operator{}, unique: map[operator]*uniqueness{},
	}
	g.root = g.build(p.Root())
	return g
}

func (g *elementwiseGraph) build(n *plan.Node) operator {
	if op := g.made[n.Key]; op != nil {
		return op
	}
	var in []operator
	for _, child := range n.In {
		in = append(in, g.build(child))
	}
	op := g.operator(n, in)
	g.made[n.Key] = op
	g.order = append(g.order, op)
	if !n.Scalar && !op.out().unique {
		g.unique[op] = newUniqueness()
	}
	return op
}

func (g *elementwiseGraph) operator(n *plan.Node, in []operator) operator {
	switch n.Op {
	case plan.Instant:
		name := n.Select.Name()
		input := newElementwiseInput(n, name != "")
		g.inputs[name] = input
		return input
	case plan.Number:
		return newNumber(n, in, nil)
	case plan.Time:
		return newTime(n, in, nil)
	case plan.Map:
		return newMap(n, in, nil)
	case plan.ScalarOf:
		return newScalarOf(n, in, nil)
	case plan.VectorOf:
		return newVectorOf(n, in, nil)
	case plan.Arithmetic:
		return newArithmetic(n, in, nil)
	case plan.Relabel:
		return newRelabel(n, in, nil)
	case plan.Sort:
		return newSort(n, in, nil)
	}
	g.t.Fatalf("no operator for %s", n.Key)
	return nil
}

func (g *elementwiseGraph) full(t int64) error {
	for _, op := range g.order {
		op.bind()
		err := op.full(t)
		out := op.out()
		out.synced++
		out.changed = false
		out.marks.Clear()
		if err == nil && g.unique[op] != nil {
			err = g.unique[op].check(out)
		}
		if err != nil {
			return err
		}
	}
	g.remember()
	return nil
}

// update runs an update, and checks of every operator that its marks tell the truth and all of it.
func (g *elementwiseGraph) update(t int64) error {
	before := g.before
	g.before = nil
	synced := make([]uint64, len(g.order))
	for i, op := range g.order {
		synced[i] = op.out().synced
		op.bind()
		if err := op.update(t); err != nil {
			return err
		}
		if u := g.unique[op]; u != nil {
			if err := u.check(op.out()); err != nil {
				return err
			}
		}
	}
	for i, op := range g.order {
		out := op.out()
		if before != nil && synced[i] == out.synced && !out.node.Scalar && out.node.Op != plan.Instant {
			elementwiseCheckMarks(g.t, &before[i], out)
		}
	}
	for _, op := range g.order {
		op.out().marks.Clear()
		op.out().changed = false
	}
	g.remember()
	return nil
}

// remember copies all columns: what the next update finds.
func (g *elementwiseGraph) remember() {
	g.before = make([]column.Column, len(g.order))
	for i, op := range g.order {
		g.before[i] = elementwiseCopy(&op.out().column)
	}
}

func elementwiseCopy(c *column.Column) column.Column {
	return column.Column{V: append([]float64(nil), c.V...), OK: append(column.Bitmap(nil), c.OK...)}
}

func elementwiseCheckMarks(t testing.TB, before *column.Column, out *output) {
	before.Grow(len(out.column.OK) * column.WordLanes)
	for i, w := range out.marks.Words() {
		old := out.marks.Old(i)
		require.Equal(t, before.OK[w], old.OK, "what was there in word %d of %s", w, out.node.Key)
		for lane := range uint32(column.WordLanes) {
			if old.OK>>lane&1 != 0 {
				elementwiseSame(t, before.V[w*column.WordLanes+lane], old.V[lane], out.node.Key)
			}
		}
		if now := out.column.OK[w]; now == old.OK {
			require.False(t, sameBits(&old.V, wordOf(out.column.V, int(w)), now), "word %d of %s did not change", w, out.node.Key)
		}
	}
	for w, ok := range out.column.OK {
		if out.marks.Has(uint32(w)) {
			continue
		}
		require.Equal(t, before.OK[w], ok, "word %d of %s is not marked", w, out.node.Key)
		for lane := w * column.WordLanes; ok != 0; ok, lane = ok>>1, lane+1 {
			if ok&1 != 0 {
				elementwiseSame(t, before.V[lane], out.column.V[lane], out.node.Key)
			}
		}
	}
}

func elementwiseSame(t testing.TB, want, got float64, what string) {
	if math.Float64bits(want) != math.Float64bits(got) && (want == want || got == got) {
		require.Failf(t, "another value", "%s: %v (%x), want %v (%x)", what, got, math.Float64bits(got), want, math.Float64bits(want))
	}
}

// result returns the values by labels.
func (g *elementwiseGraph) result() map[string]float64 {
	out := g.root.out()
	if out.node.Scalar {
		return map[string]float64{"{}": out.scalar}
	}
	require.Len(g.t, out.column.V, len(out.column.OK)*column.WordLanes)
	all := map[string]float64{}
	for lane := range uint32(len(out.column.V)) {
		if out.column.OK.Has(lane) {
			require.True(g.t, out.lanes.Live().Has(lane), "a lane that is not in use has a value")
			key := out.labels(lane).String()
			require.NotContains(g.t, all, key)
			all[key] = out.column.V[lane]
		}
	}
	return all
}

func elementwiseLabels(name string, i int) labels.Labels {
	return labels.FromStrings(model.MetricNameLabel, name, "i", fmt.Sprint(i), "job", fmt.Sprintf("j-%d.x", i%7))
}

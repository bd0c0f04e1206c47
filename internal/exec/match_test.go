package exec

import (
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
)

// matchOf makes a match and its two inputs, both of one metric name.
func matchOf(b plan.Binary) (op operator, left, right *matchInput) {
	left, right = newMatchInput(true, true), newMatchInput(true, true)
	return newMatch(&plan.Node{Op: plan.Match, Binary: &b}, []operator{left, right}, nil), left, right
}

func matchFull(op operator) error {
	op.bind()
	op.out().synced++
	return op.full(0)
}

// matchUpdate runs an update and takes the marks away.
func matchUpdate(op operator, in ...*matchInput) error {
	op.bind()
	err := op.update(0)
	for _, i := range in {
		i.marks.Clear()
	}
	op.out().marks.Clear()
	return err
}

func TestMatchIncludedLabelsFollowTheCandidateThatHasAValue(t *testing.T) {
	op, left, right := matchOf(plan.Binary{Op: plan.Mul, On: true, Labels: []string{"x"}, Card: plan.ManyToOne, Include: []string{"v"}})
	l := left.add(labels.FromStrings("x", "1"))
	left.set(l, 2)
	first := right.add(labels.FromStrings("x", "1", "v", "a", "w", "1"))
	right.set(first, 3)
	require.NoError(t, matchFull(op))
	got, _ := matchValues(op.out())
	require.Equal(t, map[string]float64{`{v="a", x="1"}`: 6}, got)
	left.refill()
	right.refill()
	require.NoError(t, matchFull(op))

	// Another candidate takes over with the same labels: nothing of note.
	second := right.add(labels.FromStrings("x", "1", "v", "a", "w", "2"))
	require.NoError(t, matchUpdate(op, left, right))
	right.unset(first)
	right.set(second, 4)
	require.NoError(t, matchUpdate(op, left, right))
	got, _ = matchValues(op.out())
	require.Equal(t, map[string]float64{`{v="a", x="1"}`: 8}, got)

	// A third takes over with other labels: an update leaves that to the next full evaluation.
	third := right.add(labels.FromStrings("x", "1", "v", "b"))
	right.unset(second)
	right.set(third, 5)
	require.ErrorIs(t, matchUpdate(op, left, right), errRematch)
	require.NoError(t, matchFull(op))
	got, _ = matchValues(op.out())
	require.Equal(t, map[string]float64{`{v="b", x="1"}`: 10}, got)

	// An element that had no value meanwhile may come back with other labels.
	right.unset(third)
	require.NoError(t, matchUpdate(op, left, right))
	right.set(second, 6)
	require.NoError(t, matchUpdate(op, left, right))
	got, _ = matchValues(op.out())
	require.Equal(t, map[string]float64{`{v="a", x="1"}`: 12}, got)

	// Two at a time are an error, unless there is nothing to match.
	right.set(third, 7)
	require.ErrorIs(t, matchUpdate(op, left, right), errDuplicate)
	left.unset(l)
	require.NoError(t, matchFull(op))
	got, _ = matchValues(op.out())
	require.Empty(t, got)
	left.set(l, 1)
	require.ErrorIs(t, matchUpdate(op, left, right), errDuplicate)
}

func TestMatchSeesRivalsInOtherWords(t *testing.T) {
	op, left, right := matchOf(plan.Binary{Op: plan.Greater, On: true, Labels: []string{"x"}})
	var lanes []uint32
	for i := range 130 {
		lanes = append(lanes, left.add(labels.FromStrings("i", fmt.Sprint(i), "x", fmt.Sprint(i%129))))
	}
	r := right.add(labels.FromStrings("x", "0"))
	right.set(r, 5)
	left.set(lanes[129], 1)
	require.NoError(t, matchFull(op))
	left.refill()
	right.refill()
	require.NoError(t, matchFull(op))
	left.set(lanes[0], 1) // Neither is greater, and PromQL fails all the same.
	require.ErrorIs(t, matchUpdate(op, left, right), errDuplicate)
	left.drop(lanes[129])
	require.NoError(t, matchFull(op))
	left.set(lanes[0], 6)
	require.NoError(t, matchUpdate(op, left, right))
	got, _ := matchValues(op.out())
	require.Equal(t, map[string]float64{`{x="0"}`: 6}, got)
}

// TestMatchSeesEqualResultsOfDifferentSignatures: metric types belong to the signature of ignoring, but not to results.
func TestMatchSeesEqualResultsOfDifferentSignatures(t *testing.T) {
	for _, card := range []plan.Cardinality{plan.OneToOne, plan.ManyToOne, plan.OneToMany} {
		op, left, right := matchOf(plan.Binary{Op: plan.Add, Card: card})
		for _, in := range []*matchInput{left, right} {
			in.add(labels.FromStrings("x", "1"))
			in.add(labels.FromStrings("x", "1", "__type__", "counter"))
			in.set(0, 1)
			in.set(1, 1)
		}
		require.ErrorIs(t, matchFull(op), errDuplicate)
		left.unset(0)
		require.NoError(t, matchFull(op))
	}
}

// TestMatchMirrorsLanes: a result that takes labels over has the many side's lanes, whatever the order in which they
// come and go.
func TestMatchMirrorsLanes(t *testing.T) {
	op, left, right := matchOf(plan.Binary{Op: plan.Sub, Card: plan.ManyToOne, On: true, Labels: []string{"x"}, Include: []string{"v"}})
	right.add(labels.FromStrings("x", "1", "v", "a"))
	n := 0
	add := func() uint32 {
		n++
		return left.add(labels.FromStrings("x", "1", "i", fmt.Sprint(n)))
	}
	for range 100 {
		add()
	}
	op.bind()
	for _, step := range [][]int{{5, 7, 99}, {-1, -1}, {3, 7, -1, 64, -1, -1, -1, -1, 2}, {0, 1, 4, 8, 9, 10}, {-1}, {-1, -1, -1, 11, 12}} {
		for _, lane := range step {
			if lane < 0 {
				add()
			} else {
				left.drop(uint32(lane))
			}
		}
		op.bind()
		require.Equal(t, left.own.Live(), op.out().lanes.Live())
		require.Equal(t, left.own.Len(), op.out().lanes.Len())
		for lane := range uint32(left.own.Len()) {
			if left.own.Live().Has(lane) {
				require.Equal(t, "a", op.out().labels(lane).Get("v"))
				require.Equal(t, left.ls[lane].Get("i"), op.out().labels(lane).Get("i"))
			}
		}
	}
}

// TestMatchForgetsSignatures: what series that are gone occupied is used again.
func TestMatchForgetsSignatures(t *testing.T) {
	op, left, right := matchOf(plan.Binary{Op: plan.Sub, Card: plan.ManyToOne, On: true, Labels: []string{"x"}, Include: []string{"v"}})
	m := op.(*match)
	var bytes int
	for i := range 1000 {
		x := fmt.Sprintf("%04d", i)
		l, r := left.add(labels.FromStrings("x", x)), right.add(labels.FromStrings("x", x, "v", x))
		left.set(l, 1)
		right.set(r, 1)
		require.NoError(t, matchFull(op))
		left.drop(l)
		right.drop(r)
		op.bind()
		if i == 500 {
			bytes = m.bytes() - m.include.lanes.Bytes()
		}
	}
	require.Equal(t, bytes, m.bytes()-m.include.lanes.Bytes())
	require.Empty(t, m.signatures.ids)
	require.Empty(t, m.include.values.ids)
	require.Empty(t, m.rivals.keys.ids)
}

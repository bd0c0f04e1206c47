package exec

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/column"
)

// aggregateWorld is an input that changes at random, and expressions that follow it.
type aggregateWorld struct {
	t      *testing.T
	r      *rand.Rand
	in     *aggregateInput
	rigs   []*aggregateRig
	value  func(*rand.Rand) float64
	serial int
	series func(i int) labels.Labels
	// before are the rigs' results after the last step.
	before []column.Column
	// dropped are the lanes that this step released; what stood there nobody knows any more.
	dropped []uint32
}

// TestAggregateUpdatesLeadToWhatAFullEvaluationGives changes values, lets series come and go, moves parameters and
// evaluates the input in full now and then, and holds each update to a fresh operator's full evaluation, and its marks
// to what was there before.
func TestAggregateUpdatesLeadToWhatAFullEvaluationGives(t *testing.T) {
	var texts []string
	for _, op := range aggregateOperators() {
		for _, grouping := range []string{"", "by (g)", "without (i)", "by (i)"} {
			texts = append(texts, aggregateText(op, grouping, "m"))
		}
	}
	texts = append(texts, "absent(m)", "sum(topk by (g) (2, m))", "max(bottomk(3, m))", "sum by (g) (avg without (i) (m))",
		`sum by (v) (count_values by (g) ("v", m))`, `sum(topk(2, count_values without (i) ("v", m)))`, "count(topk(4, m)) by (h)")
	everything := os.Getenv("TOCSIN_TEST_EVERYTHING") != ""
	steps, part := 60, 4
	if everything {
		steps, part = 400, 1
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for kind, value := range aggregateValues() {
		t.Run(kind, func(t *testing.T) {
			r.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
			w := newAggregateWorld(t, r, value, texts[:len(texts)/part], func(i int) labels.Labels { return aggregateSeriesOf(r, i, "m") })
			for step := range steps {
				w.step(step)
			}
		})
	}
}

func newAggregateWorld(t *testing.T, r *rand.Rand, value func(*rand.Rand) float64, texts []string, series func(int) labels.Labels) *aggregateWorld {
	w := &aggregateWorld{
		t: t, r: r, in: newAggregateInput(true), value: value, series: series,
		before: make([]column.Column, len(texts)),
	}
	for _, text := range texts {
		w.rigs = append(w.rigs, newAggregateRig(t, text, w.in))
	}
	for range 100 {
		w.add()
	}
	w.in.marks.Clear()
	for i, rig := range w.rigs {
		require.NoError(t, rig.full())
		w.before[i] = aggregateCopy(&rig.top().column)
	}
	return w
}

func aggregateCopy(c *column.Column) column.Column {
	return column.Column{V: append([]float64(nil), c.V...), OK: append(column.Bitmap(nil), c.OK...)}
}

func (w *aggregateWorld) add() {
	lane := w.in.add(w.series(w.serial))
	w.serial++
	if w.r.IntN(5) > 0 {
		w.in.set(lane, w.value(w.r))
	}
}

// change changes the input: a few values mostly.
func (w *aggregateWorld) change() {
	for range 1 + w.r.IntN(4) {
		lane := uint32(w.r.IntN(w.in.own.Len()))
		if !w.in.own.Live().Has(lane) {
			continue
		}
		switch k := w.r.IntN(40); {
		case k < 28:
			w.in.set(lane, w.value(w.r))
		case k < 34:
			w.in.unset(lane)
		case k < 37:
			w.in.drop(lane, k == 34)
			w.dropped = append(w.dropped, lane)
			if k == 36 {
				w.add()
			}
		default:
			w.add()
		}
	}
}

func (w *aggregateWorld) step(step int) {
	w.change()
	switch w.r.IntN(12) {
	case 0: // A full evaluation that not all take part in: some followed the marks, some were evaluated, some neither.
		w.in.synced++
		w.in.marks.Clear()
		for i, rig := range w.rigs {
			if w.r.IntN(2) == 0 {
				require.NoError(w.t, rig.full())
				w.before[i] = aggregateCopy(&rig.top().column)
			}
		}
		w.change()
	case 1: // Marks of words in which nothing changed, without what stood there.
		w.in.marks.Touch(uint32(w.r.IntN(len(w.in.column.OK))))
	}
	for i, rig := range w.rigs {
		what := fmt.Sprintf("%s, step %d", rig.text, step)
		for _, s := range rig.scalars {
			if w.r.IntN(30) == 0 {
				s.scalar = []float64{0.1, 0.7, 1, 2, 30, -1}[w.r.IntN(6)]
			}
		}
		synced := rig.top().synced
		require.NoError(w.t, rig.update(), what)
		fresh := newAggregateRig(w.t, rig.text, w.in)
		for j, s := range rig.scalars {
			fresh.scalars[j].scalar = s.scalar
		}
		require.NoError(w.t, fresh.full(), what)
		require.Empty(w.t, aggregateDiffer(aggregateElements(w.t, fresh.top()), aggregateElements(w.t, rig.top())), what)
		var unknown []uint32
		if rig.top().lanes == &w.in.own {
			unknown = w.dropped
		}
		checkAggregateMarks(w.t, &w.before[i], rig.top(), unknown, rig.top().synced != synced, what)
		w.before[i] = aggregateCopy(&rig.top().column)
		rig.settle()
	}
	w.in.marks.Clear()
	w.dropped = w.dropped[:0]
}

// checkAggregateMarks holds marks to before: what changed is marked, and what stood there is told unless the output says
// that it was moved. Of the lanes in unknown nobody knows what stood there.
func checkAggregateMarks(t *testing.T, before *column.Column, out *output, unknown []uint32, moved bool, what string) {
	t.Helper()
	before.Grow(out.lanes.Len())
	before.Grow(len(out.column.OK) * column.WordLanes)
	for i, w := range out.marks.Words() {
		was := column.Word{OK: before.OK[w]}
		copy(was.V[:], before.V[w*column.WordLanes:])
		old := out.marks.Old(i)
		for _, lane := range unknown {
			if lane/column.WordLanes == w {
				was.V[lane%column.WordLanes] = old.V[lane%column.WordLanes]
			}
		}
		require.Equal(t, was.OK, old.OK, what)
		require.True(t, moved || equalWord(old, was.V[:], was.OK), what)
	}
	for w, ok := range out.column.OK {
		was := column.Word{OK: before.OK[w]}
		copy(was.V[:], before.V[w*column.WordLanes:])
		if !out.marks.Has(uint32(w)) && !moved {
			require.True(t, equalWord(&was, out.column.V[w*column.WordLanes:], ok), "%s: word %d is not marked", what, w)
		}
	}
}

// TestSumsDoNotKeepWhatRoundingLeaves takes large values in and out of a sum: what is left must be the sum of the small
// ones, and dust must not be what is left of nothing.
func TestSumsDoNotKeepWhatRoundingLeaves(t *testing.T) {
	in := newAggregateInput(true)
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 100 {
		in.set(in.add(aggregateSeriesOf(r, i, "m")), 0.1*float64(i+1))
	}
	in.marks.Clear()
	rig := newAggregateRig(t, "sum(m)", in)
	require.NoError(t, rig.full())
	lane := func() uint32 { return uint32(r.IntN(100)) }
	for step := range 5000 {
		in.set(lane(), []float64{1e40, 1e20, 1e-20, 0.3, -1e40, 1, 0}[r.IntN(7)])
		require.NoError(t, rig.update())
		fresh := newAggregateRig(t, "sum(m)", in)
		require.NoError(t, fresh.full())
		want, got := fresh.top().column.V[0], rig.top().column.V[0]
		require.True(t, aggregateClose(want, got), "step %d: want %v, got %v", step, want, got)
		rig.settle()
		in.marks.Clear()
	}
}

// TestCountValuesGivesUpValuesThatNobodyHas counts values that never come back, with and without full evaluations.
func TestCountValuesGivesUpValuesThatNobodyHas(t *testing.T) {
	for _, full := range []bool{false, true} {
		in := newAggregateInput(true)
		lane := in.add(labels.FromStrings(model.MetricNameLabel, "m"))
		rig := newAggregateRig(t, `count_values("v", m)`, in)
		require.NoError(t, rig.full())
		for i := range 1000 {
			in.set(lane, float64(i))
			require.NoError(t, rig.update())
			require.Equal(t, map[string]float64{fmt.Sprintf(`{v="%d"}`, i): 1}, aggregateElements(t, rig.top()))
			rig.settle()
			in.marks.Clear()
			if full {
				require.NoError(t, rig.full())
			}
			limit := 2 + column.WordLanes
			if full {
				limit = 1 + idleFulls
			}
			require.LessOrEqual(t, rig.top().lanes.Used(), limit)
		}
		require.Less(t, len(rig.top().column.OK), 3)
	}
}

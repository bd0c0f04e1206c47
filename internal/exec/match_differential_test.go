package exec

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// TestMatchAndSetAgreeWithUpstream lets random operators follow random series that come, go and change, and compares
// each state with upstream's engine: values, labels, presence, and that one fails where the other bails. Evaluations in
// full and updates alternate.
func TestMatchAndSetAgreeWithUpstream(t *testing.T) {
	tally := map[string]int{}
	cases := 600
	if testing.Short() {
		cases = 100
	}
	for seed := range uint64(cases) {
		w := newMatchWorld(t, seed)
		for range 25 {
			w.step()
		}
		for k, n := range w.tally {
			tally[k] += n
		}
	}
	t.Logf("%v", tally)
	for _, kind := range []string{"full", "update", "error in full", "error in update", "rematch", "elements"} {
		require.GreaterOrEqual(t, tally[kind], max(1, cases/100), kind)
	}
}

// matchWorld is an operator over two inputs, with the same expression for upstream.
type matchWorld struct {
	t        *testing.T
	seed     uint64
	r        *rand.Rand
	node     *plan.Node
	text     string
	engine   *promql.Engine
	in       [2]*matchInput
	op       operator
	unique   *uniqueness
	cursor   column.Cursor
	labels   []labels.Labels // of the result, by lane, as a follower knows them
	failed   bool
	typed    bool // metric types occur: more is left to tier 0 than has to be
	presence float64
	names    []string
	many     int // how many values a label has
	tally    map[string]int
}

func newMatchWorld(t *testing.T, seed uint64) *matchWorld {
	r := rand.New(rand.NewPCG(seed, 1))
	w := &matchWorld{
		t: t, seed: seed, r: r, tally: map[string]int{}, many: 1 + r.IntN(4), presence: []float64{0.03, 0.1, 0.4, 0.8}[r.IntN(4)],
		names:  [][]string{nil, {"a"}, {"a", "b"}}[r.IntN(3)],
		typed:  r.IntN(10) == 0,
		engine: promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{})}),
		failed: true,
	}
	for i := range w.in {
		w.in[i] = newMatchInput(w.names != nil, len(w.names) == 1)
	}
	if r.IntN(3) == 0 { // several words of lanes
		w.many = 30
		for i := range 600 {
			w.add(w.in[i%2], w.series())
		}
	}
	w.plan()
	in := []operator{w.in[0], w.in[1]}
	if w.node.Op == plan.Match {
		w.op = newMatch(w.node, in, nil)
	} else {
		w.op = newSet(w.node, in, nil)
	}
	if !w.op.out().unique {
		w.unique = newUniqueness()
	}
	return w
}

// plan draws an operator.
func (w *matchWorld) plan() {
	r := w.r
	b := &plan.Binary{Op: plan.Operator(r.IntN(int(plan.Unless) + 1)), On: r.IntN(2) == 0}
	all := []string{"x", "y", "z", "i"}
	if r.IntN(4) == 0 {
		all = append(all, model.MetricNameLabel)
	}
	b.Labels = subset(r, all)
	modifier := "ignoring"
	if b.On {
		modifier = "on"
	}
	modifiers := fmt.Sprintf(" %s(%s)", modifier, strings.Join(b.Labels, ","))
	w.node = &plan.Node{Op: plan.Set, Binary: b}
	b.Card = plan.ManyToMany
	if b.Op < plan.And {
		w.node.Op = plan.Match
		b.Card = plan.Cardinality(r.IntN(3))
		b.Bool = b.Op.Comparison() && r.IntN(2) == 0
		if b.Card != plan.OneToOne {
			b.Include = slices.DeleteFunc(subset(r, all), func(l string) bool { return b.On && slices.Contains(b.Labels, l) })
			modifiers += fmt.Sprintf(" %s(%s)", []string{"", "group_left", "group_right"}[b.Card], strings.Join(b.Include, ","))
		}
		if b.Bool {
			modifiers = " bool" + modifiers
		}
	}
	slices.Sort(b.Labels)
	w.text = fmt.Sprintf(`{in="0"} %s%s {in="1"}`, b.Op, modifiers)
}

func subset(r *rand.Rand, of []string) []string {
	var s []string
	for _, x := range of {
		if r.IntN(2) == 0 {
			s = append(s, x)
		}
	}
	r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	return s
}

// step changes the inputs, evaluates, and compares.
func (w *matchWorld) step() {
	before := matchSnapshot(&w.op.out().column)
	for _, in := range w.in {
		w.change(in)
	}
	full := w.failed || w.r.IntN(5) == 0
	if !full && w.r.IntN(10) == 0 {
		w.in[w.r.IntN(2)].refill() // for the sake of somebody else
	}
	w.op.bind()
	var err error
	if full {
		err = w.op.full(0)
		w.op.out().synced++
	} else {
		synced := w.op.out().synced
		if err = w.op.update(0); err == nil {
			w.checkMarks(before, w.op.out().synced != synced)
		}
	}
	kind := map[bool]string{true: "full", false: "update"}[full]
	if errors.Is(err, errRematch) && !full {
		w.tally["rematch"]++
		kind, err = "full", w.op.full(0)
	}
	w.compare(kind, err)
	for _, in := range w.in {
		in.marks.Clear()
	}
	w.op.out().marks.Clear()
}

// compare compares with upstream.
func (w *matchWorld) compare(kind string, err error) {
	out := w.op.out()
	if err == nil && w.unique != nil {
		err = w.unique.check(out)
	}
	w.failed = err != nil
	want, upstream := w.upstream()
	if upstream != nil {
		w.tally["error in "+kind]++
		require.Error(w.t, err, "%s: upstream fails with %v", w, upstream)
		return
	}
	if err != nil && w.typed {
		return
	}
	require.NoError(w.t, err, "%s", w)
	w.tally[kind]++
	w.tally["elements"] += len(want)
	got, twice := matchValues(out)
	require.False(w.t, twice, "%s", w)
	w.follow()
	require.Len(w.t, got, len(want), "%s: %v, want %v", w, got, want)
	for _, s := range want {
		v, ok := got[s.Metric.String()]
		require.True(w.t, ok && (v == s.F || math.IsNaN(v) && math.IsNaN(s.F)), "%s: %s is %v %v, want %v", w, s.Metric, v, ok, s.F)
	}
}

func (w *matchWorld) String() string {
	left, _ := matchValues(w.in[0].out())
	right, _ := matchValues(w.in[1].out())
	return fmt.Sprintf("seed %d: %s\nwith %v\nand %v\n", w.seed, w.text, left, right)
}

// follow reads the labels of lanes that are said to have changed, and compares them all.
func (w *matchWorld) follow() {
	out := w.op.out()
	w.labels = column.GrowSlice(w.labels, out.lanes.Len())
	out.lanes.Follow(&w.cursor, func(lane uint32, live bool) {
		if live {
			w.labels[lane] = out.labels(lane)
		}
	})
	for lane, ls := range w.labels {
		if out.lanes.Live().Has(uint32(lane)) {
			require.True(w.t, labels.Equal(out.labels(uint32(lane)), ls), "%s: lane %d is taken for %s and is %s", w, lane, ls, out.labels(uint32(lane)))
		}
	}
}

// change lets series come and go and sets and takes values.
func (w *matchWorld) change(in *matchInput) {
	r := w.r
	if r.IntN(3) > 0 {
		for lane := range uint32(in.own.Len()) {
			if in.own.Live().Has(lane) && r.IntN(12) == 0 {
				in.drop(lane)
			}
		}
		for range r.IntN(w.many * 3) {
			w.add(in, w.series())
		}
	}
	for lane := range uint32(in.own.Len()) {
		if !in.own.Live().Has(lane) || r.IntN(4) > 0 {
			continue
		}
		if r.Float64() < w.presence {
			in.set(lane, []float64{0, 1, 2, 3, -1, math.NaN(), math.Inf(1)}[r.IntN(7)])
		} else {
			in.unset(lane)
		}
	}
}

func (w *matchWorld) add(in *matchInput, ls labels.Labels) {
	for lane, has := range in.ls {
		if in.own.Live().Has(uint32(lane)) && labels.Equal(ls, has) {
			return
		}
	}
	in.add(ls)
}

func (w *matchWorld) series() labels.Labels {
	r := w.r
	b := labels.NewBuilder(labels.EmptyLabels())
	if len(w.names) > 0 {
		b.Set(model.MetricNameLabel, w.names[r.IntN(len(w.names))])
	}
	for _, name := range []string{"x", "y", "z"} {
		if n := r.IntN(min(w.many, 4) + 1); n > 0 {
			b.Set(name, fmt.Sprint(n))
		}
	}
	b.Set("i", fmt.Sprint(r.IntN(w.many)))
	if w.typed && r.IntN(3) == 0 {
		b.Set("__type__", "counter")
	}
	return b.Labels()
}

// upstream asks upstream's engine for the same.
func (w *matchWorld) upstream() (promql.Vector, error) {
	q := &storage.MockQueryable{MockQuerier: &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
		in := w.in[ms[0].Value[0]-'0']
		var series []storage.Series
		for lane, ls := range in.ls {
			if in.column.OK.Has(uint32(lane)) {
				series = append(series, storage.NewListSeries(ls, []chunks.Sample{matchSample(in.column.V[lane])}))
			}
		}
		return &matchSeriesSet{series: series, at: -1}
	}}}
	query, err := w.engine.NewInstantQuery(context.Background(), q, nil, w.text, time.UnixMilli(0))
	require.NoError(w.t, err, "%s", w)
	defer query.Close()
	res := query.Exec(context.Background())
	if res.Err != nil {
		return nil, res.Err
	}
	return slices.Clone(res.Value.(promql.Vector)), nil
}

// checkMarks compares what the update marked with what it changed.
func (w *matchWorld) checkMarks(before column.Column, restart bool) {
	out := w.op.out()
	for i, m := range out.marks.Words() {
		old := out.marks.Old(i)
		if restart {
			continue
		}
		require.Equal(w.t, wordOK(before.OK, int(m)), old.OK, "%s: word %d", w, m)
		if old.OK != 0 {
			require.True(w.t, equalValues(wordOf(before.V, int(m))[:], old.V[:], old.OK), "%s: word %d", w, m)
		}
		require.False(w.t, equalWord(old, wordOf(out.column.V, int(m))[:], out.column.OK[m]), "%s: word %d was marked for nothing", w, m)
	}
	for m, ok := range out.column.OK {
		if out.marks.Has(uint32(m)) {
			continue
		}
		was := wordOK(before.OK, m)
		if restart && ok == 0 {
			continue
		}
		require.False(w.t, restart, "%s: word %d is not marked", w, m)
		require.Equal(w.t, was, ok, "%s: word %d", w, m)
		if ok != 0 {
			require.True(w.t, equalValues(wordOf(before.V, m)[:], wordOf(out.column.V, m)[:], ok), "%s: word %d", w, m)
		}
	}
}

func wordOK(b column.Bitmap, w int) uint64 {
	if w < len(b) {
		return b[w]
	}
	return 0
}

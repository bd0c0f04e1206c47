package exec

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"
)

// elementwiseSpecials are the values at which functions and operators turn.
func elementwiseSpecials() []float64 {
	return []float64{
		math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1, -1, 0.5, -0.5, 1.5, 2.5, -1.5, -2.5, 2, 3, -3, 10,
		0.1, -0.1, 1e-9, 1e-320, 5e-324, -5e-324, 1e300, -1e300, math.MaxFloat64, math.Pi, math.E, 4, 8, 100, 1000, 12345.678,
		1 << 53, 1<<62 + 0.0, 1e19, -1e19, 951782400, 951868799.9, 1709164800, 1735689599, 1700000000.5, -62135596800, -1e10, 253402300800,
	}
}

// elementwiseTrial compares an expression with upstream over rounds in which values change.
type elementwiseTrial struct {
	t        *testing.T
	r        *rand.Rand
	storage  *teststorage.TestStorage
	upstream *promql.Engine
	text     string
	now      int64
	graph    *elementwiseGraph
	values   map[string][]float64 // by metric name; NaN of staleness for none
}

func newElementwiseTrial(t *testing.T, seed uint64) *elementwiseTrial {
	return &elementwiseTrial{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), now: 1_700_000_000_000, storage: teststorage.New(t),
		upstream: promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
			MaxSamples: 1e6, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{}),
		}),
	}
}

// begin turns to another expression, when all that was stored for others is out of sight.
func (e *elementwiseTrial) begin(text string, lanes int) {
	e.now += time.Hour.Milliseconds()
	e.text, e.graph, e.values = text, newElementwiseGraph(e.t, text), map[string][]float64{}
	for name := range e.graph.inputs {
		e.grow(name, lanes)
	}
}

// grow adds series of a metric; those with one-letter names have one series each.
func (e *elementwiseTrial) grow(name string, n int) {
	if e.graph.inputs[name] == nil {
		return
	}
	if len(name) == 1 {
		n = 1
	}
	for range n {
		i := len(e.values[name])
		e.graph.inputs[name].add(elementwiseLabels(name, i))
		e.values[name] = append(e.values[name], math.Float64frombits(value.StaleNaN))
	}
}

func (e *elementwiseTrial) pick() float64 {
	specials := elementwiseSpecials()
	switch e.r.IntN(8) {
	case 0:
		return math.Float64frombits(value.StaleNaN)
	case 1:
		return e.r.NormFloat64() * 100
	case 2:
		return float64(e.r.IntN(9) - 4)
	}
	return specials[e.r.IntN(len(specials))]
}

// round writes values to some of the words, all of them in the first round, and moves time on.
func (e *elementwiseTrial) round(all, mark bool) {
	e.now += 15_000
	for name, input := range e.graph.inputs {
		for i := range e.values[name] {
			if !all && (e.r.IntN(3) > 0 || i/64%2 == 1) {
				continue
			}
			v := e.pick()
			if all && i < len(elementwiseSpecials()) && len(name) > 1 {
				v = elementwiseSpecials()[i]
			}
			e.values[name][i] = v
			input.set(uint32(i), v, !value.IsStaleNaN(v), mark)
		}
		if mark && len(input.column.OK) > 1 {
			input.marks.Touch(1) // A mark by somebody who does not know what stood there.
		}
		if !mark {
			input.synced++
			e.graph.before = nil
		}
	}
	e.store()
}

func (e *elementwiseTrial) want() (map[string]float64, error) {
	q, err := e.upstream.NewInstantQuery(context.Background(), e.storage, nil, e.text, time.UnixMilli(e.now))
	require.NoError(e.t, err)
	defer q.Close()
	res := q.Exec(context.Background())
	if res.Err != nil {
		return nil, res.Err
	}
	all := map[string]float64{}
	switch v := res.Value.(type) {
	case promql.Scalar:
		all["{}"] = v.V
	case promql.Vector:
		for _, s := range v {
			all[s.Metric.String()] = s.F
		}
	}
	return all, nil
}

func (e *elementwiseTrial) compare(err error, what string) {
	want, upstream := e.want()
	if upstream != nil {
		require.NotNil(e.t, AsBail(err), "%s: %s: upstream says %v", e.text, what, upstream)
		return
	}
	require.NoError(e.t, err, "%s: %s", e.text, what)
	got := e.graph.result()
	require.Len(e.t, got, len(want), "%s: %s", e.text, what)
	for key, v := range want {
		require.Contains(e.t, got, key, "%s: %s", e.text, what)
		elementwiseSame(e.t, v, got[key], e.text+": "+what+": "+key)
	}
}

func elementwiseExpressions() []string {
	var all []string
	for _, f := range strings.Fields("abs ceil floor exp ln log2 log10 sqrt sgn deg rad acos acosh asin asinh atan atanh cos cosh " +
		"sin sinh tan tanh round day_of_month day_of_week day_of_year days_in_month hour minute month year -") {
		all = append(all, f+"(metric)")
	}
	for _, op := range strings.Fields("+ - * / % ^ atan2 == != < > <= >=") {
		for _, c := range strings.Fields("0 2 -1.5 NaN Inf scalar(s)") {
			all = append(all, "metric "+op+" "+c, c+" "+op+" metric")
		}
		if strings.ContainsAny(op, "=<>!") {
			all = append(all, "metric "+op+" bool 2", "1.5 "+op+" bool metric", "metric "+op+" bool scalar(s)",
				"scalar(s) "+op+" bool 2", "scalar(s) "+op+" bool scalar(r)", "(metric "+op+" 1) "+op+" scalar(s)")
		} else {
			all = append(all, "scalar(s) "+op+" 2", "scalar(s) "+op+" scalar(r)", "vector(scalar(s) "+op+" 3)")
		}
	}
	for _, to := range strings.Fields("0 1 10 0.1 -3 Inf NaN scalar(s)") {
		all = append(all, "round(metric, "+to+")")
	}
	for _, a := range strings.Fields("0 -2 Inf -Inf NaN scalar(s)") {
		all = append(all, "clamp_min(metric, "+a+")", "clamp_max(metric, "+a+")")
		for _, b := range strings.Fields("0 -3 100 Inf NaN scalar(r)") {
			all = append(all, "clamp(metric, "+a+", "+b+")")
		}
	}
	return append(all,
		"metric", "scalar(s)", "scalar(metric)", "scalar(metric == 12345.678)", "vector(scalar(s))", "vector(1)", "pi()", "1 + 2", "-scalar(s)",
		"abs(metric * 2) > 5", "-(metric >= bool 2)", "1 / -metric", "1 / abs(metric > -4)", "sort(metric > 1)", "sort_desc(abs(metric))",
		`label_replace(metric > 0, "job", "k$1", "job", "j-(.*).x")`, `label_replace(metric, "job", "", "job", ".*")`,
		`label_replace(metric, "new", "${1}_$2", "job", "(j)-([0-4])\\..*")`, `label_replace(metric, "i", "$0", "i", "(?i)1.*")`,
		`label_replace(metric, "__name__", "other", "i", "..")`, `abs(label_replace(metric, "__name__", "$1", "i", "(.*)"))`,
		`label_replace(metric, "i", "x", "i", "1.")`, `label_replace(metric > 1000, "i", "x", "i", ".*")`,
		`abs(label_replace(metric > 1e18, "i", "x", "i", ".*"))`, `label_replace(metric, "bad\xff", "x", "i", ".*")`,
		`label_replace(metric, "dst", "x", "i", "(")`, `label_replace(metric, "dst", "$1", "none", "(.*)")`,
		`label_join(metric, "both", "-", "i", "job")`, `label_join(metric, "i", "-", "job")`, `label_join(metric, "i", "-")`,
		`label_join(metric, "both", "", "none", "i", "none")`, `label_join(metric, "__name__", "_", "job")`, `label_join(metric, "job", "_")`,
		`abs(label_join(label_replace(metric, "__name__", "m$1", "i", "(.*)"), "i", "-"))`,
		`label_join(metric, "x", "-", "\xff")`,
	)
}

// elementwiseClocks are expressions that depend on the evaluation time beside the values.
func elementwiseClocks() []string {
	return []string{
		"time() - metric", "metric > time()", "metric < bool time() - 60", "(time() - 1e9) / metric", "clamp_max(metric, time())",
		"timestamp(metric > 0)", "timestamp(abs(metric))", "time() - scalar(s)", "scalar(s) > bool time() * 2", "metric + (time() - scalar(s))",
	}
}

func TestElementwiseAgainstUpstream(t *testing.T) {
	const seed = 20251121
	e := newElementwiseTrial(t, seed)
	for _, text := range elementwiseExpressions() {
		e.begin(text, 80)
		e.round(true, false)
		e.compare(e.graph.full(e.now), "full")
		for range 2 {
			e.round(false, true)
			err := e.graph.update(e.now)
			e.compare(err, "update")
			if err != nil { // As the owner does it: then everything is to be computed again.
				e.compare(e.graph.full(e.now), "full after a bail")
			}
		}
		e.grow("metric", 60)
		e.round(false, true)
		e.compare(e.graph.update(e.now), "update with new series")
		// Somebody else's evaluation has moved the inputs, without marks.
		e.round(false, false)
		e.compare(e.graph.update(e.now), "update out of step")
		e.round(true, true)
		e.compare(e.graph.update(e.now), "update of everything")
	}
}

func TestElementwiseClocks(t *testing.T) {
	e := newElementwiseTrial(t, 7)
	for _, text := range elementwiseClocks() {
		e.begin(text, 70)
		e.round(true, false)
		e.compare(e.graph.full(e.now), "full")
		for range 3 {
			e.round(true, true)
			e.compare(e.graph.update(e.now), "update")
		}
	}
	for _, text := range []string{"time()", "vector(time())", "hour()", "minute() > 10", "timestamp(vector(1))"} {
		e.begin(text, 0)
		for _, now := range []int64{1_700_000_000_000, 1_700_003_599_999, -5_500, 951_782_399_001} {
			e.now = now
			e.compare(e.graph.full(e.now), "full")
		}
	}
}

// TestElementwiseDuplicates: names that are dropped may leave equal labels.
func TestElementwiseDuplicates(t *testing.T) {
	e := newElementwiseTrial(t, 1)
	for _, text := range []string{`abs({__name__=~"a.*"})`, `{__name__=~"a.*"} * 2`, `{__name__=~"a.*"} > bool 2`, `{__name__=~"a.*"} > 2`, `abs({__name__=~"a.*"} > 2)`} {
		for _, second := range []float64{1, 3} {
			e.begin(text, 0)
			in := e.graph.inputs[""]
			for i, name := range []string{"a1", "a2"} {
				in.add(labels.FromStrings(model.MetricNameLabel, name, "x", "y"))
				v := float64(3)
				if i == 1 {
					v = second
				}
				e.values[""] = append(e.values[""], v)
				in.set(uint32(i), v, true, false)
			}
			e.store()
			e.compare(e.graph.full(e.now), "full")
		}
	}
	e.begin("abs(metric)", 0)
	in := e.graph.inputs["metric"]
	for i, kind := range []string{"gauge", "counter"} {
		in.add(labels.FromStrings(model.MetricNameLabel, "metric", "__type__", kind))
		e.values["metric"] = append(e.values["metric"], 1)
		in.set(uint32(i), 1, true, false)
	}
	e.store()
	e.compare(e.graph.full(e.now), "types")
	in.set(0, 0, false, true)
	require.NoError(t, e.graph.full(e.now))
	require.Equal(t, map[string]float64{"{}": 1}, e.graph.result())
}

func (e *elementwiseTrial) store() {
	app := e.storage.Appender(context.Background())
	for name, input := range e.graph.inputs {
		for i, v := range e.values[name] {
			_, err := app.Append(0, input.series[i], e.now, v)
			require.NoError(e.t, err)
		}
	}
	require.NoError(e.t, app.Commit())
}

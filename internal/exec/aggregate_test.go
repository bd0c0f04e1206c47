package exec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"
)

// aggregateOperators are all aggregations with odd parameters, too.
func aggregateOperators() []string {
	ops := []string{"sum", "avg", "count", "min", "max", "group", "stddev", "stdvar"}
	for _, p := range []string{"0", "0.25", "0.5", "0.9", "1", "-0.1", "1.1", "NaN", "Inf"} {
		ops = append(ops, "quantile:"+p)
	}
	for _, p := range []string{"-1", "0", "0.9", "1", "2.7", "5", "1000"} {
		ops = append(ops, "topk:"+p, "bottomk:"+p)
	}
	for _, p := range []string{"v", "g", "i", model.MetricNameLabel} {
		ops = append(ops, fmt.Sprintf("count_values:%q", p))
	}
	return ops
}

func aggregateGroupings() []string {
	return []string{"", "by ()", "by (g)", "by (h, g)", "by (__name__)", "by (nothing)", "by (__name__, h)",
		"without ()", "without (i)", "without (g, i)", "without (i, h, __name__)", "without (v, i, h, g)"}
}

// aggregateText writes an aggregation of arg.
func aggregateText(op, grouping, arg string) string {
	op, param, ok := strings.Cut(op, ":")
	if ok {
		arg = param + ", " + arg
	}
	return fmt.Sprintf("%s %s (%s)", op, grouping, arg)
}

// aggregateValues are kinds of values.
func aggregateValues() map[string]func(*rand.Rand) float64 {
	few := []float64{0, 1, -1, math.Copysign(0, -1), 2, 1e9, 0.1, 1e-9}
	odd := append([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 1e300, 5e-324}, few...)
	return map[string]func(*rand.Rand) float64{
		"whole":    func(r *rand.Rand) float64 { return float64(r.IntN(1000)) },
		"few":      func(r *rand.Rand) float64 { return few[r.IntN(len(few))] },
		"fraction": func(r *rand.Rand) float64 { return r.Float64() * 100 },
		"odd":      func(r *rand.Rand) float64 { return odd[r.IntN(len(odd))] },
		"rarely odd": func(r *rand.Rand) float64 {
			if r.IntN(30) == 0 {
				return odd[r.IntN(3)]
			}
			return r.NormFloat64()
		},
		"huge": func(r *rand.Rand) float64 { return (r.Float64() - 0.3) * math.MaxFloat64 },
		"wide": func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64() * 8) },
	}
}

func TestAggregateAgreesWithUpstream(t *testing.T) {
	e := aggregateEngine(t)
	for kind, value := range aggregateValues() {
		for _, n := range []int{0, 1, 3, 64, 200} {
			r := rand.New(rand.NewPCG(uint64(n), 7))
			in := newAggregateInput(false)
			for i := range n {
				if lane := in.add(aggregateSeriesOf(r, i, "m", "n")); n == 64 || r.IntN(5) > 0 {
					in.set(lane, value(r))
				}
			}
			for _, op := range aggregateOperators() {
				for _, grouping := range aggregateGroupings() {
					rig := newAggregateRig(t, aggregateText(op, grouping, `{__name__=~"m|n"}`), in)
					compareAggregate(t, e, rig, fmt.Sprintf("%s of %d %s", rig.text, n, kind))
				}
			}
		}
	}
}

// compareAggregate evaluates in full and holds the result against upstream's.
func compareAggregate(t *testing.T, e *promql.Engine, rig *aggregateRig, what string) {
	t.Helper()
	want, wantErr := rig.upstream(t, e)
	err := rig.full()
	if wantErr != nil {
		require.NotNil(t, AsBail(err), "%s: upstream fails: %v", what, wantErr)
		return
	}
	require.NoError(t, err, what)
	got := aggregateElements(t, rig.top())
	if strings.Contains(what, "topk") || strings.Contains(what, "bottomk") {
		for k, v := range got { // What is chosen is the input's.
			lane := aggregateLane(rig.in, k)
			require.True(t, rig.in.column.V[lane] == v || v != v, what)
		}
		group := aggregateGroupOf(rig)
		require.Equal(t, aggregateRanks(want, group), aggregateRanks(got, group), what)
		return
	}
	require.Empty(t, aggregateDiffer(want, got), what)
}

func aggregateLane(in *aggregateInput, ls string) uint32 {
	for lane := range uint32(in.own.Len()) {
		if in.own.Live().Has(lane) && in.ls[lane].String() == ls {
			return lane
		}
	}
	panic("BUG: an element that is not in the input: " + ls)
}

// aggregateGroupOf returns a function from an element's labels to its group's, for rankings.
func aggregateGroupOf(rig *aggregateRig) func(string) string {
	r := rig.ops[len(rig.ops)-1].(*ranking)
	return func(ls string) string {
		return r.groups.labels[r.groups.members.id[aggregateLane(rig.in, ls)]].String()
	}
}

func TestAggregateParametersThatPromQLRefuses(t *testing.T) {
	in := newAggregateInput(true)
	in.set(in.add(labels.FromStrings(model.MetricNameLabel, "m")), 1)
	for _, text := range []string{
		`topk(NaN, m)`, `topk(Inf, m)`, `bottomk(1e19, m)`, `count_values("", m)`,
	} {
		rig := newAggregateRig(t, text, in)
		_, err := rig.upstream(t, aggregateEngine(t))
		require.Error(t, err, text)
		bail := AsBail(rig.full())
		require.NotNil(t, bail, text)
		require.Equal(t, ReasonParameter, bail.Reason)
	}
}

func TestAggregateShape(t *testing.T) {
	in := newAggregateInput(true)
	for text, want := range map[string]shape{
		"sum(m)":                                 {unique: true, oneName: true},
		"sum by (g) (m)":                         {unique: true, oneName: true},
		"sum by (__name__) (m)":                  {unique: true, named: true, oneName: true},
		"sum without (__name__) (m)":             {unique: true, oneName: true},
		"sum without () (m)":                     {unique: true, oneName: true},
		"topk(1, m)":                             {unique: true, named: true, oneName: true},
		`count_values("x", m)`:                   {unique: true, oneName: true},
		`count_values("__name__", m)`:            {unique: true, named: true},
		`count_values without() ("__name__", m)`: {unique: true, oneName: true},
		"histogram_quantile(0.5, m)":             {unique: true, oneName: true},
		"absent(m)":                              {unique: true, oneName: true},
	} {
		rig := newAggregateRig(t, text, in)
		if b, ok := rig.ops[0].(interface{ bytes() int }); ok {
			require.GreaterOrEqual(t, b.bytes(), 0)
		}
		got := rig.top().shape
		got.lanes, got.labels = nil, nil
		require.Equal(t, want, got, text)
	}
}

func TestAbsent(t *testing.T) {
	in := newAggregateInput(true)
	rig := newAggregateRig(t, `absent(m{a="b"})`, in)
	require.NoError(t, rig.full())
	require.Equal(t, map[string]float64{`{a="b"}`: 1}, aggregateElements(t, rig.top()))
	lane := in.add(labels.FromStrings(model.MetricNameLabel, "m", "a", "b"))
	require.NoError(t, rig.update())
	require.False(t, rig.top().marks.Any())
	in.set(lane, math.NaN())
	require.NoError(t, rig.update())
	require.Equal(t, uint64(1), rig.top().marks.Old(0).OK)
	require.Empty(t, aggregateElements(t, rig.top()))
	rig.settle()
	in.drop(lane, false)
	require.NoError(t, rig.update())
	require.True(t, rig.top().marks.Any())
	require.Equal(t, map[string]float64{`{a="b"}`: 1}, aggregateElements(t, rig.top()))
}

func TestQuantileOfSelectsWhatSortingWould(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 2000 {
		values := make([]float64, 1+r.IntN(200))
		for i := range values {
			switch r.IntN(12) {
			case 0:
				values[i] = math.NaN()
			case 1, 2, 3:
				values[i] = float64(r.IntN(5))
			default:
				values[i] = r.NormFloat64()
			}
		}
		want := aggregateQuantileBySorting(0.3, values)
		require.True(t, aggregateClose(want, quantileOf(0.3, values)))
	}
}

func aggregateQuantileBySorting(phi float64, values []float64) float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted) // NaN first
	rank := phi * float64(len(sorted)-1)
	i := int(rank)
	weight := rank - float64(i)
	return sorted[i]*(1-weight) + sorted[min(i+1, len(sorted)-1)]*weight
}

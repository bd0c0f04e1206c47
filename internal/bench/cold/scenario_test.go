package cold

import (
	"context"
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"
)

// base is the time of the first samples: long ago, so that no run is near anything that the clock on the wall does.
const base = 1_700_000_000_000

func runScenario(t *testing.T, name string, p Profile) *Outcome {
	t.Helper()
	began := time.Now()
	out, err := RunScenario(t.Context(), Spec{Scenario: name, Profile: p, Seed: 1, Dir: t.TempDir(), Base: base, Patience: time.Minute},
		Process{CPU: func() time.Duration { return time.Since(began) }})
	require.NoError(t, err)
	return out
}

func TestScenarios(t *testing.T) {
	p := Profile{Name: Many, Rules: 60, Series: 600, Batches: 4}
	report := ProfileReport{Profile: p}
	for _, name := range Scenarios() {
		out := runScenario(t, name, p)
		require.Equal(t, name, out.Scenario)
		require.Equal(t, 60, out.Rules)
		require.Equal(t, 600, out.Series)
		require.Zero(t, out.Failing)
		require.Zero(t, out.Bailed)
		require.Equal(t, 60*4, out.Evaluations, "every batch touches every rule")
		require.Greater(t, out.Ready, time.Duration(0))
		require.GreaterOrEqual(t, out.ReadyCPU, time.Duration(0))
		require.Len(t, out.Points, 5)
		for i, point := range out.Points {
			require.Equal(t, i, point.Batch)
			require.Greater(t, point.Latency, time.Duration(0))
			require.Greater(t, point.CPU, time.Duration(0))
			if runtime.GOOS == "linux" {
				require.Greater(t, point.RSS, int64(1<<20))
			}
		}
		report.Outcomes = append(report.Outcomes, out)
	}
	require.Empty(t, report.verify())
	elements := 0
	for _, s := range report.Outcomes[0].Sums {
		elements += s.Elements
	}
	require.Positive(t, elements, "rules that find nothing would prove nothing")

	by := map[string]*Outcome{}
	for _, out := range report.Outcomes {
		by[out.Scenario] = out
	}
	require.Zero(t, by[noJIT].Compiled)
	require.Zero(t, by[noJIT].CodeBytes)
	require.Zero(t, by[noJIT].MachineLanes)
	require.Positive(t, by[noJIT].AllLanes)
	require.Greater(t, by[noJIT].Kernels, 10)
	require.Equal(t, by[noJIT].Kernels, by[warm].Kernels)
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" && by[warm].Notes == nil {
		require.Equal(t, by[warm].Kernels, by[warm].Compiled)
		require.Equal(t, by[warm].AllLanes, by[warm].MachineLanes)
		require.Positive(t, by[warm].CodeBytes)
		require.Positive(t, by[warm].Compile)
	}
}

func TestScenarioOfARuleFile(t *testing.T) {
	path := t.TempDir() + "/rules.yml"
	require.NoError(t, os.WriteFile(path, []byte(`
groups:
- name: g
  rules:
  - {record: "job:x", expr: "sum by (job) (rate(x_total[5m]))"}
  - {alert: Low, expr: "(1 - a / b) * 100 > 50"}
  - {alert: Pinned, expr: "a @ 5 > 1 or a > 90"}
  - {alert: Failing, expr: "a * on (job) b"}
`), 0o600))
	p := Profile{Name: File, File: path, Series: 60, Batches: 3}
	report := ProfileReport{Profile: p}
	for _, name := range Scenarios() {
		out := runScenario(t, name, p)
		require.Equal(t, 4, out.Rules)
		require.Equal(t, 60, out.Series)
		require.Equal(t, 1, out.Failing, "a match that is many to many")
		require.Equal(t, 3*3, out.Evaluations)
		report.Outcomes = append(report.Outcomes, out)
	}
	require.Empty(t, report.verify())
	require.Positive(t, report.Outcomes[0].Bailed, "the rule that only upstream has")
	require.Equal(t, failedSum(), report.Outcomes[0].Sums[3])
	require.Equal(t, 1, report.Outcomes[0].Sums[0].Elements)
}

func TestUpstreamLosesPatience(t *testing.T) {
	p := Profile{Name: Simple, Rules: 3, Series: 30, Batches: 6}
	out, err := RunScenario(t.Context(), Spec{Scenario: upstreamEngine, Profile: p, Dir: t.TempDir(), Base: base, Patience: 1}, Process{})
	require.NoError(t, err)
	var batches []int
	for _, x := range out.Points {
		batches = append(batches, x.Batch)
	}
	require.Equal(t, []int{0, 1, 6}, batches)
	patient := runScenario(t, upstreamEngine, p)
	require.Len(t, patient.Points, 7)
}

func TestScenarioErrors(t *testing.T) {
	p := Profile{Name: Simple, Rules: 3, Series: 30, Batches: 2}
	_, err := RunScenario(t.Context(), Spec{Scenario: "lukewarm", Profile: p, Dir: t.TempDir(), Base: base}, Process{})
	require.ErrorContains(t, err, `there is no scenario "lukewarm"; there are warm, nojit, cold, adaptive, upstream`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = RunScenario(ctx, Spec{Scenario: warm, Profile: p, Dir: t.TempDir(), Base: base}, Process{})
	require.ErrorIs(t, err, context.Canceled)

	path := t.TempDir() + "/rules.yml"
	write := func(expr string) Profile {
		require.NoError(t, os.WriteFile(path, []byte("groups: [{name: g, rules: [{record: r, expr: '"+expr+"'}]}]\n"), 0o600))
		return Profile{Name: File, File: path, Series: 30, Batches: 2}
	}
	for _, name := range Scenarios() {
		_, err = RunScenario(t.Context(), Spec{Scenario: name, Profile: write("a * on (job) b"), Dir: t.TempDir(), Base: base}, Process{})
		require.ErrorContains(t, err, "every rule fails over made-up series", name)
	}
	_, err = RunScenario(t.Context(), Spec{Scenario: warm, Profile: write("vector(1)"), Dir: t.TempDir(), Base: base}, Process{})
	require.ErrorContains(t, err, "no rule has a selector")
}

func TestSumsTellResultsApart(t *testing.T) {
	element := func(v float64, ls ...string) promql.Sample {
		return promql.Sample{F: v, Metric: labels.FromStrings(ls...)}
	}
	a, b := element(1, "x", "1"), element(2, "x", "2")
	want := sumOf(promql.Vector{a, b})
	require.True(t, want.equal(sumOf(promql.Vector{b, a})), "order does not matter")
	require.True(t, want.equal(sumOf(promql.Vector{a, element(2+1e-12, "x", "2")})))
	for name, other := range map[string]promql.Vector{
		"one less":     {a},
		"value":        {a, element(2.001, "x", "2")},
		"labels":       {a, element(2, "x", "3")},
		"NaN":          {a, element(math.NaN(), "x", "2")},
		"infinity":     {a, element(math.Inf(1), "x", "2")},
		"none of them": nil,
	} {
		require.False(t, want.equal(sumOf(other)), name)
	}
	plus, minus := sumOf(promql.Vector{element(math.Inf(1))}), sumOf(promql.Vector{element(math.Inf(-1))})
	require.False(t, plus.equal(minus))
	require.False(t, plus.equal(sumOf(promql.Vector{element(math.NaN())})))
	require.False(t, failedSum().equal(sumOf(nil)))
}

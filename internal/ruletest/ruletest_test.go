package ruletest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/plan"
)

// write puts files (name → content) in a directory of their own and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

// run runs one test file beside rules.yml and returns its report.
func run(t *testing.T, test, rules string, o Options) FileReport {
	t.Helper()
	dir := write(t, map[string]string{"x_test.yml": test, "rules.yml": rules})
	report, err := Run(t.Context(), []string{filepath.Join(dir, "x_test.yml")}, o)
	require.NoError(t, err)
	require.Len(t, report.Files, 1)
	require.Equal(t, report.OK(), report.Files[0].OK)
	return report.Files[0]
}

// complaints returns everything that a report complains of.
func complaints(f FileReport) string {
	all := append([]string{}, f.Errors...)
	for _, t := range f.Tests {
		all = append(all, t.Errors...)
	}
	return strings.Join(all, "\n")
}

const rulesYAML = `
groups:
  - name: alerts
    rules:
      - alert: InstanceDown
        expr: up == 0
        for: 5m
        labels: {severity: page}
        annotations:
          summary: "Instance {{ $labels.instance }} down"
          where: "{{ $externalLabels.region }} {{ $externalURL }}"
      - alert: AlwaysFiring
        expr: 1
      - alert: Held
        expr: held > 0
        keep_firing_for: 2m
  - name: recording
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
        labels: {source: rule}
      - record: fixed
        expr: 7
      - record: points
        expr: count_over_time(up[5m:])
`

func TestWhatPasses(t *testing.T) {
	for _, name := range []string{"features_test.yml", "start_test.yml", "order_test.yml", "globs_test.yml", "simple_test.yml", "fuzzy_test.yml", "empty_test.yml"} {
		t.Run(name, func(t *testing.T) {
			report, err := Run(t.Context(), []string{filepath.Join("testdata", name)}, Options{})
			require.NoError(t, err)
			require.Empty(t, complaints(report.Files[0]))
			require.True(t, report.OK())
		})
	}
}

func TestWhatFails(t *testing.T) {
	const up = `
rule_files: [rules.yml]
tests:
  - name: first
    input_series:
      - series: 'up{job="j", instance="i"}'
        values: "0x10"
`
	for _, c := range []struct {
		name, test string
		want       []string
	}{
		{"a value", up + `
    promql_expr_test:
      - expr: fixed
        eval_time: 1m
        exp_samples:
          - labels: fixed
            value: 8
`, []string{"x_test.yml:10: ", `test "first"`, `expr "fixed" at 1m`, "expected:\n  {__name__=\"fixed\"} 8", "got:\n  {__name__=\"fixed\"} 7"}},
		{"a label", up + `
    promql_expr_test:
      - expr: job:up:sum
        eval_time: 1m
        exp_samples:
          - labels: job:up:sum{job="j"}
            value: 0
`, []string{"x_test.yml:10: ", `source="rule"`}},
		{"nothing where something is expected", up + `
    promql_expr_test:
      - {expr: absent_metric, eval_time: 1m, exp_samples: [{labels: a, value: 1}]}
`, []string{"got: nothing"}},
		{"NaN", up + `
    promql_expr_test:
      - {expr: up/0, eval_time: 1m, exp_samples: [{labels: '{job="j",instance="i"}', value: .nan}]}
`, []string{"hint: NaN equals nothing"}},
		{"a histogram where a number is expected", `
tests:
  - input_series: [{series: h, values: "{{sum:3 count:2 buckets:[2]}}"}]
    promql_expr_test:
      - {expr: h, eval_time: 0, exp_samples: [{labels: h, value: 0}]}
`, []string{"sum:3"}},
		{"a histogram that is none", up + `
    promql_expr_test:
      - {expr: up, eval_time: 0, exp_samples: [{labels: up, histogram: "3"}]}
`, []string{"exp_samples[0]", `histogram "3"`, "write it as value"}},
		{"an alert too many", up + `
    alert_rule_test:
      - {eval_time: 1m, alertname: AlwaysFiring, exp_alerts: []}
`, []string{"x_test.yml:10: ", "alert AlwaysFiring at 1m", "expected: nothing", `labels {alertname="AlwaysFiring"}`}},
		{"an alert too early", up + `
    alert_rule_test:
      - eval_time: 4m59s
        alertname: InstanceDown
        exp_alerts: [{exp_labels: {severity: page, job: j, instance: i}}]
`, []string{"alert InstanceDown at 4m59s", "got: nothing"}},
		{"an annotation", up + `
    alert_rule_test:
      - eval_time: 5m
        alertname: InstanceDown
        exp_alerts: [{exp_labels: {severity: page, job: j, instance: i}, exp_annotations: {summary: "Instance i up"}}]
`, []string{`annotation summary: "Instance i up"`, `annotation summary: "Instance i down"`}},
		{"alertname", up + `
    alert_rule_test:
      - {eval_time: 1m}
`, []string{"x_test.yml:10: ", "misses alertname"}},
		{"an expression", up + `
    promql_expr_test:
      - {expr: "sum(", eval_time: 1m}
`, []string{"x_test.yml:10: ", "parse error"}},
		{"a result's type", up + `
    promql_expr_test:
      - {expr: "'text'", eval_time: 1m}
`, []string{"string"}},
		{"expected labels", up + `
    promql_expr_test:
      - {expr: up, eval_time: 1m, exp_samples: [{labels: "up{", value: 0}]}
`, []string{`exp_samples[0]: labels "up{"`}},
		{"input series", `
tests:
  - name: bad input
    input_series:
      - {series: good, values: "1"}
      - {series: 'up{job="j"', values: "0x3"}
    promql_expr_test: [{expr: up, eval_time: 1m}]
`, []string{"x_test.yml:6: ", "input_series[1]"}},
		{"unknown field at the top", "rule_file: [a]\n", []string{"x_test.yml:1: ", `rule_file`, "not a field of a test file"}},
		{"unknown field in a test", "tests:\n  - input_serie: []\n", []string{"x_test.yml:2: ", "input_serie", "a test"}},
		{"unknown field in an expectation", "tests:\n  - promql_expr_test:\n      - expr: a\n        at: 5m\n", []string{"x_test.yml:4: ", "at", "promql_expr_test"}},
		{"type", "tests: 5\n", []string{"x_test.yml:1: "}},
		{"duration", "tests:\n  - promql_expr_test:\n      - expr: a\n        eval_time: soon\n", []string{"x_test.yml:4: ", "eval_time", "soon"}},
		{"start", "tests:\n  - start_timestamp: noon\n", []string{"x_test.yml:2: ", "start_timestamp", "noon"}},
		{"start not a number", "tests:\n  - start_timestamp: 'NaN'\n", []string{"x_test.yml:2: ", "out of range"}},
		{"syntax", "tests: [\n", []string{"x_test.yml:"}},
		{"repeated group", "group_eval_order: [a, b, a]\n", []string{"x_test.yml:1: ", `"a" twice`}},
		{"glob", "rule_files: ['[']\n", []string{"x_test.yml:1: ", "rule_files"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := run(t, c.test, rulesYAML, Options{})
			require.False(t, f.OK)
			for _, w := range c.want {
				require.Contains(t, complaints(f), w)
			}
		})
	}
}

func TestRuleThatFailsEndsItsTest(t *testing.T) {
	rules := `
groups:
  - name: g
    rules:
      - record: bad
        expr: a * on (x) b
`
	f := run(t, `
rule_files: [rules.yml]
tests:
  - name: many to many
    interval: 1m
    input_series:
      - {series: 'a{x="1", y="1"}', values: "1x5"}
      - {series: 'a{x="1", y="2"}', values: "_ 1x5"}
      - {series: 'b{x="1", y="1"}', values: "1x5"}
      - {series: 'b{x="1", y="2"}', values: "_ 1x5"}
    promql_expr_test:
      - {expr: "1", eval_time: 5m, exp_samples: [{value: 2}]}
  - name: unharmed
    promql_expr_test:
      - {expr: "1", eval_time: 5m, exp_samples: [{value: 1}]}
`, rules, Options{})
	require.False(t, f.OK)
	require.Len(t, f.Tests[0].Errors, 1, "expectations are not checked once a rule has failed")
	require.Contains(t, f.Tests[0].Errors[0], "rule bad (line 5 of its file) at 1m:")
	require.True(t, f.Tests[1].OK)
}

func TestBrokenRuleFile(t *testing.T) {
	dir := write(t, map[string]string{
		"needs_test.yml": "rule_files: [broken.yml]\ntests: [{name: a}]\n",
		"spare_test.yml": "rule_files: [broken.yml]\ntests: []\n",
		"gone_test.yml":  "rule_files: [nowhere*.yml]\ntests: [{name: a}]\n",
		"broken.yml":     "groups:\n  - name: g\n    rules:\n      - record: a\n        expr: 'sum('\n",
	})
	report, err := Run(t.Context(), []string{
		filepath.Join(dir, "needs_test.yml"), filepath.Join(dir, "spare_test.yml"),
		filepath.Join(dir, "gone_test.yml"), filepath.Join(dir, "absent_test.yml"),
	}, Options{})
	require.NoError(t, err)
	require.False(t, report.Files[0].OK)
	require.Contains(t, report.Files[0].Errors[0], "broken.yml")
	require.True(t, report.Files[1].OK, "rule files that no test needs are not read")
	require.True(t, report.Files[2].OK)
	require.Contains(t, report.Files[2].Warnings[0], "nowhere*.yml")
	require.False(t, report.Files[3].OK)
	require.Contains(t, report.Files[3].Errors[0], "absent_test.yml")
	require.Equal(t, 1, report.Passed)
	require.Equal(t, 2, report.Failed)
}

func TestUnknownFieldsInRules(t *testing.T) {
	rules := "groups:\n  - name: g\n    owner: {team: a}\n    rules:\n      - record: a\n        expr: 1\n        note: spare\n"
	test := "rule_files: [rules.yml]\ntests:\n  - promql_expr_test: [{expr: a, eval_time: 0, exp_samples: [{labels: a, value: 1}]}]\n"
	require.False(t, run(t, test, rules, Options{}).OK)
	f := run(t, test, rules, Options{IgnoreUnknownFields: true})
	require.Empty(t, complaints(f))
	require.False(t, run(t, test+"    note: spare\n", rules, Options{IgnoreUnknownFields: true}).OK, "test files are always strict")
}

func TestRunSelects(t *testing.T) {
	test := `
tests:
  - {name: apple, promql_expr_test: [{expr: "1", eval_time: 0, exp_samples: [{value: 1}]}]}
  - {name: pear, promql_expr_test: [{expr: "1", eval_time: 0, exp_samples: [{value: 2}]}]}
  - {promql_expr_test: [{expr: "1", eval_time: 0, exp_samples: [{value: 2}]}]}
`
	for _, c := range []struct {
		run  []string
		want []string
	}{
		{nil, []string{"apple", "pear", "unnamed#2"}},
		{[]string{"app"}, []string{"apple"}},
		{[]string{"^a", "r$"}, []string{"apple", "pear"}},
		{[]string{"^$"}, []string{"unnamed#2"}},
		{[]string{"none"}, nil},
	} {
		var got []string
		for _, r := range run(t, test, "", Options{Run: c.run}).Tests {
			got = append(got, r.Name)
		}
		require.Equal(t, c.want, got, "%q", c.run)
	}
	_, err := Run(t.Context(), nil, Options{Run: []string{"("}})
	require.ErrorContains(t, err, "run:")
	_, err = Run(t.Context(), nil, Options{Parallel: -1})
	require.ErrorContains(t, err, "parallel")
}

func TestEvaluatorCanBeReplaced(t *testing.T) {
	test := `
rule_files: [rules.yml]
evaluation_interval: 30s
tests:
  - start_timestamp: 1000
    input_series: [{series: up, values: "5x10"}]
    promql_expr_test: [{expr: fixed, eval_time: 1m, exp_samples: [{labels: fixed, value: 70}]}]
`
	var env Env
	var ended context.Context
	o := Options{NewEval: func(ctx context.Context, e Env) (engine.EvalFunc, error) {
		env, ended = e, ctx
		return func(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
			v, err := instant(ctx, e.Engine, e.Storage, p.String(), at)
			for i := range v {
				v[i].F *= 10
			}
			return append(buf, v...), err
		}, nil
	}}
	f := run(t, test, rulesYAML, o)
	require.Empty(t, complaints(f))
	require.Equal(t, time.Unix(1000, 0).UTC(), env.Start)
	require.Equal(t, 30*time.Second, env.EvaluationInterval)
	require.Error(t, ended.Err(), "the context ends with the test")

	o.NewEval = func(context.Context, Env) (engine.EvalFunc, error) { return nil, os.ErrPermission }
	require.Contains(t, complaints(run(t, test, rulesYAML, o)), "permission")
	o.NewEval = func(context.Context, Env) (engine.EvalFunc, error) { panic("oh") }
	require.Contains(t, complaints(run(t, test, rulesYAML, o)), "BUG: oh")
}

func TestDialectIsTheCompilers(t *testing.T) {
	rules := "groups: [{name: g, rules: [{record: spread, expr: 'mad_over_time(a[5m])'}]}]\n"
	test := `
rule_files: [rules.yml]
tests:
  - input_series: [{series: a, values: "4 6 2 1 999 1 2"}]
    promql_expr_test:
      - {expr: spread, eval_time: 4m, exp_samples: [{labels: spread, value: 2}]}
      - {expr: "mad_over_time(a[5m])", eval_time: 4m, exp_samples: [{value: 2}]}
`
	f := run(t, test, rules, Options{})
	require.False(t, f.OK)
	require.Contains(t, complaints(f), "mad_over_time")
	f = run(t, test, rules, Options{Compiler: plan.NewCompiler(plan.Options{ExperimentalFunctions: true})})
	require.Empty(t, complaints(f))

	rules = "groups: [{name: g, rules: [{record: points, expr: 'count_over_time(a[1m+1m])'}]}]\n"
	test = `
rule_files: [rules.yml]
tests:
  - input_series: [{series: a, values: "1x9"}]
    promql_expr_test: [{expr: points, eval_time: 4m, exp_samples: [{labels: points, value: 2}]}]
`
	require.Empty(t, complaints(run(t, test, rules, Options{})), "duration expressions are no experiment any more")
}

func TestTemplatesKnowTheExternalURL(t *testing.T) {
	rules := "groups: [{name: g, rules: [{alert: a, expr: 1, annotations: {u: '{{ externalURL }}', v: '{{ $externalURL }}', p: '{{ pathPrefix }}'}}]}]\n"
	test := `
rule_files: [rules.yml]
tests:
  - external_url: http://h/p
    alert_rule_test:
      - {eval_time: 0, alertname: a, exp_alerts: [{exp_annotations: {u: http://h/p, v: http://h/p, p: /p}}]}
`
	require.Empty(t, complaints(run(t, test, rules, Options{})))
}

func TestCasesAreIsolatedAndOrdered(t *testing.T) {
	var b strings.Builder
	b.WriteString("rule_files: [rules.yml]\ntests:\n")
	var want []string
	for i := range 20 {
		name := string(rune('a' + i))
		want = append(want, name)
		b.WriteString("  - name: " + name + "\n    input_series: [{series: 'up{t=\"" + name + "\"}', values: '0x10'}]\n" +
			"    promql_expr_test: [{expr: 'count({__name__=~\".+\", t=~\".+\", alertname=\"\"})', eval_time: 1m, exp_samples: [{value: 2}]}]\n")
	}
	f := run(t, b.String(), strings.Replace(rulesYAML, "for: 5m", "for: 0m", 1), Options{Parallel: 8})
	require.Empty(t, complaints(f))
	var got []string
	for _, r := range f.Tests {
		got = append(got, r.Name)
	}
	require.Equal(t, want, got)
}

func TestContextEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dir := write(t, map[string]string{"x_test.yml": `
evaluation_interval: 1ms
tests:
  - promql_expr_test: [{expr: "1", eval_time: 1000d, exp_samples: [{value: 1}]}]
`})
	o := Options{NewEval: func(context.Context, Env) (engine.EvalFunc, error) {
		cancel()
		return nil, nil
	}}
	_, err := Run(ctx, []string{filepath.Join(dir, "x_test.yml")}, o)
	require.ErrorIs(t, err, context.Canceled)
}

package rule

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/require"
)

// parseOne reads a file with one simple rule.
func parseOne(t *testing.T, content string) *Rule {
	f, errs := Parse("dir/disk.yml", []byte(content), compiler())
	require.Empty(t, errs)
	require.Equal(t, Simple, f.Dialect)
	require.Len(t, f.Groups, 1)
	require.Equal(t, "disk", f.Groups[0].Name)
	require.Equal(t, "dir/disk.yml", f.Groups[0].File)
	require.Len(t, f.Groups[0].Rules, 1)
	return f.Groups[0].Rules[0]
}

func TestSimpleRuleFields(t *testing.T) {
	r := parseOne(t, `# a comment
rules:
- id: disk_full
  name: DiskFull
  metric: disk_used_percent
  condition: value > 80.0 and mount != "/boot"
  duration: 5m
  severity: critical
  labels: {team: storage, level: 3}
  summary: "{{ $labels.mount }} is full"
  annotations:
    runbook: https://example.org/disk
`)
	require.Equal(t, Rule{
		Kind: Alerting, Name: "DiskFull", Plan: r.Plan, For: 5 * time.Minute,
		Labels: labels.FromStrings("level", "3", "severity", "critical", "team", "storage"),
		Annotations: labels.FromStrings("description", `Condition: value > 80.0 and mount != "/boot" for 5m`,
			"runbook", "https://example.org/disk", "summary", "{{ $labels.mount }} is full"),
		Line: 3, Condition: `value > 80.0 and mount != "/boot"`, ID: r.ID,
	}, *r)
	require.Equal(t, `disk_used_percent{mount!="/boot"} > 80`, r.Plan.String())
}

func TestSimpleRuleForms(t *testing.T) {
	for name, tc := range map[string]struct{ content, promql, condition, summary string }{
		"id alone": {"rules: [{id: hot, metric: cpu, condition: value > 1}]",
			"cpu > 1", "value > 1", "cpu{{ with $labels.instance }} on {{ . }}{{ end }} is {{ $value | humanize }}"},
		"every metric": {"rules: [{id: hot, condition: 'value > 1'}]", "", "value > 1",
			"{{ $labels.metric }}{{ with $labels.instance }} on {{ . }}{{ end }} is {{ $value | humanize }}"},
		"greater_than":     {"rules: [{id: a, metric: m, condition: greater_than, threshold: 80}]", "m > 80", "greater_than 80", ""},
		"greater_or_equal": {"rules: [{id: a, metric: m, condition: greater_or_equal, threshold: 8.5}]", "m >= 8.5", "greater_or_equal 8.5", ""},
		"less_than":        {"rules: [{id: a, metric: m, condition: less_than, threshold: -5}]", "m < -5", "less_than -5", ""},
		"less_or_equal":    {"rules: [{id: a, metric: m, condition: less_or_equal, threshold: 1e3}]", "m <= 1000", "less_or_equal 1000", ""},
		"equals":           {"rules: [{id: a, metric: m, condition: equals, threshold: 0}]", "m == 0", "equals 0", ""},
		"not_equals":       {"rules: [{id: a, metric: m, condition: not_equals, threshold: .inf}]", "(m != +Inf) <= +Inf", "not_equals +Inf", ""},
		"negative infinity": {"rules: [{id: a, metric: m, condition: greater_than, threshold: -.inf}]",
			"m > -Inf", "greater_than -Inf", ""},
		"JSON":          {`{"rules":[{"id":"a","metric":"m","condition":"value > 1","summary":"hot \ud83d\udd25 \\ud83d"}]}`, "m > 1", "value > 1", `hot 🔥 \ud83d`},
		"JSON, tabs":    {"{\n\t\"rules\": [\n\t\t{\"id\": \"a\", \"metric\": \"m\",\n\t\t\"condition\": \"value > 1\"}\n\t]\n}\n", "m > 1", "value > 1", ""},
		"block":         {"rules:\n- id: a\n  metric: m\n  condition: |\n    value > 1\n    and value < 5\n", "(m > 1) < 5", "value > 1 and value < 5", ""},
		"merge":         {"rules:\n- &d {id: a, metric: m, condition: value > 1}\n", "m > 1", "value > 1", ""},
		"empty fields":  {"rules:\n- id: a\n  metric: m\n  condition: value > 1\n  severity:\n  labels:\n", "m > 1", "value > 1", ""},
		"template text": {`rules: [{id: a, metric: m, condition: 'value > 1 and l != "{{"'}]`, `m{l!="{{"} > 1`, `value > 1 and l != "{{"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := parseOne(t, tc.content)
			if tc.promql == "" {
				tc.promql = `label_replace(label_replace({__name__!~"ALERTS|ALERTS_FOR_STATE",__name__=~".+"} > 1, "exported_metric", "$1", "metric", "(.+)"), "metric", "$1", "__name__", "(.+)")`
			}
			require.Equal(t, tc.promql, r.Plan.String())
			require.Equal(t, tc.condition, r.Condition)
			if tc.summary != "" {
				require.Equal(t, tc.summary, r.Annotations.Get("summary"))
			}
			require.Contains(t, r.Annotations.Get("description"), "Condition: ")
		})
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "300": 5 * time.Minute, "0.5": 500 * time.Millisecond, `"90"`: 90 * time.Second, "5m": 5 * time.Minute, "1d": 24 * time.Hour,
		"1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond, "1m30.5s": 90500 * time.Millisecond, "1w": 7 * 24 * time.Hour,
		"1e2": 100 * time.Second, "999us": time.Millisecond,
	} {
		r := parseOne(t, "rules: [{id: a, metric: m, condition: value > 1, duration: "+text+"}]")
		require.Equal(t, want, r.For, text)
	}
}

func TestBadSimpleRulesSayWhere(t *testing.T) {
	const head = "rules:\n- id: a\n  metric: m\n  condition: value > 1\n"
	for name, tc := range map[string]struct{ content, want string }{
		"unknown field":        {head + "  treshold: 5\n", `f.yml:5:3: rule 1 "a": unknown field "treshold" in a rule, which has: id,`},
		"unknown at the top":   {head + "interval: 5s\n", `f.yml:5:1: unknown field "interval" in the file, which has: rules`},
		"no name":              {"rules:\n- metric: m\n  condition: value > 1\n", "f.yml:2:3: rule 1: a rule needs an id or a name"},
		"no condition":         {"rules:\n- id: a\n", `f.yml:2:3: rule 1 "a": a rule needs a condition`},
		"no list":              {"rules: {a: b}\n", "f.yml:1:8: rules should be a list"},
		"no mapping":           {"rules: [a]\n", "f.yml:1:9: rule 1: a rule is a mapping with the fields id,"},
		"no threshold":         {"rules:\n- id: a\n  condition: less_than\n", `f.yml:3:14: rule 1 "a": condition less_than needs a threshold`},
		"needless threshold":   {head + "  threshold: 5\n", `f.yml:5:14: rule 1 "a": threshold goes with greater_than`},
		"threshold, sign":      {"rules:\n- {id: a, condition: '>', threshold: 5}\n", `f.yml:2:22: rule 1 "a": condition ">" is none of the words that go with a threshold: greater_than, `},
		"threshold, word":      {"rules:\n- {id: a, condition: above, threshold: 5}\n", `f.yml:2:22: rule 1 "a": condition "above" is none of the words`},
		"a tab":                {"rules:\n- id: a\n\tmetric: m\n", "f.yml:3: found a tab character that violates indentation; YAML is indented with blanks"},
		"quoted threshold":     {"rules:\n- {id: a, condition: equals, threshold: '5'}\n", `f.yml:2:41: rule 1 "a": threshold should be a number`},
		"threshold NaN":        {"rules:\n- {id: a, condition: equals, threshold: .nan}\n", "nothing compares to that"},
		"duration":             {head + "  duration: soon\n", `f.yml:5:13: rule 1 "a": duration "soon": should be seconds, such as 300,`},
		"negative duration":    {head + "  duration: -5\n", "should not be negative"},
		"endless duration":     {head + "  duration: 1e300\n", "hundred years"},
		"duration NaN":         {head + "  duration: .nan\n", "should be seconds"},
		"duration nan":         {head + "  duration: nan\n", "hundred years"},
		"metric":               {"rules:\n- id: a\n  metric: m{a=\"b\"}\n  condition: value > 1\n", `f.yml:3:11: rule 1 "a": metric "m{a=\"b\"}" is no metric's name`},
		"severity twice":       {head + "  severity: a\n  labels: {severity: b}\n", `f.yml:5:13: rule 1 "a": severity is given here and, with another value, among the labels`},
		"field twice":          {head + "  metric: n\n", `f.yml:5:3: rule 1 "a": "metric" is given twice, first in line 3`},
		"label twice":          {head + "  labels: {a: b, a: c}\n", `"a" is given twice`},
		"label no text":        {head + "  labels: {a: [b]}\n", `f.yml:5:12: rule 1 "a": labels.a should be a text`},
		"labels no mapping":    {head + "  labels: a\n", "labels should be a mapping"},
		"severity no text":     {head + "  severity: [a]\n", "severity should be a text"},
		"id twice":             {head + "- id: a\n  condition: value > 2\n", `f.yml:5:7: rule 2 "a": id "a" is rule 1's already`},
		"label name":           {head + "  labels: {__name__: b}\n", `f.yml:5:12: rule 1 "a": invalid label name: __name__`},
		"label template":       {head + "  labels: {b: '{{ nope }}'}\n", `f.yml:5:12: rule 1 "a": label "b": template`},
		"summary template":     {head + "  summary: '{{ nope }}'\n", `f.yml:5:12: rule 1 "a": annotation "summary": template`},
		"severity template":    {head + "  severity: '{{ nope }}'\n", `f.yml:5:13: rule 1 "a": label "severity": template`},
		"taken label":          {"rules:\n- id: a\n  condition: value > 1\n  labels: {metric: b}\n", `f.yml:4:12: rule 1 "a": label metric is taken`},
		"plain condition":      {"rules:\n- id: a\n  condition: value > > 1\n", "f.yml:3:22: rule 1 \"a\": condition, column 9:"},
		"quoted condition":     {"rules:\n- id: a\n  condition: 'value > > 1'\n", "f.yml:3:23: rule 1 \"a\": condition, column 9:"},
		"literal condition":    {"rules:\n- id: a\n  condition: |\n    value\n     > > 1\n", "f.yml:5:8: rule 1 \"a\": condition, column 10:"},
		"contradicting metric": {"rules:\n- id: a\n  metric: m\n  condition: metric == \"n\"\n", "can never be true"},
		"broken YAML":          {"rules:\n- id: a\n  condition: [\n", "f.yml:3: did not find expected node content"},
		"broken JSON":          {`{"rules": [{"id": "a",,}]}`, "f.yml:"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, Simple, newSource("f.yml", []byte(tc.content)).dialect())
			f, errs := Parse("f.yml", []byte(tc.content), compiler())
			require.Nil(t, f)
			require.NotEmpty(t, errs)
			require.Contains(t, errs[0].Error(), tc.want)
		})
	}
}

// TestGoodRulesOfABadSimpleFile are refused with it: a file is good as a whole or not at all.
func TestGoodRulesOfABadSimpleFile(t *testing.T) {
	f, errs := Parse("f.yml", []byte("rules:\n- {id: a, condition: value > 1}\n- {id: b, condition: value >}\n- {id: c}\n"), compiler())
	require.Nil(t, f)
	require.Len(t, errs, 2)
}

func TestDialects(t *testing.T) {
	for content, want := range map[string]Dialect{
		"rules: []\n": Simple, "rules:\n": Simple, `{"rules": []}`: Simple, "": Prometheus, "groups: []\n": Prometheus,
		"groups: []\nrules: []\n": Prometheus, "- rules: []\n": Prometheus, "rules: [\n": Simple, "groups:\n- rules: [\n": Prometheus,
	} {
		require.Equal(t, want, newSource("f.yml", []byte(content)).dialect(), content)
	}
}

var documented = regexp.MustCompile("(?s)```yaml\n(.*?)```\n(?:.*?```promql\n(.*?)```)")

// TestDocumentationIsTrue reads the examples of the dialect's page and holds it to the PromQL that it shows for them.
func TestDocumentationIsTrue(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "simple-rules.md"))
	require.NoError(t, err)
	found := documented.FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, found)
	for _, m := range found {
		f, errs := Parse("doc.yml", []byte(m[1]), compiler())
		require.Empty(t, errs, m[1])
		var got []string
		for _, r := range f.Groups[0].Rules {
			got = append(got, r.Plan.String())
		}
		var want []string
		for block := range strings.SplitSeq(strings.TrimSpace(m[2]), "\n\n") {
			p, err := compiler().Compile(block)
			require.NoError(t, err)
			want = append(want, p.String())
		}
		require.Equal(t, want, got)
	}
}

// TestMetricsWithTheSameLabelsStayApart goes through upstream's engine.
func TestMetricsWithTheSameLabelsStayApart(t *testing.T) {
	st := promqltest.LoadedStorage(t, `
load 1m
  cpu{instance="a"} 90
  mem{instance="a"} 95
  cpu{instance="a",metric="mem"} 99
  mem{instance="a",metric="mem"} 10
  ALERTS{instance="a"} 100
`)
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1000, Timeout: time.Minute, Parser: compiler().Parser()})
	t.Cleanup(func() { _ = engine.Close() })
	for condition, want := range map[string]map[string]string{
		"value > 80": {
			`{instance="a", metric="cpu"}`: "90", `{instance="a", metric="mem"}`: "95",
			`{exported_metric="mem", instance="a", metric="cpu"}`: "99",
		},
		"value * 2 > 185": {`{instance="a", metric="mem"}`: "95", `{exported_metric="mem", instance="a", metric="cpu"}`: "99"},
		`metric == "cpu" and value < 95 or metric == "mem" and value > 80`: {
			`{instance="a", metric="cpu"}`: "90", `{instance="a", metric="mem"}`: "95",
		},
		`metric == "cpu" and value > 80`: {`{instance="a"}`: "90", `{instance="a", metric="mem"}`: "99"},
	} {
		r := parseOne(t, "rules:\n- id: a\n  condition: '"+condition+"'\n")
		require.Equal(t, want, run(t, engine, st, r.Plan), condition)
	}
}

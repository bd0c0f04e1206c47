package rule

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
)

func compiler() *plan.Compiler { return plan.NewCompiler(plan.Options{}) }

func upstreamErrs(content []byte) (*rulefmt.RuleGroups, []error) {
	return rulefmt.Parse(content, false, model.UTF8Validation, compiler().Parser(), slog.New(slog.DiscardHandler))
}

// ruleCorpus is every real rule file beside the project.
func ruleCorpus(t testing.TB) []string {
	root := filepath.Join("..", "..", "..", "shared", "corpora", "rules")
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && (strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml")) {
			files = append(files, path)
		}
		return err
	})
	if os.IsNotExist(err) {
		t.Skipf("LOUD SKIP: no corpus of rule files at %s", root)
	}
	require.NoError(t, err)
	return files
}

// TestEveryRealRuleFileLoads compares each with what upstream's loader makes of it.
func TestEveryRealRuleFileLoads(t *testing.T) {
	files, rules := ruleCorpus(t), 0
	require.NotEmpty(t, files)
	for _, path := range files {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		f, errs := Parse(path, content, compiler())
		require.Empty(t, errs, path)
		require.Equal(t, Prometheus, f.Dialect)
		want, errs := upstreamErrs(content)
		require.Empty(t, errs)
		requireSame(t, want, f, content)
		rules += f.RuleCount()
	}
	t.Logf("%d files, %d rules", len(files), rules)
}

// requireSame holds f to upstream's reading of the same content.
func requireSame(t *testing.T, want *rulefmt.RuleGroups, f *File, content []byte) {
	require.Len(t, f.Groups, len(want.Groups), f.Path)
	lines := strings.Split(string(content), "\n")
	for i, wg := range want.Groups {
		g := f.Groups[i]
		require.Equal(t, wg.Name, g.Name)
		require.Equal(t, f.Path, g.File)
		require.Equal(t, time.Duration(wg.Interval), g.Interval)
		require.Equal(t, wg.Limit, g.Limit)
		require.Len(t, g.Rules, len(wg.Rules))
		for j, wr := range wg.Rules {
			r := g.Rules[j]
			require.Equal(t, nameOf(&wr), r.Name)
			require.Equal(t, wr.Alert != "", r.Kind == Alerting)
			require.Equal(t, time.Duration(wr.For), r.For)
			require.Equal(t, time.Duration(wr.KeepFiringFor), r.KeepFiringFor)
			require.Equal(t, labels.FromMap(wr.Annotations), r.Annotations)
			for k, v := range wr.Labels {
				require.Equal(t, v, r.Labels.Get(k))
			}
			expr, err := compiler().Parser().ParseExpr(wr.Expr)
			require.NoError(t, err)
			require.Equal(t, expr.String(), r.Plan.String())
			require.NotEmpty(t, r.ID)
			require.Positive(t, r.Line)
			require.Contains(t, lines[r.Line-1], ":", "%s:%d", f.Path, r.Line)
		}
	}
}

const full = `groups:
- name: g
  interval: 15s
  limit: 3
  query_offset: 1m
  labels: {team: a, tier: group}
  rules:
  - record: x:sum
    expr: sum(x)
  - alert: A
    expr: x > 1
    for: 5m
    keep_firing_for: 2m
    labels: {tier: rule, severity: "{{ $labels.s }}"}
    annotations: {summary: "{{ $value }}"}
- name: empty
`

func TestPrometheusRuleFields(t *testing.T) {
	f, errs := Parse("f.yml", []byte(full), compiler())
	require.Empty(t, errs)
	require.Equal(t, contentHash([]byte(full)), f.Hash)
	require.Len(t, f.Groups, 2)
	require.Equal(t, 2, f.RuleCount())
	g := f.Groups[0]
	offset := time.Minute
	require.Equal(t, &offset, g.QueryOffset)
	require.Equal(t, 15*time.Second, g.Interval)
	require.Equal(t, 3, g.Limit)
	require.Equal(t, "f.yml", g.File)
	require.Equal(t, Recording, g.Rules[0].Kind)
	require.Equal(t, labels.FromStrings("team", "a", "tier", "group"), g.Rules[0].Labels)
	require.Equal(t, 8, g.Rules[0].Line)
	a := g.Rules[1]
	require.Equal(t, Rule{
		Kind: Alerting, Name: "A", Plan: a.Plan, For: 5 * time.Minute, KeepFiringFor: 2 * time.Minute,
		Labels:      labels.FromStrings("severity", "{{ $labels.s }}", "team", "a", "tier", "rule"),
		Annotations: labels.FromStrings("summary", "{{ $value }}"),
		Line:        10, ID: a.ID,
	}, *a)
	require.Nil(t, f.Groups[1].QueryOffset)
}

// TestIDSaysWhatMatters changes one thing at a time.
func TestIDSaysWhatMatters(t *testing.T) {
	id := func(content string) string {
		f, errs := Parse("f.yml", []byte(content), compiler())
		require.Empty(t, errs)
		return f.Groups[0].Rules[1].ID
	}
	base := id(full)
	for _, change := range [][2]string{
		{"alert: A", "alert: B"}, {"x > 1", "x > 2"}, {"for: 5m", "for: 6m"}, {"for: 2m", "for: 3m"},
		{"tier: rule", "tier: other"}, {"team: a", "team: b"}, {"$value", "$value }}{{ $value"},
	} {
		require.NotEqual(t, base, id(strings.Replace(full, change[0], change[1], 1)), change)
	}
	for _, change := range [][2]string{
		{"expr: x > 1", "expr: (x)  >\t1.0"}, {"groups:", "\n\ngroups:"}, {"interval: 15s", "interval: 20s"}, {"name: g\n", "name: h\n"},
		{"tier: group", "tier: overridden"},
	} {
		changed := strings.Replace(full, change[0], change[1], 1)
		require.NotEqual(t, full, changed)
		if change[0] == "expr: x > 1" { // brackets stay in upstream's printed form
			changed = strings.Replace(full, change[0], "expr: x  >\t1.0", 1)
		}
		require.Equal(t, base, id(changed), change)
	}
}

// TestErrorsSayWhere lists what upstream refuses, with the place of each fault and upstream's reason.
func TestErrorsSayWhere(t *testing.T) {
	rule := func(lines ...string) string {
		return "groups:\n- name: g\n  rules:\n  - " + strings.Join(lines, "\n    ") + "\n"
	}
	for name, tc := range map[string]struct {
		content string
		want    []string
	}{
		"plain expression":   {rule("alert: A", "expr: rate(hi)"), []string{`f.yml:5:16: group "g", rule 1 "A": could not parse expression: 1:6: parse error: expected type range vector`}},
		"quoted expression":  {rule("alert: A", `expr: "up =="`), []string{`f.yml:5:17: group "g", rule 1 "A": could not parse expression: 1:6: parse error: unexpected end of input`}},
		"literal expression": {rule("alert: A", "expr: |", "  up", "  + rate(hi)"), []string{`f.yml:7:14: group "g", rule 1 "A": could not parse`}},
		"folded expression":  {rule("alert: A", "expr: >-", "  up", "  + rate(hi)"), []string{`f.yml:5:11: group "g", rule 1 "A": could not parse`}},
		"unknown field":      {rule("alert: A", "expr: x", "fro: 5m"), []string{`f.yml:6:5: group "g", rule 1 "A": unknown field "fro" in a rule, which has alert or record`}},
		"unknown in group":   {"groups:\n- name: g\n  intervall: 5s\n", []string{`f.yml:3:3: group "g": unknown field "intervall" in a group`}},
		"unknown at the top": {"groups: []\nrule: []\n", []string{`f.yml:2:1: unknown field "rule" in the file, which has the field groups`}},
		"group name":         {"groups:\n- rules: []\n", []string{"f.yml:2:3: Groupname must not be empty"}},
		"group repeated":     {"groups:\n- name: g\n- name: g\n", []string{`f.yml:3:3: groupname: "g" is repeated in the same file`}},
		"group label":        {"groups:\n- name: g\n  labels: {__name__: x}\n", []string{`f.yml:3:12: group "g": invalid label name: __name__`}},
		"two rules":          {rule("alert: A", "expr: x >", "labels: {a: b}") + "  - expr: 1\n", []string{`f.yml:5:`, `f.yml:7:5: group "g", rule 2: one of 'record' or 'alert' must be set`}},
		"template":           {rule("alert: A", "expr: x", "annotations:", `  summary: "{{ .Foo"`), []string{`f.yml:7:7: group "g", rule 1 "A": annotation "summary": template`}},
		"label template":     {rule("alert: A", "expr: x", `labels: {a: "{{ nope }}"}`), []string{`f.yml:6:14: group "g", rule 1 "A": label "a":`}},
		"duration":           {rule("alert: A", "expr: x", "for: 5"), []string{`f.yml:6:5: group "g", rule 1 "A": not a valid duration string: "5"`}},
		"wrong type":         {rule("alert: A", "expr: x", "labels: [a]"), []string{`f.yml:6:5: group "g", rule 1 "A": cannot unmarshal !!seq into map[string]string`}},
		"repeated field":     {rule("alert: A", "expr: x", "expr: y"), []string{`f.yml:6: mapping key "expr" already defined at line 5`}},
		"no YAML":            {"groups:\n- name: g\n  rules: [\n", []string{"f.yml:3: did not find expected node content"}},
		"a list":             {"- a\n", []string{"f.yml:1: a rule file is a mapping with the field groups (Prometheus's rules) or rules (simple rules); this is a list"}},
		"a text":             {"hello\n", []string{"f.yml:1: a rule file is a mapping with the field groups (Prometheus's rules) or rules (simple rules); this is a text"}},
		"rule a text":        {"groups:\n- name: g\n  rules:\n  - up == 0\n", []string{"f.yml:4:5: group \"g\", rule 1: a rule is a mapping with alert or record, expr, for, keep_firing_for, labels and annotations; this is a text"}},
		"rules no list":      {"groups:\n- name: g\n  rules:\n    alert: A\n    expr: x\n", []string{`f.yml:3:3: group "g": rules should be a list, each rule with a - before it; this is a mapping`}},
		"groups no list":     {"groups:\n  name: g\n", []string{"f.yml:1:1: groups should be a list, each group with a - before it; this is a mapping"}},
		"group a text":       {"groups: [g]\n", []string{"f.yml:1:1: a group is a mapping with name, interval, query_offset, limit, labels and rules; this is a text"}},
		"a tab":              {"groups:\n- name: g\n\trules: []\n", []string{"f.yml:3: found a tab character that violates indentation; YAML is indented with blanks"}},
		"both dialects":      {"groups: []\nrules: []\n", []string{`f.yml:2:1: unknown field "rules" in the file, which has the field groups (simple rules stand in a file of their own`}},
		"record and for":     {rule("record: a", "expr: x", "for: 5m"), []string{`f.yml:4:13: group "g", rule 1 "a": invalid field 'for' in recording rule`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, upstream := upstreamErrs([]byte(tc.content))
			require.NotEmpty(t, upstream, "upstream takes it")
			f, errs := Parse("f.yml", []byte(tc.content), compiler())
			require.Nil(t, f)
			require.Len(t, errs, len(tc.want), "%v", errs)
			for i, want := range tc.want {
				require.True(t, strings.HasPrefix(errs[i].Error(), want), "got  %s\nwant %s", errs[i], want)
			}
		})
	}
}

// TestTakesWhatUpstreamTakes pins what one might think to be refused.
func TestTakesWhatUpstreamTakes(t *testing.T) {
	for name, content := range map[string]string{
		"nothing":            "",
		"comment":            "# nothing\n",
		"null":               "groups:\n",
		"JSON":               `{"groups":[{"name":"g","rules":[{"alert":"A","expr":"up == 0"}]}]}`,
		"range vector":       "groups:\n- name: g\n  rules:\n  - record: r\n    expr: up[5m]\n",
		"string":             "groups:\n- name: g\n  rules:\n  - record: r\n    expr: '\"s\"'\n",
		"UTF-8 names":        "groups:\n- name: g\n  rules:\n  - record: r.ü\n    expr: up\n    labels: {a.b: c}\n",
		"aliases":            "groups:\n- name: g\n  rules:\n  - &r {alert: A, expr: up}\n  - *r\n",
		"merge":              "groups:\n- name: g\n  rules:\n  - &r {alert: A, expr: up}\n  - <<: *r\n    alert: B\n",
		"negative limit":     "groups:\n- name: g\n  limit: -1\n",
		"same rule twice":    "groups:\n- name: g\n  rules:\n  - record: r\n    expr: up\n  - record: r\n    expr: up\n",
		"alert of any value": "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n",
	} {
		t.Run(name, func(t *testing.T) {
			want, upstream := upstreamErrs([]byte(content))
			require.Empty(t, upstream)
			f, errs := Parse("f.yml", []byte(content), compiler())
			require.Empty(t, errs)
			require.Equal(t, Prometheus, f.Dialect)
			requireSame(t, want, f, []byte(content))
		})
	}
}

func TestMultipleDocumentsAreWarnedOf(t *testing.T) {
	for _, content := range []string{"groups: []\n---\ngroups: []\n", "rules: []\n---\nrules: []\n"} {
		f, errs := Parse("f.yml", []byte(content), compiler())
		require.Empty(t, errs)
		require.Equal(t, []string{"f.yml: " + multipleDocuments}, f.Warnings)
	}
	f, errs := Parse("f.yml", []byte("---\ngroups: []\n"), compiler())
	require.Empty(t, errs)
	require.Empty(t, f.Warnings)
}

// TestBrokenRealFiles breaks real files line by line: what upstream refuses is refused, and the rest taken.
func TestBrokenRealFiles(t *testing.T) {
	files := ruleCorpus(t)
	refused, taken := 0, 0
	for i := 0; i < len(files); i += 80 {
		content, err := os.ReadFile(files[i])
		require.NoError(t, err)
		lines := strings.SplitAfter(string(content), "\n")
		for n := 0; n < len(lines); n += 1 + len(lines)/12 {
			broken := []byte(strings.Join(lines[:n], "") + strings.Join(lines[n+1:], ""))
			_, upstream := upstreamErrs(broken)
			_, errs := Parse("f.yml", broken, compiler())
			require.Equal(t, len(upstream) > 0, len(errs) > 0, "%s without line %d: %v, %v", files[i], n+1, upstream, errs)
			if len(errs) > 0 {
				refused++
			} else {
				taken++
			}
		}
	}
	require.Positive(t, refused)
	require.Positive(t, taken)
}

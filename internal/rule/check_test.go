package rule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	good := write("a-good.yml", ruleFile("A"))
	bad := write("b-bad.yml", broken)
	simple := write("c-simple.json", `{"rules":[{"id":"hot","metric":"cpu","condition":"value > 80 && instance == 'a'","duration":90}]}`)
	odd := write("[odd].yml", "")

	r := Check([]string{filepath.Join(dir, "?-*"), odd}, compiler())
	require.False(t, r.OK())
	got, err := json.Marshal(r)
	require.NoError(t, err)
	reason, err := json.Marshal(r.Files[1].Errors[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"files":[
		{"file":"`+good+`","ok":true,"dialect":"prometheus","groups":1,"rules":1,"errors":[]},
		{"file":"`+bad+`","ok":false,"dialect":"prometheus","groups":0,"rules":0,"errors":[`+string(reason)+`]},
		{"file":"`+simple+`","ok":true,"dialect":"simple","groups":1,"rules":1,"errors":[],"simple":[
			{"name":"hot","line":1,"condition":"value > 80 && instance == 'a'","promql":"cpu{instance=\"a\"} > 80","for":90}]},
		{"file":"`+odd+`","ok":true,"dialect":"prometheus","groups":0,"rules":0,"errors":[],"warnings":["`+odd+`: there are no rules in it"]}
	]}`, string(got))
	require.True(t, Check([]string{good, simple}, compiler()).OK())

	for path, want := range map[string]string{
		filepath.Join(dir, "none.yml"): "none.yml: no such file",
		filepath.Join(dir, "none*"):    "none*: no such file, and as a pattern it matches none",
		dir:                            dir + ": is a directory; name rule files, or a pattern such as " + filepath.Join(dir, "*.yml"),
	} {
		r := Check([]string{path}, compiler())
		require.Len(t, r.Files, 1)
		require.False(t, r.Files[0].OK)
		require.Len(t, r.Files[0].Errors, 1)
		require.Contains(t, r.Files[0].Errors[0], want)
	}
	got, err = json.Marshal(Check(nil, compiler()))
	require.NoError(t, err)
	require.JSONEq(t, `{"files":[]}`, string(got))
}

func TestLint(t *testing.T) {
	f, errs := Parse("f.yml", []byte(`groups:
- name: g
  rules:
  - {record: r, expr: up}
  - {record: r, expr: down}
  - {record: r, expr: up}
  - {record: r, expr: down, labels: {a: b}}
  - {alert: A, expr: up == 0}
  - {alert: A, expr: up == 0, for: 5m}
  - {alert: A, expr: up == 0}
  - {alert: B, expr: up}
  - {record: m, expr: "up[5m]"}
  - {alert: Watchdog, expr: vector(1)}
`), compiler())
	require.Empty(t, errs)
	require.Equal(t, []string{
		`f.yml:6: group "g", rule "r": is the same as the rule of line 4`,
		`f.yml:10: group "g", rule "A": is the same as the rule of line 8`,
		`f.yml:11: group "g", rule "B": nothing in the expression filters, so that it fires whenever its series exist, whatever their values`,
		`f.yml:12: group "g", rule "m": the expression returns a matrix, and every evaluation will fail; rules take instant vectors and scalars`,
	}, Lint(f))

	f, errs = Parse("s.yml", []byte(`rules:
- {id: a, condition: value > 1}
- {id: b, condition: metric == "up"}
- {id: c, condition: metric =~ "node_.*" and value > 1}
- {id: d, metric: up, condition: value > 1}
- {id: e, condition: metric == "up" and value > 1 or value > 2}
`), compiler())
	require.Empty(t, errs)
	every := "applies to series of every metric; give it a metric where one is meant"
	require.Equal(t, []string{
		`s.yml:2: group "s", rule "a": ` + every,
		`s.yml:3: group "s", rule "b": the condition looks at no value, so that it fires whenever such a series exists`,
		`s.yml:6: group "s", rule "e": ` + every,
	}, Lint(f))
}

// TestLintIsQuietOnRealRules keeps the warnings worth reading: real rules are meant.
func TestLintIsQuietOnRealRules(t *testing.T) {
	rules, warned := 0, 0
	for _, path := range ruleCorpus(t) {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		f, errs := Parse(path, content, compiler())
		require.Empty(t, errs)
		rules += f.RuleCount()
		ws := Lint(f)
		warned += len(ws)
		for _, w := range ws {
			t.Log(w)
		}
	}
	require.Less(t, warned*300, rules, "more than one rule in three hundred is warned of")
}

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// inDirectory writes files into a new working directory.
func inDirectory(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
}

// checked runs a check and returns its exit code and output.
func checked(args ...string) (code int, out, errOut string) {
	var o, e strings.Builder
	code = realMain(args, streams{out: &o, err: &e})
	return code, o.String(), e.String()
}

var ruleFiles = map[string]string{
	"rules/a.yml": `
groups:
- name: g
  rules:
  - {record: "x:rate", expr: "rate(x[5m])"}
  - {alert: Pinned, expr: "up @ 5 ==\n  0"}
- name: h
  rules:
  - {alert: Busy, expr: "sum by (job) (rate(x[5m])) > 3", labels: {severity: page}}
`,
	"simple.json": `{"rules": [{"id": "hot", "metric": "cpu", "condition": "greater_than", "threshold": 80}]}`,
	"bad.yml":     "groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'up =='}\n",
}

func TestExplainedAsText(t *testing.T) {
	inDirectory(t, ruleFiles)
	code, out, errOut := checked("check", "rules", "--explain", "./rules/a.yml", "simple.json")
	require.Zero(t, code, errOut)
	require.Empty(t, errOut)
	require.Equal(t, `ok    ./rules/a.yml (2 groups, 3 rules)

      g / x:rate: tier 1
        rate x[5m]  #1 shared by 2

      g / Pinned: tier 0, not compiled: the @ modifier
        up @ 5.000 == 0

      h / Busy: tier 1
        >  #2
          sum by (job)  #3
            rate x[5m]  #1 shared by 2
          3  #4

ok    simple.json (1 groups, 1 rules)
      hot: greater_than 80
        became: cpu > 80

      simple / hot: tier 1
        >  #5
          select cpu  #6
          80  #7

4 rules: 3 on tier 1, 1 on tier 0
`, out)

	code, out, _ = checked("check", "rules", "--explain", "bad.yml", "rules/*.yml", "none.yml")
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "FAIL  bad.yml")
	require.Contains(t, out, "error: bad.yml:4:")
	require.Contains(t, out, "ok    rules/a.yml")
	require.Contains(t, out, "none.yml: no such file")
	require.Contains(t, out, "3 rules: 2 on tier 1, 1 on tier 0\n")
}

func TestExplainedAsJSON(t *testing.T) {
	inDirectory(t, ruleFiles)
	code, out, errOut := checked("check", "rules", "--explain", "--json", "./rules/a.yml", "simple.json")
	require.Zero(t, code, errOut)
	require.JSONEq(t, `{"rules":4,"tiers":{"0":1,"1":3},
		"not_compiled":[{"file":"./rules/a.yml","group":"g","rule":"Pinned","reason":"the @ modifier"}]}`, out)

	_, out, _ = checked("check", "rules", "--explain", "--json", "simple.json")
	require.JSONEq(t, `{"rules":1,"tiers":{"0":0,"1":1},"not_compiled":[]}`, out)

	code, out, _ = checked("check", "rules", "--explain", "--json", "--trees", "simple.json")
	require.Zero(t, code)
	require.JSONEq(t, `{"rules":1,"tiers":{"0":0,"1":1},"not_compiled":[],"plans":[{"file":"simple.json","group":"simple","rule":"hot",
		"tree":{"id":1,"op":">","shared":1,"children":[{"id":2,"op":"select","detail":"cpu","shared":1},{"id":3,"op":"80"}]}}]}`, out)

	code, out, _ = checked("check", "rules", "--explain", "--json", "simple.json", "bad.yml")
	require.Equal(t, exitFailed, code)
	var got struct {
		Rules       int
		NotCompiled []any `json:"not_compiled"`
		Errors      []string
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.Equal(t, 1, got.Rules)
	require.NotNil(t, got.NotCompiled)
	require.Len(t, got.Errors, 1)
	require.Contains(t, got.Errors[0], "bad.yml:4:")
}

func TestTreesAreForExplainedJSON(t *testing.T) {
	for _, flags := range [][]string{{"--trees"}, {"--trees", "--json"}, {"--trees", "--explain"}} {
		code, _, errOut := checked(append([]string{"check", "rules", "f.yml"}, flags...)...)
		require.Equal(t, exitUsage, code, flags)
		require.Contains(t, errOut, "--trees is for --explain --json")
	}
}

package e2e_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := write(t, dir, "good.yml", "rule_files: [rules.yml]\n")
	write(t, dir, "rules.yml", fastRules)
	code, out, errOut := tocsin(t, "check", "config", good)
	require.Equal(t, 0, code, out+errOut)

	bad := write(t, dir, "bad.yml", "rule_files: [broken.yml]\ntocsin: {host: {collectors: [nosuch]}}\n")
	write(t, dir, "broken.yml", "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up ==\n")
	code, out, errOut = tocsin(t, "check", "config", good, bad)
	require.Equal(t, 1, code, out+errOut)
	require.Contains(t, out, "broken.yml:5:")
	require.Contains(t, out, "nosuch")
}

func TestCheckRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	simple := write(t, dir, "simple.json", `{"rules": [{"id": "hot", "metric": "cpu", "condition": "greater_than", "threshold": 80, "duration": "5m"}]}`)
	code, out, errOut := tocsin(t, "check", "rules", "--json", simple, write(t, dir, "rules.yml", fastRules))
	require.Equal(t, 0, code, errOut)
	var report struct {
		Files []struct {
			File   string
			OK     bool
			Groups int
			Rules  int
			Errors []string
			Simple []struct{ PromQL string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.Len(t, report.Files, 2)
	require.True(t, report.Files[0].OK)
	require.Equal(t, 1, report.Files[0].Rules)
	require.Equal(t, "cpu > 80", report.Files[0].Simple[0].PromQL)
	require.NotNil(t, report.Files[0].Errors)
	require.Equal(t, 2, report.Files[1].Rules)

	code, out, _ = tocsin(t, "check", "rules", filepath.Join(dir, "missing.yml"))
	require.Equal(t, 1, code)
	require.Contains(t, out, "missing.yml")
}

func TestTestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "rules.yml", fastRules)
	const test = `
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
- interval: 1m
  input_series: [{series: 'temperature{job="kiln",instance="i"}', values: '20 40'}]
  promql_expr_test:
  - expr: job:temperature:max
    eval_time: 1m
    exp_samples: [{labels: 'job:temperature:max{job="kiln"}', value: `
	good := write(t, dir, "good_test.yml", test+"40}]\n")
	bad := write(t, dir, "bad_test.yml", test+"41}]\n")
	code, out, errOut := tocsin(t, "test", good)
	require.Equal(t, 0, code, out+errOut)
	code, out, _ = tocsin(t, "test", "--json", good, bad)
	require.Equal(t, 1, code)
	require.Contains(t, out, `"passed": 1`)
	require.Contains(t, out, `"failed": 1`)
}

// TestUnknownTenant: only `default` exists, and nobody is given another's data by mistake.
func TestUnknownTenant(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	for _, path := range []string{"/api/v1/query?query=up", "/api/v1/drill?id=x&timeout=0s", "/api/v2/alerts", "/"} {
		code, body := s.do(http.MethodGet, path, http.Header{"X-Scope-Orgid": {"other"}}, nil)
		require.Equal(t, 404, code, "%s: %s", path, body)
		code, body = s.do(http.MethodGet, path, http.Header{"X-Scope-Orgid": {"default"}}, nil)
		require.Equal(t, 200, code, "%s: %s", path, body)
	}
	s.stop()
}

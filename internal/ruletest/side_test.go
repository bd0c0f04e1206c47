package ruletest

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSideFile shows that a rule is tested with what its side file says of it, also where a pattern matches both files.
func TestSideFile(t *testing.T) {
	t.Parallel()
	const (
		rules = "groups:\n- name: g\n  rules:\n  - alert: Hot\n    expr: temp > 80\n"
		side  = "groups:\n- name: g\n  rules:\n  - {alert: Hot, clear: temp < 50, on_missing: hold}\n"
		test  = `
rule_files: ["rules*.yml"]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: temp{room="a"}
        values: 90 60 60 40 90 stale stale
    alert_rule_test:
      - {eval_time: 0m, alertname: Hot, exp_alerts: [{exp_labels: {room: a}}]}
      - {eval_time: 2m, alertname: Hot, exp_alerts: [{exp_labels: {room: a}}]}
      - {eval_time: 3m, alertname: Hot, exp_alerts: []}
      - {eval_time: 6m, alertname: Hot, exp_alerts: [{exp_labels: {room: a}}]}
`
	)
	for name, c := range map[string]struct {
		files map[string]string
		ok    bool
	}{
		"with":    {map[string]string{"x_test.yml": test, "rules.yml": rules, "rules.tocsin.yml": side}, true},
		"without": {map[string]string{"x_test.yml": test, "rules.yml": rules}, false},
	} {
		report, err := Run(t.Context(), []string{filepath.Join(write(t, c.files), "x_test.yml")}, Options{})
		require.NoError(t, err)
		require.Equal(t, c.ok, report.OK(), "%s: %v", name, report.Files)
	}
}

package bench

import (
	"fmt"
	"strings"
)

// serverFiles are the configuration of the server whose latency is measured, by file name: every rule evaluated on
// arrival, one webhook, no waiting. The interval is as short as warming up asks for, and so long that an alert that is
// left to a tick shows.
func serverFiles(webhook string) map[string]string {
	return map[string]string{
		"tocsin.yml": `
global: {evaluation_interval: 5s}
rule_files: ["rules*.yml"]
tocsin:
  rules: {evaluation: stream}
  notifications: {alertmanager_config: alertmanager.yml}
`,
		"alertmanager.yml": fmt.Sprintf(`
route:
  receiver: bench
  group_by: ['...']
  group_wait: 0s
  group_interval: 1h
  repeat_interval: 24h
receivers:
- name: bench
  webhook_configs: [{url: '%s', send_resolved: false}]
`, webhook),
		"rules.yml": rulesFile(),
	}
}

// rulesFile is the rule that the probes break and the rules over the background, one a metric, of five kinds.
func rulesFile() string {
	var b strings.Builder
	fmt.Fprintf(&b, "groups:\n- name: probe\n  rules:\n  - alert: %s\n    expr: %s > 100\n- name: background\n  rules:\n", probeAlert, probeMetric)
	for i := range backgroundMetrics {
		m := fmt.Sprintf("bench_background_%02d", i)
		expr := []string{
			m + " > 1e6",
			"rate(" + m + "[1m]) > 1e6",
			"sum by (job) (" + m + ") > 1e9",
			"max by (zone) (" + m + ") / avg by (zone) (" + m + ") > 1e3",
			"avg_over_time(" + m + "[1m]) > 1e6",
		}[i%5]
		fmt.Fprintf(&b, "  - alert: BenchBackground%02d\n    expr: %s\n", i, expr)
	}
	return b.String()
}

package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain lets bench jit start this binary as one of its processes.
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "bench" && os.Args[3] == "--scenario" {
		os.Exit(realMain(os.Args[1:], streams{out: os.Stdout, err: os.Stderr}))
	}
	os.Exit(m.Run())
}

const benchRules = `groups: [{name: g, rules: [
  {alert: Hot, expr: 'cpu_usage > 80'}, {alert: Low, expr: '(1 - a / b) * 100 > 20'}]}]`

func TestBenchJitAsJSON(t *testing.T) {
	inDirectory(t, map[string]string{"rules.yml": benchRules})
	code, out, errOut := checked("bench", "jit", "--rules", "rules.yml", "--series", "90", "--batches", "2", "--quick", "--json", "--out", "figures")
	require.Zero(t, code, errOut)
	require.Contains(t, errOut, "s  rules.yml: 2 rules over 90 series: upstream\n", "lines where there is no terminal")

	var report struct {
		Scenarios []map[string]any `json:"scenarios"`
		Kernels   []map[string]any `json:"kernels"`
	}
	d := json.NewDecoder(strings.NewReader(out))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&report), out)
	require.False(t, d.More(), "nothing but JSON")
	var names []any
	for _, s := range report.Scenarios {
		names = append(names, s["name"])
		for _, key := range []string{
			"ready_ms", "first_eval_ms", "avg_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "evals_per_s", "cpu_s", "rss_mib", "code_bytes", "compile_s",
		} {
			require.IsType(t, 0.0, s[key], key)
		}
		require.Contains(t, s, "break_even_evals")
		require.Positive(t, s["ready_ms"])
		require.Positive(t, s["cpu_s"])
	}
	require.Equal(t, []any{"warm", "nojit", "cold", "adaptive", "upstream"}, names)
	require.Nil(t, report.Scenarios[1]["break_even_evals"])
	require.NotEmpty(t, report.Kernels)
	for _, k := range report.Kernels {
		for _, key := range []string{"expr", "lanes", "ns_per_lane", "tier", "ratio_to_tier1", "ratio_to_c"} {
			require.Contains(t, k, key)
		}
	}
	for _, name := range []string{"latency.csv", "latency.svg", "latency.png"} {
		info, err := os.Stat("figures/" + name)
		require.NoError(t, err)
		require.Positive(t, info.Size())
	}
}

func TestBenchJitErrors(t *testing.T) {
	inDirectory(t, map[string]string{
		"rules.yml": benchRules,
		"bad.yml":   "groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'up =='}\n",
		"a-file":    "",
	})
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--rules missing.yml", exitFailed, "tocsin: rule file: open missing.yml: no such file or directory"},
		{"--rules bad.yml", exitFailed, "bad.yml:4"},
		{"--rules rules.yml --out a-file/x", exitFailed, "tocsin: --out: mkdir a-file"},
		{"--series 3", exitUsage, "series: 3 is not between 10 and 2000000"},
		{"--batches=-1", exitUsage, "batches: -1 is not between 1 and 10000"},
		{"--batches many", exitUsage, "--batches"},
		{"--scenario {", exitFailed, "tocsin: --scenario: "},
	} {
		code, out, errOut := checked(append([]string{"bench", "jit"}, strings.Fields(c.args)...)...)
		require.Equal(t, c.code, code, c.args)
		require.Empty(t, out, c.args)
		require.Contains(t, errOut, c.want, c.args)
	}
}

func TestProcessorTimeGoesOn(t *testing.T) {
	before := processorTime()
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
	}
	require.Greater(t, processorTime(), before)
}

package bench

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func sampleReports() (*EvalReport, *LatencyReport) {
	m := Machine{CPU: "Example CPU", Cores: 2, Go: "go1.26", OS: "linux/amd64"}
	return &EvalReport{
			Machine: m, Seed: 1, Ticks: 3,
			Results: []EvalResult{
				{Class: "rate", Series: 1000, Rules: 20, Tier: 0, NSPerRuleSeries: 2500, AllocsPerEval: 7069.6, BytesPerSeries: 1130, RatioToUpstream: 1, Ticks: 3},
				{Class: "rate", Series: 1000, Rules: 1000, Tier: 1, NSPerRuleSeries: 1.25, BytesPerSeries: 900, RatioToUpstream: 2000, FeedNS: 55, Ticks: 3, Compared: 60},
			},
			Files:    []FileResult{{File: "dir/node.yml", Tier1: 9, Failed: 1, EvalResult: EvalResult{Class: "node.yml", Series: 600, Rules: 10, NSPerRule: 1e6, RatioToUpstream: 1}}},
			Churn:    []ChurnResult{{Class: "rate", Series: 100_000, Rules: 1000, Tier: 1, Replaced: 1000, SteadyMS: 20, SteadyFeed: 5, SteadyEval: 15, ChurnMS: 30, ChurnFeed: 10, ChurnEval: 20}},
			Arrivals: []ArrivalResult{{Class: "rate", Series: 100_000, Rules: 1000, Tier: 1, Changed: 100, FeedUS: 10, PulseUS: 90, Touched: 1000}},
		}, &LatencyReport{Machine: m, Duration: time.Minute, Results: []LatencyResult{
			{BackgroundPerS: 0, N: 600, P50MS: 1.5, P99MS: 3, MaxMS: 9},
			{BackgroundPerS: 200_000, N: 600, Lost: 2, P50MS: 2, P99MS: 8, MaxMS: 12, AchievedPerS: 150_000},
		}}
}

// TestJSONIsTheContract: names and nothing else, all figures numbers.
func TestJSONIsTheContract(t *testing.T) {
	e, l := sampleReports()
	for _, tc := range []struct {
		report any
		n      int
		beside []string
		keys   []string
	}{
		{e, 2, []string{"files"}, []string{"allocs_per_eval", "bytes_per_series", "class", "ns_per_rule_series", "ratio_to_upstream", "rules", "series", "tier"}},
		{l, 2, nil, []string{"background_per_s", "ledger_mean_ms", "ledger_n", "ledger_p99_ms", "lost", "max_ms", "n", "p50_ms", "p99_ms"}},
	} {
		b, err := json.Marshal(tc.report)
		require.NoError(t, err)
		var got map[string][]map[string]any
		require.NoError(t, json.Unmarshal(b, &got))
		require.ElementsMatch(t, append([]string{"results"}, tc.beside...), slices.Collect(maps.Keys(got)))
		require.Len(t, got["results"], tc.n)
		for _, r := range got["results"] {
			require.Equal(t, tc.keys, slices.Sorted(maps.Keys(r)))
			for k, v := range r {
				if k != "class" {
					require.IsType(t, 0.0, v, k)
				}
			}
		}
	}
	for _, empty := range []any{&EvalReport{}, &LatencyReport{}} {
		b, err := json.Marshal(empty)
		require.NoError(t, err)
		require.JSONEq(t, `{"results":[]}`, string(b))
	}
}

func TestDocument(t *testing.T) {
	e, l := sampleReports()
	d := Document{Eval: e, Latency: l, Versions: "tocsin devel", Commands: []string{"tocsin bench eval"}, Made: time.Unix(0, 0)}
	var b strings.Builder
	d.WriteMarkdown(&b)
	for _, line := range []string{
		"# Benchmarks",
		"- machine: Example CPU, 2 cores, go1.26 linux/amd64",
		"- date: 1970-01-01",
		"    tocsin bench eval",
		"## Evaluation", "## Rule files", "## Churn", "## Arrivals", "## Latency",
		"| rate | 1,000 | 1,000 | 1 | 1.25 | 2,000 | 0 | 900 | 55 | 0 | 3 | 60 |",
		"| node.yml | 10 | 1 | 9 | 600 | 0 | 1,000,000 | 1 |  |  |",
		"| rate | 100,000 | 1,000 | 1 | 1,000 | 20 | 5 | 15 | 30 | 10 | 20 | 1.5 |",
		"| rate | 100,000 | 1,000 | 1 | 100 | 10 | 90 | 1,000 | 100 |",
		"| 200,000 | 150,000 | 600 | 2 | 2 | 8 | 12 | 0 | 0 | 0 |",
	} {
		require.Contains(t, strings.Split(b.String(), "\n"), line)
	}
	require.Contains(t, b.String(), "The background of 200,000/s was NOT reached")
	require.Equal(t, 2, l.Lost())
}

func TestTextIsAligned(t *testing.T) {
	tb := table{head: []string{"a", "×ns"}}
	tb.add("long", "1")
	tb.add("b", "1,000")
	var b strings.Builder
	tb.text(&b)
	require.Equal(t, "a       ×ns\nlong      1\nb     1,000\n", b.String())
}

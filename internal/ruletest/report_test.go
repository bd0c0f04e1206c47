package ruletest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/util/junitxml"
	"github.com/stretchr/testify/require"
)

func TestDiffAndDebug(t *testing.T) {
	f := run(t, `
rule_files: [rules.yml]
tests:
  - name: n
    input_series: [{series: up, values: "1 2"}, {series: h, values: "{{sum:3 count:2 buckets:[2]}}"}]
    promql_expr_test:
      - {expr: '{__name__=~"up|fixed"}', eval_time: 1m, exp_samples: [{labels: fixed, value: 7}, {labels: up, value: 3}]}
`, rulesYAML, Options{Diff: true, Debug: true})
	require.False(t, f.OK)
	require.Contains(t, complaints(f), "  {__name__=\"fixed\"} 7\n  - {__name__=\"up\"} 3\n  + {__name__=\"up\"} 2")
	dump := strings.Join(f.Tests[0].Debug, "\n")
	require.Contains(t, dump, `{__name__="up"} 1@0s 2@1m`)
	require.Contains(t, dump, `{__name__="fixed"} 7@0s 7@1m`)
	require.Contains(t, dump, `sum:3`)
	require.Contains(t, dump, "took ")
}

func TestDiffLines(t *testing.T) {
	require.Equal(t, []string{"  a", "- b", "+ x", "  c", "+ d"}, diffLines([]string{"a", "b", "c"}, []string{"a", "x", "c", "d"}))
	require.Empty(t, diffLines(nil, nil))
	long := make([]string, 3000)
	require.Len(t, diffLines(long, long), 6000, "long lists are not compared line by line")
}

func TestReportsAsJSONTextAndJUnit(t *testing.T) {
	dir := write(t, map[string]string{
		"good_test.yml": "tests: [{name: fine}]\n",
		"bad_test.yml":  "tests:\n  - {name: wrong, promql_expr_test: [{expr: '1', eval_time: 0}]}\n",
		"ugly_test.yml": "what: is this\n",
	})
	report, err := Run(t.Context(), []string{
		filepath.Join(dir, "good_test.yml"), filepath.Join(dir, "bad_test.yml"), filepath.Join(dir, "ugly_test.yml"),
	}, Options{})
	require.NoError(t, err)

	b, err := json.Marshal(report)
	require.NoError(t, err)
	require.JSONEq(t, strings.ReplaceAll(`{"files":[
		{"file":"DIR/good_test.yml","ok":true,"tests":[{"name":"fine","line":1,"ok":true,"errors":[]}],"errors":[]},
		{"file":"DIR/bad_test.yml","ok":false,"tests":[{"name":"wrong","line":2,"ok":false,"errors":[
			"DIR/bad_test.yml:2: test \"wrong\": expr \"1\" at 0s: expected: nothing\ngot:\n  {} 1"]}],"errors":[]},
		{"file":"DIR/ugly_test.yml","ok":false,"tests":[],"errors":["DIR/ugly_test.yml:1: field what is not a field of a test file"]}
	],"passed":1,"failed":2}`, "DIR", dir), string(b))

	var text bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	require.Contains(t, text.String(), "ok    "+dir+"/good_test.yml (1 test)\n")
	require.Contains(t, text.String(), "FAIL  "+dir+"/bad_test.yml (1 test)\n      "+dir+"/bad_test.yml:2: ")
	require.True(t, strings.HasSuffix(text.String(), "1 passed, 2 failed\n"))

	var x bytes.Buffer
	require.NoError(t, report.WriteJUnit(&x, time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)))
	var doc junitxml.JUnitXML
	require.NoError(t, xml.Unmarshal(x.Bytes(), &doc))
	require.Len(t, doc.Suites, 3)
	require.Equal(t, "2024-01-02T03:04:05", doc.Suites[0].Timestamp)
	require.Equal(t, 1, doc.Suites[1].FailureCount)
	require.Contains(t, doc.Suites[1].Cases[0].Failures[0], "expr \"1\" at 0s")
	require.Equal(t, 1, doc.Suites[2].ErrorCount)
}

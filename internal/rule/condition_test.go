package rule

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// named is what a condition over several metrics is wrapped in.
func named(e string) string {
	return `label_replace(label_replace(` + e + `, "exported_metric", "$1", "metric", "(.+)"), "metric", "$1", "__name__", "(.+)")`
}

const anySeries = `__name__=~".+",__name__!~"ALERTS|ALERTS_FOR_STATE"`

// TestConditionsBecomePromQL pins the text, which people read.
func TestConditionsBecomePromQL(t *testing.T) {
	for _, tc := range []struct{ condition, metric, want string }{
		{`value > 80.0`, "cpu", `cpu > 80`},
		{`value > 80.0`, "", named(`{` + anySeries + `} > 80`)},
		{`value > 100 and metric == "cpu"`, "", `cpu > 100`},
		{`80 < value`, "cpu", `cpu > 80`},
		{`10 <= value && value != 20`, "cpu", `(cpu >= 10) != 20`},
		{`value != 20`, "cpu", `(cpu != 20) <= +Inf`},
		{`not (value > 80 or instance == "a")`, "cpu", `cpu{instance!="a"} <= 80`},
		{`!(value > 80 && instance =~ "a.*")`, "cpu", `cpu <= 80 or cpu{instance!~"a.*"}`},
		{`value > 5 and (instance == "a" or instance == "b")`, "cpu", `cpu{instance="a"} > 5 or cpu{instance="b"} > 5`},
		{`value * 2 > 100`, "cpu", `cpu and (cpu * 2 > 100)`},
		{`value > 1 and value % 2 == 1`, "cpu", `cpu > 1 and (cpu % 2 == 1)`},
		{`value > value ^ 2`, "cpu", `cpu and (cpu > cpu ^ 2)`},
		{`value - 1 != value / 2`, "cpu", `cpu and ((cpu - 1 != cpu / 2) <= +Inf) and (cpu / 2 <= +Inf)`},
		{`value > 2 ^ 3 ^ 2`, "cpu", `cpu > 512`},
		{`value > -2 ^ 2`, "cpu", `cpu > -4`},
		{`value > 10 - 5 - 2`, "cpu", `cpu > 3`},
		{`value > 2 + 3 * 4`, "cpu", `cpu > 14`},
		{`value > 100 / 10 / 5`, "cpu", `cpu > 2`},
		{`value - 3 - 2 > 1`, "cpu", `cpu and (cpu - 3 - 2 > 1)`},
		{`value - (3 - value) > 1`, "cpu", `cpu and (cpu - (3 - cpu) > 1)`},
		{`(2 ^ value) ^ 2 > 2 ^ value ^ 2`, "cpu", `cpu and ((2 ^ cpu) ^ 2 > 2 ^ cpu ^ 2)`},
		{`-value > -1/0`, "cpu", `cpu and (cpu * (-1) > -Inf)`},
		{`value > 1e20 or value < -1e-9`, "cpu", `cpu > 1e+20 or cpu < -1e-09`},
		{`5 > 3 and value > 1 or 1 > 2`, "cpu", `cpu > 1`},
		{`value > 1 OR value > 1`, "cpu", `cpu > 1`},
		{`not value > 1`, "cpu", `cpu <= 1`},
		{`not not value > 1`, "cpu", `cpu > 1`},
		{`value > 1 or value > 2 and value > 3`, "cpu", `cpu > 1 or (cpu > 2) > 3`},
		{`instance == "a"`, "cpu", `cpu{instance="a"}`},
		{`"a" != labels["instance"] and labels.zone == 'eu'`, "cpu", `cpu{instance!="a",zone="eu"}`},
		{`value > 1 and instance == "a" and instance =~ "a|b"`, "cpu", `cpu{instance="a"} > 1`},
		{`labels["ü-x"] == "\u00fc\n" and path !~ ` + "`C:\\\\.*`", "cpu", `cpu{"ü-x"="ü\n",path!~"C:\\\\.*"}`},
		{`metric == "cpu" and value > 1 or metric == "mem" and value > 2`, "", named(`cpu > 1`) + " or " + named(`mem > 2`)},
		{`metric =~ "node_.*" and value > 1`, "", named(`{` + anySeries + `,__name__=~"node_.*"} > 1`)},
		{`metric =~ "c.*" and value > 1`, "cpu", `cpu > 1`},
		{`__name__ == "cpu" and value > 1`, "", `cpu > 1`},
		{`metric == "inf" and value > 1`, "", `{__name__="inf"} > 1`},
		{`value > 1`, "a.b", `{__name__="a.b"} > 1`},
		{`labels.AND == "x" AND labels.value != "y" And labels["not"] == "z"`, "cpu", `cpu{AND="x",value!="y",not="z"}`},
		{`metric == "ALERTS" and value > 0`, "", `ALERTS > 0`},
	} {
		t.Run(tc.condition, func(t *testing.T) {
			low, err := lowerCondition(tc.condition, tc.metric, compiler())
			require.NoError(t, err)
			require.Equal(t, tc.want, low.promql)
			_, err = compiler().Compile(low.promql)
			require.NoError(t, err)
		})
	}
}

// TestBadConditionsSayWhere pins column and message; the mark stands below the column.
func TestBadConditionsSayWhere(t *testing.T) {
	for _, tc := range []struct {
		condition string
		column    int
		want      string
	}{
		{``, 1, "is empty"},
		{`   `, 1, "is empty"},
		{`value`, 1, "compare it: value > 80"},
		{`value >`, 8, "the end where"},
		{`value > > 80`, 9, `">" where`},
		{`value = 80`, 7, "write == to compare"},
		{`value > 80ms`, 11, "numbers have no units"},
		{`value > 1.2.3`, 12, "numbers have no units"},
		{`value > 1e999`, 9, "too large"},
		{`value > 80 90`, 12, "is an operator or `and` missing?"},
		{`(value > 80`, 12, "close the bracket of column 1"},
		{`value > 80)`, 11, "does not go on"},
		{`10 < value < 20`, 12, "comparisons do not chain"},
		{`(value > 1) == (value > 2)`, 8, "a comparison is compared"},
		{`(value > 1) + 1 > 2`, 8, "a comparison where a number should stand"},
		{`cpu > 80`, 1, `for a metric cpu write metric == "cpu" and test value; labels are compared with texts in quotes: cpu == "80"`},
		{`value == true`, 10, "value is a number, such as 1 or 0"},
		{`value > 80%`, 12, "numbers have no units: write 80 or 0.8"},
		{`value > 80,5`, 11, "a number has a point"},
		{`value > "80"`, 9, "without quotes"},
		{`Value > 80`, 1, "small letters"},
		{`instance`, 1, `compare it: instance == "…"`},
		{`"a"`, 1, "compare it with a label"},
		{`"a" == "b"`, 1, "no label"},
		{`instance == job`, 10, "cannot be compared with each other"},
		{`instance < "b"`, 10, "no order"},
		{`value =~ "5"`, 10, "without quotes"},
		{`value =~ 5`, 7, "these are numbers"},
		{`"a.*" =~ instance`, 1, "stands on the right"},
		{`instance =~ "("`, 13, "no valid pattern"},
		{`instance + 1 > 2`, 1, "is text; arithmetic"},
		{`abs(value) > 1`, 1, "there is no function abs"},
		{`value > 1 and`, 14, "the end where"},
		{`and value > 1`, 1, `"and" where`},
		{`labels == "a"`, 1, `write labels["instance"]`},
		{`labels["a" == "b"`, 12, "where ] should stand"},
		{`instance == "a`, 13, "never ends"},
		{`instance == "\q"`, 14, "no valid escape"},
		{`cpu{a="b"} > 1`, 4, "selectors in braces are PromQL"},
		{`größe == "a"`, 3, `labels["…"]`},
		{`value > 1 # why`, 11, "has no meaning"},
		{`5 > 3`, 1, "always true"},
		{`value > 1 or 5 > 3`, 1, "always true"},
		{`value > 1 and 5 < 3`, 1, "never be true"},
		{`value > 0/0`, 1, "never be true"},
		{`not (value > 0/0)`, 1, "never be true"},
		{`metric == "a" and metric == "b"`, 1, "never be true"},
		{`metric == ""`, 1, "never be true"},
		{strings.Repeat("(", 100) + "value > 1" + strings.Repeat(")", 100), 65, "nested more than 64 deep"},
		{strings.Repeat("not ", 100) + "value > 1", 257, "nested more than 64 deep"},
		{"value > 1" + strings.Repeat(" or value > 1", 64), 830, "more than 64 alternatives"},
		{strings.Repeat("(a == '1' or b == '1') and ", 7) + "value > 1", 159, "more than 64 alternatives"},
		{"value > 1" + strings.Repeat(" ", maxCondition), 4097, "4105 bytes; a condition may have 4096"},
	} {
		t.Run(tc.condition[:min(len(tc.condition), 40)], func(t *testing.T) {
			_, err := lowerCondition(tc.condition, "", compiler())
			require.Error(t, err)
			require.ErrorContains(t, err, tc.want)
			message, shown, _ := strings.Cut(err.Error(), "\n")
			require.Contains(t, message, "column "+itoa(tc.column)+":")
			lines := strings.Split(shown, "\n")
			require.Len(t, lines, 2)
			at := len([]rune(lines[1])) - 1
			require.Equal(t, '^', []rune(lines[1])[at])
			source := []rune(tc.condition)
			if tc.column <= len(source) && !strings.ContainsAny(string(source[tc.column-1]), "\t\n") {
				require.Equal(t, string(source[tc.column-1]), string([]rune(lines[0])[at]), err)
			}
		})
	}
}

// TestLongestConditions stay within bounds whatever they are made of.
func TestLongestConditions(t *testing.T) {
	for _, part := range []string{"value > 1 and ", "value * 2 != value and ", "(value != 1 or value == 2) and ", "a != '1' and ", "-", "value ^ "} {
		text := strings.Repeat(part, (maxCondition-20)/len(part)) + "value > 1"
		low, err := lowerCondition(text, "", compiler())
		if err == nil {
			require.LessOrEqual(t, len(low.promql), maxPromQL)
			_, err = compiler().Compile(low.promql)
			require.NoError(t, err)
		}
	}
}

func itoa(n int) string { return formatNumber(float64(n)) }

package rule

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
)

// tableOf makes a table of texts; the rows must be good.
func tableOf(t testing.TB, op string, own float64, rows ...string) *Thresholds {
	out := &Thresholds{Op: op, Default: own}
	for i, text := range rows {
		ms, err := parseRow(text, compiler())
		require.NoError(t, err, text)
		out.Rows = append(out.Rows, ThresholdRow{ms, float64(10 * (i + 1))})
	}
	return out
}

func node(t testing.TB, expr string) *plan.Node {
	p, err := compiler().Compile(expr)
	require.NoError(t, err)
	n, err := taken(p, compiler())
	require.NoError(t, err)
	return n
}

// TestTablesBecomePromQL pins what they become.
func TestTablesBecomePromQL(t *testing.T) {
	for _, tc := range []struct {
		expr string
		rows []string
		want string
	}{
		{"x", []string{`{zone="a"}`}, `x{zone="a"} > 10 or x{zone!="a"} > 80`},
		{"x", []string{`{zone="a"}`, `{zone="b"}`, `{env=~"prod.*"}`},
			`x{zone="a"} > 10 or x{zone="b"} > 20 or x{env=~"prod.*",zone!~"a|b"} > 30 or x{zone!~"a|b",env!~"prod.*"} > 80`},
		{`x{env="dev"}`, []string{`{zone!="a"}`}, `x{env="dev",zone!="a"} > 10 or x{env="dev",zone="a"} > 80`},
		{"x", []string{`{zone="a",env=~"prod.*"}`, `{env="dev"}`},
			`x{zone="a",env=~"prod.*"} > 10 or x{env="dev"} > 20 or x{env!="dev"} > 80 unless x{zone="a",env=~"prod.*"}`},
		{"x", []string{`{zone="a",env=~"prod.*"}`, `{le="1"}`},
			`x{zone="a",env=~"prod.*"} > 10 or x{le="1"} > 20 unless x{zone="a",env=~"prod.*"} or x{le!="1"} > 80 unless x{zone="a",env=~"prod.*"}`},
		{"100 * x / y", []string{`{zone="a"}`}, `(100 * x{zone="a"} / y{zone="a"}) > 10 or (100 * x{zone!="a"} / y{zone!="a"}) > 80`},
		{"sum by (zone) (rate(x[5m]))", []string{`{zone=""}`}, `sum by (zone) (rate(x{zone=""}[5m])) > 10 or sum by (zone) (rate(x{zone!=""}[5m])) > 80`},
		{"x * on (zone) group_left (tier) y", []string{`{tier="1"}`, `{env="dev"}`, `{zone="a"}`},
			`(x * on (zone) group_left (tier) y{tier="1"}) > 10 or (x{env="dev"} * on (zone) group_left (tier) y{tier!="1"}) > 20 or ` +
				`(x{zone="a",env!="dev"} * on (zone) group_left (tier) y{zone="a",tier!="1"}) > 30 or ` +
				`(x{env!="dev",zone!="a"} * on (zone) group_left (tier) y{tier!="1",zone!="a"}) > 80`},
		{"avg(x)", []string{`{zone="a.b"}`},
			`(avg(x) and ignoring (__threshold__) (label_replace(avg(x), "__threshold__", "1", "zone", "a\\.b") and on (__threshold__) label_replace(vector(1), "__threshold__", "1", "", ""))) > 10 or ` +
				`(avg(x) unless ignoring (__threshold__) (label_replace(avg(x), "__threshold__", "1", "zone", "a\\.b") and on (__threshold__) label_replace(vector(1), "__threshold__", "1", "", ""))) > 80`},
	} {
		table := tableOf(t, ">", 80, tc.rows...)
		got, err := table.promQL(node(t, tc.expr))
		require.NoError(t, err)
		require.Equal(t, node(t, tc.want).Key, node(t, got).Key, "%s\n%s", got, tc.want)
	}
}

// tested are vectors of every form. Labels of the first can be tested in the selectors; those of the others are not there
// any more, come from elsewhere, or decide who is among the results.
var tested = []string{
	"x", "rate(x[1s])", "-x", "abs(x) * 2 + 1", "2 ^ x", "sum by (zone) (x)", "sum by (zone, env) (x)", "max without (le) (x)",
	"x / y", "x + on (zone, env, le) y", "x * on (zone) group_left () limit", "limit * on (zone) group_right () x",
	"x * ignoring (le, env) group_left () limit", "x * on (zone) group_left (dc) limit", "x and y", "x and on (zone) limit", "x unless on (zone) limit",
	"x unless y", "x or y", "x > 1", "topk by (zone, env, le) (1, x)", "timestamp(x)", "clamp(x, 0, 4)", "sort(x)", "x offset 250ms",
	`label_replace(x, "dc", "$1", "env", "(.*)-.*")`, `histogram_quantile(0.5, sum by (le, zone) (x))`,

	"avg(x)", "topk(3, x)", "topk by (zone) (1, x)", `x{env="dev"} + on (zone, le) sum by (zone, le) (y)`, "max_over_time(x[1s:250ms])",
	`label_replace(x{zone="b"}, "zone", "a", "env", "dev")`, `label_join(x, "dc", "-", "zone", "le")`, "x or on (env) y", "sum without (zone) (x)",
	`count_values without (env, le) ("zone", x)`, "vector(5)", "absent(nothing)", "x - on (zone, env, le) y",
}

// plainRow is a row as its author thinks of it.
type plainRow struct {
	text  string
	tests []func(labels.Labels) bool
	value float64
}

func randomRow(g generator) plainRow {
	var out plainRow
	var texts []string
	for range 1 + g.IntN(2) {
		label, op := pick(g, "zone", "env", "le", "dc", "nothing"), pick(g, "=", "=", "=", "!=", "=~", "!~")
		value := pick(g, "a", "b", "", "prod-1", "dev", "1", "+Inf")
		if strings.HasSuffix(op, "~") {
			value = pick(g, "a|b", "prod.*", ".+", "", ".*", `prod-\d`)
		}
		re := regexp.MustCompile("^(?:" + regexp.QuoteMeta(value) + ")$")
		if strings.HasSuffix(op, "~") {
			re = regexp.MustCompile("^(?:" + value + ")$")
		}
		texts = append(texts, label+op+strconv.Quote(value))
		out.tests = append(out.tests, func(ls labels.Labels) bool {
			return re.MatchString(ls.Get(label)) == !strings.HasPrefix(op, "!")
		})
	}
	out.text = "{" + strings.Join(texts, ",") + "}"
	out.value = pick(g, 0.0, 1, 2, 3, 5, -1, math.Inf(1), math.Inf(-1), g.NormFloat64()*4)
	return out
}

// TestEachSeriesHasOneThreshold evaluates tables on upstream's engine: what fires must be what passes the threshold of
// the first row that it matches, with its value, and no two of the table's comparisons may look at the same series.
func TestEachSeriesHasOneThreshold(t *testing.T) {
	seed := seedOf(t)
	c := compiler()
	fired, quiet := 0, 0
	for n := range uint64(6) {
		g := generator{rand.New(rand.NewPCG(seed, n))}
		st := filled(t, g.Rand, grid(g.Rand))
		engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: c.Parser(), EnableDelayedNameRemoval: n%2 == 1})
		for _, expr := range tested {
			table := &Thresholds{Op: pick(g, ">", ">=", "<", "<=", "==", "!="), Default: pick(g, 0, 2, 5, -1.5)}
			var rows []plainRow
			for range 1 + g.IntN(4) {
				row := randomRow(g)
				ms, err := parseRow(row.text, c)
				require.NoError(t, err, row.text)
				rows = append(rows, row)
				table.Rows = append(table.Rows, ThresholdRow{ms, row.value})
			}
			compared := node(t, expr)
			text, err := table.promQL(compared)
			require.NoError(t, err)
			p, err := c.Compile(text)
			require.NoError(t, err, text)
			all, err := c.Compile(expr)
			require.NoError(t, err)
			want := map[string]string{}
			series := run(t, engine, st, all)
			for name, value := range series {
				ls := parseLabels(t, name)
				v, err := strconv.ParseFloat(value, 64)
				require.NoError(t, err)
				threshold := thresholdOf(rows, table.Default, ls)
				require.Equal(t, threshold, table.Of(ls))
				if holds(table.Op, v, threshold) {
					want[name] = value
					fired++
				} else {
					quiet++
				}
			}
			require.Equal(t, want, run(t, engine, st, p), "%s %s %v of %+v\n%s", expr, table.Op, table.Default, rows, p)
			requireApart(t, engine, st, table, compared, series)
		}
		require.NoError(t, engine.Close())
	}
	require.Greater(t, fired, 500)
	require.Greater(t, quiet, 500)
}

func parseLabels(t testing.TB, text string) labels.Labels {
	if text == "{}" {
		return labels.EmptyLabels()
	}
	ms, err := compiler().Parser().ParseMetric(text)
	require.NoError(t, err)
	return ms
}

func thresholdOf(rows []plainRow, own float64, ls labels.Labels) float64 {
next:
	for _, row := range rows {
		for _, test := range row.tests {
			if !test(ls) {
				continue next
			}
		}
		return row.value
	}
	return own
}

// holds is PromQL's comparison.
func holds(op string, a, b float64) bool {
	switch op {
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case "==":
		return a == b
	}
	return a != b
}

// requireApart makes one row after the other, and the default, the only one that anything passes: each series that has a
// plain value must pass once.
func requireApart(t testing.TB, engine *promql.Engine, st storage.Queryable, table *Thresholds, compared *plan.Node, all map[string]string) {
	seen := map[string]int{}
	for i := range len(table.Rows) + 1 {
		one := &Thresholds{Op: ">=", Default: math.Inf(1), Rows: slices.Clone(table.Rows)}
		for j := range one.Rows {
			one.Rows[j].Value = math.Inf(1)
		}
		if i < len(one.Rows) {
			one.Rows[i].Value = math.Inf(-1)
		} else {
			one.Default = math.Inf(-1)
		}
		text, err := one.promQL(compared)
		require.NoError(t, err)
		for name, value := range run(t, engine, st, mustCompile(t, text)) {
			if value != "+Inf" {
				seen[name]++
			}
		}
	}
	for name, value := range all {
		if value == "NaN" || value == "+Inf" {
			continue
		}
		require.Equal(t, 1, seen[name], "%s of %s with %v", name, promQL(compared), table.Rows)
		delete(seen, name)
	}
	require.Empty(t, seen)
}

func mustCompile(t testing.TB, text string) *plan.Plan {
	p, err := compiler().Compile(text)
	require.NoError(t, err, text)
	return p
}

// TestBigTables stay within their bounds.
func TestBigTables(t *testing.T) {
	table := &Thresholds{Op: ">", Default: 1}
	for i := range maxThresholds {
		ms, err := parseRow(fmt.Sprintf(`{instance="host-%d",mount="/"}`, i), compiler())
		require.NoError(t, err)
		table.Rows = append(table.Rows, ThresholdRow{ms, float64(i)})
	}
	start := time.Now()
	text, err := table.promQL(node(t, "x"))
	require.NoError(t, err)
	_, err = compiler().Compile(text)
	require.NoError(t, err)
	require.Less(t, time.Since(start), 5*time.Second)
	for i := range table.Rows {
		table.Rows[i].Matchers[0] = labels.MustNewMatcher(labels.MatchRegexp, "instance", fmt.Sprintf("h.*-%d", i))
	}
	_, err = table.promQL(node(t, "x"))
	require.ErrorContains(t, err, "more than 65536 bytes of PromQL")
}

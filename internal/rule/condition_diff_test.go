package rule

import (
	"context"
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
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
)

// one is one series with its value, as the reference interpreter sees it.
type one struct {
	labels labels.Labels
	value  float64
}

// verdict is a truth of Kleene's three values.
type verdict int

const (
	isFalse verdict = iota - 1
	isUnknown
	isTrue
)

func verdictOf(b bool) verdict {
	if b {
		return isTrue
	}
	return isFalse
}

// A generated condition is a text and, independently of the parser, what it means.
type (
	condition struct {
		text string
		eval func(one) verdict
	}
	quantity struct {
		text string
		eval func(one) float64
	}
)

type generator struct{ *rand.Rand }

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

func (g generator) quantity(depth int) quantity {
	switch n := g.IntN(10); {
	case depth == 0 && n < 5, n < 3:
		return quantity{"value", func(s one) float64 { return s.value }}
	case depth == 0, n < 5:
		text := pick(g, "0", "1", "2", "3", "5", "7.5", "1e3", "0.5", "100")
		v, _ := strconv.ParseFloat(text, 64)
		return quantity{text, func(one) float64 { return v }}
	case n == 5:
		x := g.quantity(depth - 1)
		return quantity{"-(" + x.text + ")", func(s one) float64 { return -x.eval(s) }}
	}
	a, b := g.quantity(depth-1), g.quantity(depth-1)
	op := pick(g, "+", "-", "*", "/", "%", "^")
	return quantity{"(" + a.text + ") " + op + " (" + b.text + ")", func(s one) float64 {
		x, y := a.eval(s), b.eval(s)
		switch op {
		case "+":
			return x + y
		case "-":
			return x - y
		case "*":
			return x * y
		case "/":
			return x / y
		case "%":
			return math.Mod(x, y)
		}
		return math.Pow(x, y)
	}}
}

func (g generator) comparison() condition {
	a, b := g.quantity(g.IntN(3)), g.quantity(g.IntN(2))
	if g.IntN(2) == 0 {
		a, b = g.quantity(0), g.quantity(0)
	}
	op := pick(g, "==", "!=", "<", "<=", ">", ">=")
	return condition{a.text + " " + op + " " + b.text, func(s one) verdict {
		x, y := a.eval(s), b.eval(s)
		if math.IsNaN(x) || math.IsNaN(y) {
			return isUnknown
		}
		switch op {
		case "==":
			return verdictOf(x == y)
		case "!=":
			return verdictOf(x != y)
		case "<":
			return verdictOf(x < y)
		case "<=":
			return verdictOf(x <= y)
		case ">":
			return verdictOf(x > y)
		}
		return verdictOf(x >= y)
	}}
}

func (g generator) labelTest() condition {
	name := pick(g, "metric", "instance", `labels["zone"]`, `labels["metric"]`, "labels.zone")
	label := map[string]string{"metric": "__name__", `labels["metric"]`: "metric", `labels["zone"]`: "zone", "labels.zone": "zone"}[name]
	if label == "" {
		label = name
	}
	if g.IntN(3) == 0 {
		op, pattern := pick(g, "=~", "!~"), pick(g, "a|b", "cpu.*", ".+", "", "e.", ".*m.*")
		re := regexp.MustCompile("^(?:" + pattern + ")$")
		return condition{name + " " + op + " " + strconv.Quote(pattern), func(s one) verdict {
			return verdictOf(re.MatchString(s.labels.Get(label)) == (op == "=~"))
		}}
	}
	op, value := pick(g, "==", "!="), pick(g, "a", "b", "cpu", "mem", "eu", "")
	left, right := name, "'"+value+"'"
	if g.IntN(4) == 0 {
		left, right = right, left
	}
	return condition{left + " " + op + " " + right, func(s one) verdict {
		return verdictOf((s.labels.Get(label) == value) == (op == "=="))
	}}
}

func (g generator) condition(depth int) condition {
	if depth == 0 || g.IntN(4) == 0 {
		if g.IntN(3) == 0 {
			return g.labelTest()
		}
		return g.comparison()
	}
	a := g.condition(depth - 1)
	if g.IntN(4) == 0 {
		return condition{pick(g, "not ", "!") + "(" + a.text + ")", func(s one) verdict { return -a.eval(s) }}
	}
	b := g.condition(depth - 1)
	if g.IntN(2) == 0 {
		return condition{"(" + a.text + ")" + pick(g, " and ", " && ") + "(" + b.text + ")", func(s one) verdict { return min(a.eval(s), b.eval(s)) }}
	}
	return condition{"(" + a.text + ")" + pick(g, " or ", " || ") + "(" + b.text + ")", func(s one) verdict { return max(a.eval(s), b.eval(s)) }}
}

// world is a set of series in upstream's test storage.
func (g generator) world(t testing.TB) ([]one, storage.Storage) {
	st := teststorage.New(t)
	var all []one
	app := st.Appender(context.Background())
	for _, name := range []string{"cpu", "mem", "cpu_x", "ALERTS"} {
		for _, instance := range []string{"a", "b", ""} {
			for _, zone := range []string{"eu", ""} {
				for _, own := range []string{"", "", "a"} {
					ls := labels.FromMap(map[string]string{"__name__": name, "instance": instance, "zone": zone, "metric": own}).WithoutEmpty()
					v := pick(g, 0, 1, 2, 3, 5, 7.5, -1, -5, 100, 1e3, 1e300, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), g.NormFloat64()*10)
					if slices.ContainsFunc(all, func(o one) bool { return labels.Equal(o.labels, ls) }) {
						continue
					}
					_, err := app.Append(0, ls, 0, v)
					require.NoError(t, err)
					all = append(all, one{ls, v})
				}
			}
		}
	}
	require.NoError(t, app.Commit())
	return all, st
}

// TestConditionsMeanTheirPromQL evaluates random conditions over random series twice: by a reference interpreter that
// was made with the text, and as the PromQL that the text becomes, on upstream's engine. The same series must come out,
// with their own values, and as alerts they must be told apart.
func TestConditionsMeanTheirPromQL(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	g := generator{rand.New(rand.NewPCG(seed, 1))}
	c := plan.NewCompiler(plan.Options{})
	worlds, each := 12, 150
	if testing.Short() {
		worlds = 3
	}
	fired, refused, quiet := 0, 0, 0
	for w := range worlds {
		all, st := g.world(t)
		engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: c.Parser(), EnableDelayedNameRemoval: w%2 == 1})
		for range each {
			cond := g.condition(g.IntN(4))
			metric := pick(g, "", "", "cpu", "ALERTS")
			low, err := lowerCondition(cond.text, metric, c)
			want := expected(all, cond, metric, low.metric)
			if err != nil {
				requireConstant(t, all, cond, metric, err)
				refused++
				continue
			}
			p, err := c.Compile(low.promql)
			require.NoError(t, err, "%s\n%s", cond.text, low.promql)
			got := run(t, engine, st, p)
			require.Equal(t, want, got, "condition %s\nmetric %q\npromql %s", cond.text, metric, low.promql)
			if len(got) > 0 {
				fired++
			} else {
				quiet++
			}
		}
		require.NoError(t, engine.Close())
	}
	t.Logf("%d fired, %d quiet, %d refused as constant or too large", fired, quiet, refused)
	require.Greater(t, fired, worlds*each/4)
	require.Greater(t, quiet, worlds*each/50)
}

// expected returns the alerts' labels and values by the reference interpreter; tied is the one metric that the rule is
// about, if there is one.
func expected(all []one, cond condition, metric, tied string) map[string]string {
	out := map[string]string{}
	for _, s := range all {
		name := s.labels.Get("__name__")
		own := strings.HasPrefix(name, "ALERTS") && tied != name && !strings.Contains(cond.text, name)
		if metric != "" && name != metric || own || cond.eval(s) != isTrue {
			continue
		}
		b := labels.NewBuilder(s.labels).Del("__name__")
		if tied == "" {
			b.Set("exported_metric", s.labels.Get("metric")).Set("metric", name)
		}
		out[b.Labels().String()] = fmt.Sprint(s.value)
	}
	return out
}

// requireConstant holds a refusal to its word: the condition is true for none of the series, or for all.
func requireConstant(t *testing.T, all []one, cond condition, metric string, err error) {
	if strings.Contains(err.Error(), "more than 64 alternatives") || strings.Contains(err.Error(), "bytes") {
		return
	}
	want := isTrue
	if strings.Contains(err.Error(), "never be true") {
		want = isFalse
	} else {
		require.ErrorContains(t, err, "always true", cond.text)
	}
	for _, s := range all {
		if metric == "" || s.labels.Get("__name__") == metric {
			require.Equal(t, want == isTrue, cond.eval(s) == isTrue, "%s\n%v\n%v", cond.text, s, err)
		}
	}
}

// run evaluates p and returns what alerts would be made of: labels without name, and values.
func run(t testing.TB, engine *promql.Engine, q storage.Queryable, p *plan.Plan) map[string]string {
	query, err := engine.NewInstantQuery(context.Background(), q, nil, p.String(), time.UnixMilli(1000))
	require.NoError(t, err)
	defer query.Close()
	res := query.Exec(context.Background())
	require.NoError(t, res.Err, p.String())
	out := map[string]string{}
	vector, err := res.Vector()
	require.NoError(t, err)
	for _, s := range vector {
		key := labels.NewBuilder(s.Metric).Del("__name__").Labels().String()
		require.NotContains(t, out, key, "two results would be one alert: %s", p)
		out[key] = fmt.Sprint(s.F)
	}
	return out
}

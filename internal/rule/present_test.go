package rule

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"
)

// seedOf is the present time, or TOCSIN_TEST_SEED to see a failure again.
func seedOf(t testing.TB) uint64 {
	seed := uint64(time.Now().UnixNano())
	if again := os.Getenv("TOCSIN_TEST_SEED"); again != "" {
		var err error
		seed, err = strconv.ParseUint(again, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("seed %d: run again with TOCSIN_TEST_SEED=%d", seed, seed)
	return seed
}

// grid is the series that the tests of this file and of threshold tables look at, and which of them there are.
func grid(r *rand.Rand) []labels.Labels {
	var out []labels.Labels
	for _, name := range []string{"x", "y", "limit"} {
		for _, zone := range []string{"a", "b", ""} {
			for _, env := range []string{"prod-1", "prod-2", "dev"} {
				for _, le := range []string{"1", "+Inf"} {
					if r.IntN(3) == 0 || name == "limit" && (env != "dev" || le == "1") {
						continue
					}
					dc := ""
					if name == "limit" && zone != "a" {
						dc = "a"
					}
					out = append(out, labels.FromMap(map[string]string{"__name__": name, "zone": zone, "env": env, "le": le, "dc": dc}).WithoutEmpty())
				}
			}
		}
	}
	return out
}

// filled stores a few samples of each series.
func filled(t testing.TB, r *rand.Rand, series []labels.Labels) storage.Storage {
	st := teststorage.New(t)
	app := st.Appender(context.Background())
	for _, ls := range series {
		for at := int64(0); at <= 1000; at += 250 {
			_, err := app.Append(0, ls, at, [...]float64{0, 1, 2, 3, 5, -1, 100, math.NaN(), math.Inf(1), math.Inf(-1), 5, 3}[r.IntN(12)])
			require.NoError(t, err)
		}
	}
	require.NoError(t, app.Commit())
	return st
}

// comparing are expressions of every form. Those marked as told compare at the top, where values are to be what is
// compared.
var comparing = []struct {
	expr string
	told bool
}{
	{"x > 2", true}, {"2 < x", true}, {"x", true}, {"(x > 1) < 5", true}, {"x != 5", true}, {"x * 2 + 1 >= 5", true}, {"-x < 2", true},
	{"x > y", true}, {"x == y", true}, {"x > on (zone, env, le) y", true}, {"x > ignoring () y", true},
	{"x > on (zone) group_left () limit", true}, {"x * on (zone) group_left () limit > 2", true},
	{"limit < on (zone) group_right () x", true}, {"x > ignoring (le, env) group_left () limit", true},
	{"sum by (zone) (x) > 2", true}, {"sum by (zone) (x > 2)", false}, {"count by (zone) (x > 2) > 1", false}, {"avg without (le) (x) > 1", true},
	{"topk by (zone) (1, x) > 2", false}, {"topk(2, x)", false}, {"bottomk by (zone) (1, x > 0)", false}, {"quantile by (zone) (0.5, x) > 1", true},
	{"stddev by (env) (x > 1) > 0", false}, {"group by (env) (x == 5)", false},
	{"x and y", true}, {"x > 2 and y > 2", true}, {"x > 2 unless y > 2", true}, {"x > 5 or y > 5", false}, {"(x > 2 or y) > 2", false},
	{"x > 2 and on (zone) (limit > 1)", true}, {"x unless on (zone) (limit > 1)", true},
	{"x / y > 1", true}, {"(x > 1) / (y > 1)", false}, {"(x > 1) / on (zone, env, le) (y > 1)", false}, {"(x > 1) / ignoring () (y > 1) > 2", false},
	{"sum by (zone) (x > 1) / on (zone) sum by (zone) (y > 1)", false},
	{"(x > 1) * on (zone) group_left () (limit > 1)", false}, {"(x > 1) + ignoring (le, env) group_left () (limit > 0)", false},
	{"rate(x[1s]) > 0.5", true}, {"abs(x > 1) > 2", false}, {"clamp_max(x, 3) >= 3", true}, {"-(x > 1) < -2", false},
	{"x > bool 2", true}, {"(x > bool 2) == 1", true}, {"max_over_time((x > 2)[1s:250ms]) > 3", false}, {"max_over_time(x[1s:250ms]) > 3", true},
	{"absent(x)", false}, {`absent(limit{zone="a$1"}) > 0`, false}, {"absent_over_time(nothing[1s])", false},
	{`label_replace(x > 2, "dc", "$1", "zone", "(.*)")`, true}, {`label_join(x > 2, "dc", "-", "zone", "env")`, true},
	{"histogram_quantile(0.5, x) > 1", true}, {"sort(x > 1)", false}, {"sort_desc(x) > 1", true},
	{"vector(1) > 2", true}, {"time() - timestamp(x) > 0", true}, {"x > scalar(limit)", true}, {`count_values("v", x) > 1`, true},
	{"x offset 250ms > 1", true}, {`{__name__="x",env=~"prod.*"} > 1`, true},
}

// TestPresence: of the same series with other values, Present returns all that the rule's expression might, and the
// values that it compares.
func TestPresence(t *testing.T) {
	seed := seedOf(t)
	c := compiler()
	returned, known := 0, 0
	for n := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, n))
		series := grid(r)
		before, now := filled(t, r, series), filled(t, r, series)
		engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: c.Parser()})
		for _, e := range comparing {
			p, err := c.Compile(e.expr)
			require.NoError(t, err, e.expr)
			present, err := Present(p, c)
			require.NoError(t, err, e.expr)
			fired := run(t, engine, before, p)
			fires, there := run(t, engine, now, p), run(t, engine, now, present)
			for ls := range fired {
				if e.expr != `count_values("v", x) > 1` { // Values are labels there.
					require.Contains(t, there, ls, "%s fired, and its series are there: %s", e.expr, present)
				}
				returned++
			}
			for ls, v := range fires {
				if e.told {
					require.Equal(t, v, there[ls], "%s\n%s\n%s", e.expr, present, ls)
					known++
				} else {
					require.Contains(t, there, ls, e.expr)
				}
			}
		}
		require.NoError(t, engine.Close())
	}
	require.Greater(t, returned, 2000)
	require.Greater(t, known, 1000)
}

// TestPresenceEnds: without series, nothing is there but what is about their absence.
func TestPresenceEnds(t *testing.T) {
	c := compiler()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: c.Parser()})
	defer engine.Close()
	st := teststorage.New(t)
	for _, e := range comparing {
		p, err := c.Compile(e.expr)
		require.NoError(t, err)
		present, err := Present(p, c)
		require.NoError(t, err)
		want := 0
		switch e.expr {
		case "absent(x)", `absent(limit{zone="a$1"}) > 0`, "absent_over_time(nothing[1s])", "vector(1) > 2":
			want = 1
		}
		require.Len(t, run(t, engine, st, present), want, "%s: %s", e.expr, present)
	}
}

func TestPresenceIsReadable(t *testing.T) {
	c := compiler()
	for expr, want := range map[string]string{
		"x > 2":                                 "x",
		"100 * x / y > 2 and on () z == 1":      "(100 * x) / y",
		"count by (job) (up == 0) > 2":          "(count by (job) (up == 0)) or (count by (job) (up)) * NaN",
		"last_over_time(x[1h]) unless x":        "last_over_time(x[1h])",
		`x{a="b"} > on (zone) group_left y`:     `((x{a="b"} > on (zone) group_left () y) or (x{a="b"} <= on (zone) group_left () y)) or (x{a="b"} and on (zone) y) * NaN`,
		`absent(x{a="b$1"})`:                    `absent(x{a="b$1"}) or (label_replace(vector(1), "a", "b$$1", "", "")) * NaN`,
		"max_over_time((x > 2)[5m:] offset 5m)": "(max_over_time((x > 2)[5m:] offset 5m)) or (max_over_time((x)[5m:] offset 5m)) * NaN",
	} {
		p, err := c.Compile(expr)
		require.NoError(t, err)
		got, err := Present(p, c)
		require.NoError(t, err)
		wanted, err := c.Compile(want)
		require.NoError(t, err)
		require.Equal(t, wanted.Root().Key, got.Root().Key, "%s\n%s", got, wanted)
	}
	p, err := c.Compile("x @ 5 > 2")
	require.NoError(t, err)
	_, err = Present(p, c)
	require.ErrorIs(t, err, errOpaque)
	require.ErrorContains(t, err, "it runs on Prometheus's own engine because of the @ modifier")
}

// TestPresenceOfRealRules: it can be told for every rule of the corpus that can be taken apart.
func TestPresenceOfRealRules(t *testing.T) {
	n := 0
	for _, path := range ruleCorpus(t) {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		f, errs := Parse(path, content, compiler())
		require.Empty(t, errs)
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				if r.Kind == Alerting {
					_, err := Present(r.Plan, compiler())
					require.NoError(t, err, fmt.Sprint(path, " ", r.Plan))
					n++
				}
			}
		}
	}
	require.Greater(t, n, 1000)
}

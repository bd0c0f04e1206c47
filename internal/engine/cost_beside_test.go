package engine

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// A tick at which nothing becomes of firing alerts allocates nothing and writes nothing to the ledger, whatever is
// evaluated beside the rule's expression.
func TestSteadyTicksBesideTheExpressionAllocateNothing(t *testing.T) {
	compiler := plan.NewCompiler(plan.Options{})
	compile := func(expr string) *plan.Plan {
		p, err := compiler.Compile(expr)
		require.NoError(t, err)
		return p
	}
	for name, tc := range map[string]struct {
		change func(*rule.Rule)
		gone   []string // the expressions that return nothing after a while
	}{
		"plain":                {func(*rule.Rule) {}, nil},
		"flap":                 {func(r *rule.Rule) { r.Flap = rule.Flap{Transitions: 3, Within: time.Minute} }, nil},
		"clear":                {func(r *rule.Rule) { r.Clear = compile("up < 0") }, nil},
		"held by clear":        {func(r *rule.Rule) { r.Clear = compile("up < 0") }, []string{"up > 0"}},
		"present":              {func(r *rule.Rule) { r.Present, r.OnMissing = compile("up"), alert.MissingHolds }, nil},
		"held though missing":  {func(r *rule.Rule) { r.Present, r.OnMissing = compile("up"), alert.MissingHolds }, []string{"up > 0", "up"}},
		"nodata while missing": {func(r *rule.Rule) { r.Present, r.OnMissing = compile("up"), alert.MissingIsNoData }, []string{"up > 0", "up"}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := ledger.Open(ledger.Options{Dir: t.TempDir()})
			require.NoError(t, err)
			defer func() { require.NoError(t, l.Close()) }()
			r := &rule.Rule{Kind: rule.Alerting, Name: "A", Plan: compile("up > 0"), Labels: labels.FromStrings("severity", "page")}
			tc.change(r)
			result, gone := steadyVector(50), map[string]bool{"up < 0": true}
			g := NewGroup(Options{
				Registerer: prometheus.NewRegistry(), Appendable: &nowhere{}, Ledger: l, Compiler: compiler,
				Eval: func(_ context.Context, p *plan.Plan, _ time.Time, buf promql.Vector) (promql.Vector, error) {
					if gone[p.String()] {
						return buf, nil
					}
					return append(buf, result...), nil
				},
			}, Config{}, &rule.Group{Name: "g", File: "f", Rules: []*rule.Rule{r}})
			ctx, at := g.context(context.Background()), time.Unix(1_700_000_000, 0)
			tick := func() {
				at = at.Add(time.Second)
				g.eval(ctx, at, nil)
			}
			for range 20 {
				tick()
			}
			for _, expr := range tc.gone {
				gone[expr] = true
			}
			for range 600 {
				tick()
			}
			before, err := l.Instances()
			require.NoError(t, err)
			require.InDelta(t, 0, testing.AllocsPerRun(300, tick), 1)
			after, err := l.Instances()
			require.NoError(t, err)
			require.ElementsMatch(t, before, after)
			require.Len(t, after, 50)
			require.Empty(t, g.rules[0].lastError)
			require.Equal(t, 50, g.rules[0].alerts.Len())
		})
	}
}

package plan

import (
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/require"
)

// TestCompileTakesWhatUpstreamTakes runs every expression of upstream's own suites through the compiler: nothing that
// the parser takes is refused, and the printed form parses to itself.
func TestCompileTakesWhatUpstreamTakes(t *testing.T) {
	exprs, err := promqltest.GetBuiltInExprs()
	require.NoError(t, err)
	c := NewCompiler(Options{ExperimentalFunctions: true})
	compiled := 0
	for _, text := range exprs {
		_, parseErr := c.Parser().ParseExpr(text)
		p, err := c.Compile(text)
		require.Equal(t, parseErr == nil, err == nil, text)
		if err != nil {
			continue
		}
		compiled++
		again, err := c.Compile(p.String())
		require.NoError(t, err, text)
		require.Equal(t, p.String(), again.String())
	}
	require.Greater(t, compiled, 500)
}

func TestPlanSpeaksForItself(t *testing.T) {
	for _, tc := range []struct {
		text, resultType   string
		evaluable, filters bool
	}{
		{`up`, "vector", true, false},
		{`up == 0`, "vector", true, true},
		{`up == bool 0`, "vector", true, false},
		{`sum by (job) (rate(x[5m]) > 3)`, "vector", true, true},
		{`a and b`, "vector", true, true},
		{`a unless b`, "vector", true, true},
		{`absent(up)`, "vector", true, true},
		{`absent_over_time(up[5m])`, "vector", true, true},
		{`topk(3, up)`, "vector", true, true},
		{`time()`, "scalar", true, false},
		{`up[5m]`, "matrix", false, false},
		{`"words"`, "string", false, false},
	} {
		t.Run(tc.text, func(t *testing.T) {
			p, err := NewCompiler(Options{}).Compile(tc.text)
			require.NoError(t, err)
			require.Equal(t, tc.resultType, p.ResultType())
			require.Equal(t, tc.evaluable, p.Evaluable())
			require.Equal(t, tc.filters, p.Filters())
			tier, why := p.Tier()
			if !tc.evaluable {
				require.Equal(t, Tier0, tier)
				require.NotEmpty(t, why)
				require.Nil(t, p.Root())
				return
			}
			require.Equal(t, Tier1, tier, why)
			require.Empty(t, why)
			require.Equal(t, tc.resultType == "scalar", p.Root().Scalar)
		})
	}
}

func TestErrorOffset(t *testing.T) {
	c := NewCompiler(Options{})
	for text, want := range map[string]int{`rate(hi)`: 5, "sum(\n  up ==\n)": 13, `1 + `: 4, `foo{`: 4} {
		_, err := c.Compile(text)
		require.Error(t, err)
		got, ok := ErrorOffset(fmt.Errorf("could not parse expression: %w", err))
		require.True(t, ok, text)
		require.Equal(t, want, got, "%q: %v", text, err)
	}
	_, ok := ErrorOffset(errors.New("another"))
	require.False(t, ok)
}

// TestExperimentalFunctionsAreAnOption holds the zero value to what Prometheus accepts without feature flags.
func TestExperimentalFunctionsAreAnOption(t *testing.T) {
	_, err := NewCompiler(Options{}).Compile(`sort_by_label(up, "job")`)
	require.ErrorContains(t, err, "not enabled")
	_, err = NewCompiler(Options{ExperimentalFunctions: true}).Compile(`sort_by_label(up, "job")`)
	require.NoError(t, err)
}

package bench

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEvalIsWholeAndCorrect runs every class and a rule file at a tiny size, through all tiers.
func TestEvalIsWholeAndCorrect(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(file, []byte(`
groups:
- name: g
  rules:
  - record: job:up:sum
    expr: sum by (job) (up)
  - alert: Slow
    expr: histogram_quantile(0.99, sum by (le) (rate(lat_seconds_bucket[5m]))) > 0.1
`), 0o600))
	o := EvalOptions{Quick: true, Series: []int{100}, Rules: 12, Ticks: 1, Files: []string{file}, Dir: t.TempDir()}
	r, err := RunEval(t.Context(), o)
	require.NoError(t, err)
	tiers := 1 + len(upperTiers(nil))
	require.Len(t, r.Results, tiers*len(Classes()))
	require.Len(t, r.Files, tiers)
	for _, x := range append(r.Results, r.Files[0].EvalResult, r.Files[1].EvalResult) {
		require.Positive(t, x.NSPerRuleSeries, x.Class)
		require.Equal(t, 1, x.Ticks, x.Class)
		if x.Tier == 0 {
			require.Equal(t, 1.0, x.RatioToUpstream)
			continue
		}
		require.Positive(t, x.RatioToUpstream)
		require.Zero(t, x.Bailed, "%s was left to tier 0", x.Class)
		require.Positive(t, x.Compared)
	}
	left, err := os.ReadDir(o.Dir)
	require.NoError(t, err)
	require.Empty(t, left, "the samples' directories are removed")
}

func TestEvalOptionsAreChecked(t *testing.T) {
	for _, o := range []EvalOptions{{Series: []int{1}}, {Rules: -1}, {Ticks: -1}} {
		_, err := RunEval(t.Context(), o)
		require.Error(t, err)
	}
	_, err := RunEval(t.Context(), EvalOptions{Series: []int{10}, Rules: 1, Ticks: 1, Quick: true, Files: []string{"nowhere.yml"}, Dir: t.TempDir()})
	require.ErrorContains(t, err, "nowhere.yml")
}

// TestExtras measures churn and arrivals at a tiny size.
func TestExtras(t *testing.T) {
	e := &evaluation{EvalOptions: EvalOptions{Rules: 10, Dir: t.TempDir()}.WithDefaults(), compiler: newCompiler(), report: &EvalReport{}}
	for _, c := range Classes() {
		if c.unshared {
			continue
		}
		d := newDataset(c.shape(), 300, 1)
		w, err := newWorld(e.Dir, d, backlog+churnTicks)
		require.NoError(t, err)
		for range backlog {
			require.NoError(t, w.advance(t.Context()))
		}
		require.NoError(t, e.extras(t.Context(), w, d, &c), c.Name)
		require.NoError(t, w.close())
	}
	require.Len(t, e.report.Churn, 5*len(upperTiers(nil)))
	require.Len(t, e.report.Arrivals, 15*len(upperTiers(nil)))
	for _, a := range e.report.Arrivals {
		require.Positive(t, a.Touched, "%+v", a)
	}
}

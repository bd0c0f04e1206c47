package bench

import (
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
)

func TestDatasetIsDeterministicAndItsSeriesDiffer(t *testing.T) {
	for _, c := range Classes() {
		a, b := newDataset(c.shape(), 200, 7), newDataset(c.shape(), 200, 7)
		seen := map[string]bool{}
		for range 3 {
			a.advance()
			b.advance()
			for i := range 200 {
				require.Equal(t, a.value(i), b.value(i))
			}
		}
		for i := range 200 {
			seen[a.labels(i).String()] = true
			require.Equal(t, a.labels(i), b.labels(i))
			require.GreaterOrEqual(t, a.offset(i), int64(earliest))
			require.Less(t, a.offset(i), int64(interval))
		}
		require.Len(t, seen, 200, c.Name)
	}
}

// TestBucketsAreCumulative: no bucket has less than the one below, or grows less.
func TestBucketsAreCumulative(t *testing.T) {
	d := newDataset(histogramShape(), 100, 3)
	for range 50 {
		d.advance()
		for i := range 100 {
			before := d.cur[i]
			v := d.value(i)
			if i%10 > 0 {
				require.GreaterOrEqual(t, v, d.cur[i-1])
			}
			require.True(t, v >= before || d.restarts(i/10))
		}
	}
}

func TestReplacedHostsAreNew(t *testing.T) {
	d := newDataset(counterShape(), 30, 1)
	d.advance()
	for i := range 30 {
		d.value(i)
	}
	old := d.labels(10)
	d.replace(1)
	require.NotEqual(t, old, d.labels(10))
	require.Equal(t, "host-000001-1:9100", d.labels(10).Get("instance"))
	require.Zero(t, d.cur[10])
	require.Equal(t, "host-000002:9100", d.labels(20).Get("instance"))
}

// TestSelectedCountsWhatSelectorsSelect compares the arithmetic with the rules' own matchers.
func TestSelectedCountsWhatSelectorsSelect(t *testing.T) {
	const series, rules = 730, 23
	for _, c := range Classes() {
		d := newDataset(c.shape(), series, 1)
		want := 0
		for _, text := range c.rules(rules) {
			p, err := plan.NewCompiler(plan.Options{}).Compile(text)
			require.NoError(t, err, text)
			for _, matchers := range p.Selectors() {
				for i := range series {
					if matches(matchers, d.labels(i)) {
						want++
					}
				}
			}
		}
		require.Equal(t, want, c.selected(d, all(rules)), c.Name)
	}
}

// TestRulesDiffer: a class has no rule twice, and one without sharing has no range selector or many side twice.
func TestRulesDiffer(t *testing.T) {
	for _, c := range Classes() {
		n := c.rulesFor(1000, 1000)
		seen := map[string]bool{}
		for _, r := range c.rules(n) {
			require.False(t, seen[r], r)
			seen[r] = true
		}
	}
	require.Equal(t, 10, (&Class{unshared: true}).rulesFor(1000, 1_000_000))
	require.Equal(t, 1000, (&Class{}).rulesFor(1000, 1_000_000))
}

func TestSampleSpreadsOverSelectors(t *testing.T) {
	seen := map[int]bool{}
	for _, i := range sample(10, 1000) {
		seen[i%selectors] = true
	}
	require.Len(t, seen, 10)
	require.Equal(t, []int{0, 1, 2}, all(3))
	require.Len(t, sample(5, 3), 3)
}

func TestSeriesAreMadeUpForRealSelectors(t *testing.T) {
	p, err := plan.NewCompiler(plan.Options{}).Compile(`
		sum by (namespace) (rate(http_requests_total{job="api",code=~"5..|429",handler!="/x"}[5m]))
		/ on (namespace) group_left () kube_pod_info{node=~".+",pod!~"debug-.*"}
		> histogram_quantile(0.9, lat_bucket{le!="0.5"}) or {__name__=~"a|b"}`)
	require.NoError(t, err)
	src := newFileSource([]*plan.Plan{p}, 1)
	for _, name := range []string{"http_requests_total", "kube_pod_info", "lat_bucket", "a", "b"} {
		require.NotEmpty(t, src.byName[name], name)
	}
	require.Equal(t, "500", src.labels(src.byName["http_requests_total"][0]).Get("code"))
	for i, ls := range src.sets {
		require.Equal(t, ls, src.labels(i))
		require.True(t, ls.Has(model.MetricNameLabel))
	}
	require.Equal(t, src.series, src.selected([]*plan.Plan{p}))
}

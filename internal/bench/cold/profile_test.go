package cold

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
)

func TestManyRulesAreTheMixThatIsSaid(t *testing.T) {
	p := Profile{Name: Many, Rules: 10_000, Series: 100_000}
	rules := p.rules()
	require.Len(t, rules, 10_000)
	kinds, texts, byMetric := map[string]int{}, map[string]bool{}, map[string]int{}
	for i, text := range rules {
		require.False(t, texts[text], "%s is there twice", text)
		texts[text] = true
		switch {
		case strings.HasPrefix(text, "(1 - "):
			kinds["ratio"]++
		case strings.Contains(text, " and "):
			kinds["band"]++
		case strings.ContainsAny(text, "("):
			kinds["own"]++
		default:
			kinds["threshold"]++
		}
		byMetric[metricName(i%1000)]++
	}
	require.Equal(t, map[string]int{"threshold": 4_000, "ratio": 3_000, "band": 1_000, "own": 2_000}, kinds)
	require.Len(t, byMetric, 1_000)
}

func TestOperationsOfTheirOwnDiffer(t *testing.T) {
	shapes := map[string]bool{}
	for i := range 8 * 8 * 8 {
		text := ownRule("m", i)
		shape := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r == '.' || r == 'e' {
				return -1
			}
			return r
		}, text)
		require.False(t, shapes[shape], "%s", text)
		shapes[shape] = true
	}
	plans, err := compile([]string{ownRule("m", 0), ownRule("m", 32_767), ownRule("m", 12_345)})
	require.NoError(t, err)
	for _, p := range plans {
		tier, why := p.Tier()
		require.Equal(t, plan.Tier1, tier, why)
	}
}

func TestProfilesOfOptions(t *testing.T) {
	p, err := Options{}.profiles()
	require.NoError(t, err)
	require.Equal(t, []Profile{
		{Name: Simple, Rules: 3, Series: 100, Batches: 1_000}, {Name: Many, Rules: 10_000, Series: 100_000, Batches: 100},
	}, p)
	require.Equal(t, "10,000 rules over 100,000 series", p[1].Title())
	p, err = Options{Quick: true, Series: 500, Batches: 7}.profiles()
	require.NoError(t, err)
	require.Equal(t, []Profile{
		{Name: Simple, Rules: 3, Series: 100, Batches: 7}, {Name: Many, Rules: 1_000, Series: 500, Batches: 7},
	}, p)
	for _, o := range []Options{{Series: 9}, {Series: -1}, {Series: 3e6}, {Batches: -1}, {Batches: 10_001}, {Rounds: -1}} {
		require.Error(t, o.Validate(), "%+v", o)
		_, err := Run(t.Context(), o)
		require.Error(t, err, "%+v", o)
	}
}

func TestRuleFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	plans, err := readRules(write("simple.json", `{"rules": [{"id": "hot", "metric": "cpu", "condition": "greater_than", "threshold": 80}]}`))
	require.NoError(t, err)
	require.Len(t, plans, 1)
	for path, want := range map[string]string{
		filepath.Join(dir, "missing"):                                                  "no such file",
		write("empty.yml", "groups: []\n"):                                             "has no rules",
		write("bad.yml", "groups: [{name: g, rules: [{record: r, expr: 'up =='}]}]\n"): "bad.yml:1",
	} {
		_, err := readRules(path)
		require.ErrorContains(t, err, want)
		_, err = Run(t.Context(), Options{Rules: path})
		require.ErrorContains(t, err, want)
	}
}

func TestMadeUpSeriesAreSelected(t *testing.T) {
	plans, err := compile([]string{
		`rate(http_requests_total{code=~"5..", job="api"}[5m]) > 1`,
		`histogram_quantile(0.9, rate(http_seconds_bucket{pod!=""}[5m])) > 1`,
		`node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"} < 5`,
		`node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"} < 7`,
		`{__name__=~"foo_.*", x="y"} > 1`,
		`vector(1)`,
	})
	require.NoError(t, err)
	d := Profile{Name: File, Series: 400}.data(plans, 1)
	require.Greater(t, d.count(), 300)
	require.LessOrEqual(t, d.count(), 400)
	seen := map[string]bool{}
	for _, ls := range d.sets {
		require.False(t, seen[ls.String()], "%s is there twice", ls)
		seen[ls.String()] = true
	}
	for _, p := range plans {
		for _, matchers := range p.Selectors() {
			n := 0
			for _, ls := range d.sets {
				if selected(matchers, ls) {
					n++
				}
			}
			require.GreaterOrEqual(t, n, 80, "%v", matchers)
		}
	}
}

func selected(matchers []*labels.Matcher, ls labels.Labels) bool {
	for _, m := range matchers {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

func TestSamplesAreTheSameForTheSameSeed(t *testing.T) {
	values := func(seed uint64) (out []float64) {
		d := Profile{Name: Simple, Series: 10}.data(nil, seed)
		for range 3 {
			d.step++
			for i := range d.count() {
				out = append(out, d.value(i))
			}
		}
		return out
	}
	require.Equal(t, values(1), values(1))
	require.NotEqual(t, values(1), values(2))
	for _, v := range values(1) {
		require.GreaterOrEqual(t, v, 0.0)
		require.LessOrEqual(t, v, 100.0)
	}
}

func TestCountersGrow(t *testing.T) {
	d := &data{seed: 1}
	d.add(labels.FromStrings(model.MetricNameLabel, "x_total"), 100)
	last := 0.0
	for range 100 {
		d.step++
		v := d.value(0)
		require.Greater(t, v, last)
		last = v
	}
}

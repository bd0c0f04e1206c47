package web

import (
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/scrape"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/notify"
	"github.com/tocsin/tocsin/internal/rule"
)

// wellFormed fails where an element of the page is left open or closed twice.
func wellFormed(t *testing.T, page string) {
	t.Helper()
	var open []string
	void := " meta link input br "
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			require.ErrorIs(t, z.Err(), io.EOF)
			require.Empty(t, open)
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); !strings.Contains(void, " "+string(name)+" ") {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			require.NotEmpty(t, open, string(name))
			require.Equal(t, open[len(open)-1], string(name))
			open = open[:len(open)-1]
		}
	}
}

func TestStatusPageOfNothing(t *testing.T) {
	s := newServer(t, nil)
	code, page := get(t, s, "/")
	require.Equal(t, http.StatusOK, code)
	wellFormed(t, page)
	for _, want := range []string{"No rules are loaded.", "Nothing is firing or pending.", "Nothing is scraped.", "just now", "<title>all quiet"} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "Needs a hand")
}

func TestStatusPageOfEverything(t *testing.T) {
	now := fixtureNow()
	s := newServer(t, func(o *Options, m *Tenant) {
		manager := scrapeManager(t, m.History.DB(), map[string][]string{"node": {"127.0.0.1:1"}})
		m.Scrape = func() *scrape.Manager { return manager }
		m.Groups = func() []engine.GroupStatus { return busyGroups(t, now) }
		m.RuleFiles = func() []rule.FileStatus {
			return []rule.FileStatus{{Path: "api.yml", Hash: "77aa01234567", Errors: []string{"api.yml:14: no such field"}}}
		}
		m.Ingested = func() []Ingested { return []Ingested{{"remote_write", 12}} }
		log := &DeliveryLog{}
		m.Deliveries = log.Recent
		log.Observe(notify.Delivery{Receiver: "first", StartedAt: now, EndedAt: now})
		log.Observe(notify.Delivery{Receiver: "second", Err: errors.New("connection refused"), Retry: true, StartedAt: now, EndedAt: now})
		o.ConfigState = func() ConfigState {
			return ConfigState{Error: "p.yml:3:1: no", Time: now, Warnings: []string{"tracing is not supported"}}
		}
	})
	require.Eventually(t, func() bool {
		_, page := get(t, s, "/")
		return strings.Contains(page, "connection refused</p>")
	}, 20*time.Second, 20*time.Millisecond, "the target that nobody serves is shown as down, with the reason")
	_, page := get(t, s, "/")
	wellFormed(t, page)
	for _, want := range []string{
		"3 alerts are firing", "1 pending", "<title>(3) firing", "assets/firing.svg", "FilesystemFillsUp", "-18\u202f253\u202f611\u202f008",
		"held", "1 failing", "found duplicate series", "written as", "Needs a hand", "p.yml:3:1: no", "api.yml:14: no such field", "77aa012345",
		"tracing is not supported", "remote_write", "tries again", "https://runbooks.example.com/InstanceDown",
	} {
		require.Contains(t, page, want)
	}
	require.NotContains(t, page, "gone:9100", "resolved")
	require.Less(t, strings.Index(page, "second"), strings.Index(page, "first"), "the newest delivery comes first")
}

func TestStatusPageIsBounded(t *testing.T) {
	s := newServer(t, func(_ *Options, m *Tenant) {
		m.Groups = func() []engine.GroupStatus { return manyGroups(t, fixtureNow(), maxAlertRows+1234) }
	})
	_, page := get(t, s, "/")
	require.Equal(t, maxAlertRows, strings.Count(page, `<tr class="firing">`))
	require.Contains(t, page, "1234 more alerts are not shown")
	require.Contains(t, page, "1734 alerts are firing")
}

func TestRefresh(t *testing.T) {
	s := newServer(t, nil)
	for query, want := range map[string]string{"": `"refresh" content="15"`, "?refresh=5": `"refresh" content="5"`, "?refresh=1": `"refresh" content="2"`,
		"?refresh=99999": `"refresh" content="3600"`, "?refresh=0": "", "?refresh=-3": "", "?refresh=%22x": `"refresh" content="15"`} {
		_, page := get(t, s, "/"+query)
		if want == "" {
			require.NotContains(t, page, "http-equiv")
			continue
		}
		require.Contains(t, page, want, query)
	}
}

// TestNothingForeignRuns puts markup into everything that others write: labels, annotations, errors, file names.
func TestNothingForeignRuns(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	now := fixtureNow()
	s := newServer(t, func(o *Options, m *Tenant) {
		m.Groups = func() []engine.GroupStatus {
			r := newRule(t, rule.Alerting, evil, `up{instance=~"<script>.*"} == 0`, labels.FromStrings("l", evil), labels.FromStrings(
				"summary", evil, "description", evil, "a_link", "javascript:alert(1)", "b_link", "https://x.example/\"onmouseover=\"alert(1)", "c_link", "data:text/html,<script>"))
			r.Condition = evil
			st := evaluated(r, now, firing(r, alert.Firing, 1, now, "instance", evil))
			st.Health, st.LastError = engine.HealthBad, evil
			return []engine.GroupStatus{{Name: evil, File: evil, Rules: []engine.RuleStatus{st}}}
		}
		m.RuleFiles = func() []rule.FileStatus { return []rule.FileStatus{{Path: evil, Hash: evil, Errors: []string{evil}}} }
		m.Ingested = func() []Ingested { return []Ingested{{evil, 1}} }
		m.Deliveries = func() []notify.Delivery {
			return []notify.Delivery{{Receiver: evil, Integration: evil, Err: errors.New(evil), GroupLabels: labels.FromStrings("g", evil)}}
		}
		o.ConfigState = func() ConfigState { return ConfigState{File: evil, Error: evil, Warnings: []string{evil}, Time: now} }
		o.Build.Version = evil
	})
	for _, path := range []string{"/", "/graph?g0.expr=" + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "/graph?g0.expr=up&g0.range_input=%3Cscript%3E&g0.end_input=%22%3E%3Cscript%3E"} {
		r := ask(t, s, http.MethodGet, path, "")
		policy := r.Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'")
		require.NotContains(t, policy, "unsafe")
		require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "DENY", r.Header.Get("X-Frame-Options"))
		_, page := read(t, r)
		wellFormed(t, page)
		noScripts(t, page)
	}
}

// noScripts parses the page as a browser would and fails on anything that runs or leads to something that does.
func noScripts(t *testing.T, page string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	require.NoError(t, err)
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		require.NotContains(t, []string{"script", "img", "iframe", "object", "embed", "style", "base"}, n.Data)
		for _, a := range n.Attr {
			require.False(t, strings.HasPrefix(strings.ToLower(a.Key), "on"), "%s %s=%q", n.Data, a.Key, a.Val)
			require.NotEqual(t, "style", a.Key, "inline styles are not in the policy")
			if a.Key == "href" || a.Key == "src" || a.Key == "action" {
				require.NotRegexp(t, `(?i)^\s*(javascript|data|vbscript):`, a.Val)
			}
		}
	}
}

func TestGraphPage(t *testing.T) {
	s := newServer(t, nil)
	for _, c := range []struct {
		query     string
		want, not []string
	}{
		{"", []string{"Write an expression", "autofocus"}, []string{"<svg viewBox=\"0 0 1000"}},
		{"g0.expr=node_load1&g0.tab=1", []string{"vector", "3 series from 2026-03-14 08:26 to 09:26 UTC", `class="line c2"`, `class="swatch c0"`, ">09:00<"}, []string{"role=\"alert\""}},
		{"g0.expr=node_load1&g0.range_input=15m&g0.end_input=2026-03-14+09:00:00", []string{"08:45 to 09:00"}, nil},
		{"g0.expr=node_load1&g0.moment_input=1773478800", []string{"to 09:00 UTC"}, nil},
		{"g0.expr=1%2B1", []string{"scalar", `class="num value">2<`}, nil},
		{"g0.expr=%22text%22", []string{"string", `value">text<`}, []string{"<figure"}},
		{"g0.expr=up[1m]", []string{"matrix", "1 @ 2026-03-14T09:26:53Z"}, []string{"<figure"}},
		{"g0.expr=sum(", []string{"parse error: unclosed left parenthesis", `role="alert"`}, []string{"<figure"}},
		{"g0.expr=nothing", []string{"Nothing at this time"}, []string{"<figure"}},
		{"g0.expr=up+/+0", []string{"&#43;Inf"}, []string{"<figure"}},
		{"g0.expr=rate(up[5m])", []string{"metric might not be a counter"}, nil},
	} {
		code, page := get(t, s, "/graph?"+c.query)
		require.Equal(t, http.StatusOK, code, c.query)
		wellFormed(t, page)
		for _, want := range c.want {
			require.Contains(t, page, want, c.query)
		}
		for _, not := range c.not {
			require.NotContains(t, page, not, c.query)
		}
	}
}

// TestManySeriesCanBeTold: no two of the drawn lines look alike.
func TestManySeriesCanBeTold(t *testing.T) {
	now := fixtureNow()
	var m promql.Matrix
	for range maxChartLines + 1 {
		m = append(m, promql.Series{Floats: []promql.FPoint{{T: now.UnixMilli(), F: 1}}})
	}
	css, err := os.ReadFile("assets/style.css")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, line := range newChart(m, now.Add(-time.Hour), now, time.Minute).Lines {
		require.False(t, seen[line.Class], line.Class)
		seen[line.Class] = true
		for _, class := range strings.Fields(line.Class) {
			require.Contains(t, string(css), ".line."+class+" {")
			require.Contains(t, string(css), ".swatch."+class+" {")
		}
	}
	require.Len(t, seen, maxChartLines)
}

func TestPageTitle(t *testing.T) {
	s := newServer(t, func(o *Options, _ *Tenant) { o.PageTitle = `Hall <3>` })
	for _, path := range []string{"/", "/graph"} {
		_, page := get(t, s, path)
		require.Contains(t, page, " · Hall &lt;3&gt;</title>", path)
		require.Contains(t, page, "</svg>Hall &lt;3&gt;</a>", path)
	}
	_, page := get(t, newServer(t, nil), "/")
	require.Contains(t, page, " · tocsin</title>")
}

// TestPrometheusBookmarks: Prometheus's pages are sections here. The address stays relative, for path prefixes.
func TestPrometheusBookmarks(t *testing.T) {
	s := newServer(t, nil)
	_, page := get(t, s, "/")
	for _, name := range []string{"alerts", "rules", "targets"} {
		r := ask(t, s, http.MethodGet, "/"+name, "")
		require.Equal(t, http.StatusFound, r.StatusCode)
		require.Equal(t, "./#"+name, r.Header.Get("Location"))
		require.Contains(t, page, `id="`+name+`"`)
	}
}

func TestTook(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "–", -time.Second: "–", time.Nanosecond: "1 µs", 42 * time.Microsecond: "42 µs", 99 * time.Microsecond: "0.1 ms",
		412 * time.Microsecond: "0.4 ms", 12345 * time.Microsecond: "12 ms", 1260 * time.Millisecond: "1.3 s", 90 * time.Second: "1 min 30 s",
	} {
		require.Equal(t, want, took(d), "%s", d)
	}
}

func TestAssets(t *testing.T) {
	s := newServer(t, nil)
	_, page := get(t, s, "/")
	href := regexp.MustCompile(`href="(assets/style\.css\?v=[0-9a-f]+)"`).FindStringSubmatch(page)
	require.Len(t, href, 2)
	r := ask(t, s, http.MethodGet, "/"+href[1], "")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, "text/css; charset=utf-8", r.Header.Get("Content-Type"))
	require.Contains(t, r.Header.Get("Cache-Control"), "immutable")
	for _, icon := range []string{"quiet", "pending", "firing"} {
		r := ask(t, s, http.MethodGet, "/assets/"+icon+".svg", "")
		require.Equal(t, "image/svg+xml", r.Header.Get("Content-Type"))
	}
}

// TestStatesCanBeRead computes the contrast (WCAG 2.2, 1.4.3) of every text colour against the paper, light and dark.
func TestStatesCanBeRead(t *testing.T) {
	css, err := os.ReadFile("assets/style.css")
	require.NoError(t, err)
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(string(css), -1)
	require.Len(t, blocks, 2)
	for i, theme := range []string{"light", "dark"} {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--([\w-]+): (#[0-9a-f]{6})`).FindAllStringSubmatch(blocks[i][1], -1) {
			colours[m[1]] = m[2]
		}
		for _, pair := range [][2]string{
			{"ink", "paper"}, {"ink", "sheet"}, {"soft", "sheet"}, {"faint", "sheet"}, {"faint", "paper"}, {"red", "sheet"}, {"red", "paper"},
			{"red", "red-wash"}, {"ink", "red-wash"}, {"amber", "amber-wash"}, {"amber", "paper"}, {"green", "sheet"}, {"link", "paper"}, {"link", "sheet"},
			{"paper", "red"}, {"paper", "ink"},
		} {
			require.GreaterOrEqual(t, contrast(colours[pair[0]], colours[pair[1]]), 4.5, "%s: %s on %s", theme, pair[0], pair[1])
		}
	}
}

func contrast(a, b string) float64 {
	x, y := luminance(a)+0.05, luminance(b)+0.05
	return math.Max(x, y) / math.Min(x, y)
}

func luminance(hex string) float64 {
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := 0.0
		for _, c := range hex[1+2*i : 3+2*i] {
			v = v*16 + float64(strings.IndexRune("0123456789abcdef", c))
		}
		v /= 255
		if v <= 0.04045 {
			sum += weight * v / 12.92
		} else {
			sum += weight * math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return sum
}

// FuzzChart draws any two samples without a path that an SVG reader would not read.
func FuzzChart(f *testing.F) {
	f.Add(1.0, 2.0, int64(0), int64(15000))
	f.Add(math.NaN(), math.Inf(1), int64(0), int64(15000))
	f.Add(-math.MaxFloat64, math.MaxFloat64, int64(1), int64(2))
	f.Add(5e-324, 0.0, int64(3000), int64(2000))
	f.Add(1e16, 1e16+2, int64(0), int64(3600000))
	path := regexp.MustCompile(`^([ML]-?\d+\.\d -?\d+\.\d|h0\.1)*$`)
	f.Fuzz(func(t *testing.T, a, b float64, first, second int64) {
		end := fixtureNow()
		start := end.Add(-time.Hour)
		at := func(offset int64) int64 { return start.UnixMilli() + ((offset%3600000)+3600000)%3600000 }
		c := newChart(promql.Matrix{{Floats: []promql.FPoint{{T: at(first), F: a}, {T: at(second), F: b}}}}, start, end, 15*time.Second)
		if c == nil {
			return
		}
		for _, l := range c.Lines {
			require.Regexp(t, path, l.Path)
		}
		require.NotEmpty(t, c.Y)
		require.LessOrEqual(t, len(c.Y), 2*wantedTicks+1)
		for _, tick := range c.Y {
			require.False(t, math.IsNaN(tick.At) || math.IsInf(tick.At, 0), "%v", c.Y)
		}
	})
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", -1: "-1", 9999: "9999", 12345: "12\u202f345", 1234567.25: "1\u202f234\u202f567.2", 0.5: "0.5", 3.14159265: "3.14159",
		1e-9: "1e-09", 1e20: "1e+20", math.Inf(-1): "-Inf", -123456: "-123\u202f456", 0.00012: "0.00012",
	} {
		require.Equal(t, want, figure(v))
	}
	require.Equal(t, "NaN", figure(math.NaN()))
	for d, want := range map[time.Duration]string{0: "now", -time.Hour: "now", 59 * time.Second: "59 s", time.Minute: "1 min", 61 * time.Second: "1 min 1 s",
		90 * time.Minute: "1 h 30 min", 49 * time.Hour: "2 d 1 h"} {
		require.Equal(t, want, ago(d))
	}
}

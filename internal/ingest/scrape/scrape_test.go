package scrape

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	promconfig "github.com/prometheus/prometheus/config"
	_ "github.com/prometheus/prometheus/discovery/file"
	_ "github.com/prometheus/prometheus/discovery/http"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	upstream "github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/series"
)

// rig is a scraper that writes to a real history.
type rig struct {
	t       *testing.T
	store   *history.Store
	scraper *Scraper
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newRig(t *testing.T, o Options, ho history.Options) *rig {
	t.Helper()
	ho.Dir = t.TempDir()
	store, err := history.Open(ho)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	r := &rig{t: t, store: store, log: &lockedBuffer{}}
	o.Appendable, o.ReloadInterval = store, 50*time.Millisecond
	o.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	r.scraper, err = New(o)
	require.NoError(t, err)
	t.Cleanup(r.scraper.Stop)
	return r
}

// run applies a configuration and starts.
func (r *rig) run(format string, args ...any) {
	r.t.Helper()
	r.apply(format, args...)
	require.NoError(r.t, r.scraper.Start())
}

func load(t *testing.T, format string, args ...any) *promconfig.Config {
	t.Helper()
	cfg, err := promconfig.Load("global: {scrape_interval: 100ms, scrape_timeout: 100ms}\n"+fmt.Sprintf(format, args...), nil)
	require.NoError(t, err)
	return cfg
}

func (r *rig) apply(format string, args ...any) {
	r.t.Helper()
	require.NoError(r.t, r.scraper.Apply(load(r.t, format, args...)))
}

func (r *rig) query(text string) promql.Vector {
	r.t.Helper()
	p, err := plan.NewCompiler(plan.Options{}).Compile(text)
	require.NoError(r.t, err)
	vec, err := r.store.Eval(r.t.Context(), p, time.Now())
	require.NoError(r.t, err)
	return vec
}

// eventually polls until the query's result satisfies ok.
func (r *rig) eventually(text string, ok func(promql.Vector) bool) promql.Vector {
	r.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		vec := r.query(text)
		if ok(vec) {
			return vec
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s is %v; the log says:\n%s", text, vec, r.log)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// has waits until the query returns n series.
func (r *rig) has(n int, text string) promql.Vector {
	r.t.Helper()
	return r.eventually(text, func(v promql.Vector) bool { return len(v) == n })
}

// target serves a payload that can be changed.
type target struct {
	*httptest.Server
	mu          sync.Mutex
	body        []byte
	contentType string
	requests    []http.Header
}

func newTarget(t *testing.T, contentType, body string) *target {
	t.Helper()
	tg := &target{contentType: contentType, body: []byte(body)}
	tg.Server = httptest.NewServer(tg)
	t.Cleanup(tg.Close)
	return tg
}

func (tg *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	tg.requests = append(tg.requests, r.Header.Clone())
	w.Header().Set("Content-Type", tg.contentType)
	_, _ = w.Write(tg.body)
}

func (tg *target) set(body string) {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	tg.body = []byte(body)
}

func (tg *target) addr() string { return strings.TrimPrefix(tg.URL, "http://") }

const (
	textType        = "text/plain; version=0.0.4"
	openMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8"
)

func TestFormats(t *testing.T) {
	reg := prometheus.NewRegistry()
	requests := prometheus.NewCounter(prometheus.CounterOpts{Name: "requests_total", Help: "Requests."})
	requests.(prometheus.ExemplarAdder).AddWithExemplar(7, prometheus.Labels{"trace": "abc"})
	latency := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "latency_seconds", Buckets: []float64{1, 2},
		NativeHistogramBucketFactor: 1.1})
	latency.Observe(1.5)
	reg.MustRegister(requests, latency)
	var encodings, types sync.Map
	handler := promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		encodings.Store(w.Header().Get("Content-Encoding"), true)
		types.Store(strings.SplitN(w.Header().Get("Content-Type"), ";", 2)[0], true)
	}))
	t.Cleanup(srv.Close)
	r := newRig(t, Options{}, history.Options{})
	job := "- {job_name: %[2]s, scrape_protocols: [%[2]s], scrape_native_histograms: true, static_configs: [{targets: ['%[1]s']}]}\n"
	text := "scrape_configs:\n"
	for _, protocol := range []string{"PrometheusText0.0.4", "OpenMetricsText1.0.0", "PrometheusProto"} {
		text += fmt.Sprintf(job, strings.TrimPrefix(srv.URL, "http://"), protocol)
	}
	r.run("%s", text)
	r.has(3, "requests_total == 7")
	r.has(2, `latency_seconds_bucket{le="+Inf"} == 1`)
	native := r.has(1, `latency_seconds{job="PrometheusProto"}`)
	require.NotNil(t, native[0].H)
	require.EqualValues(t, 1, native[0].H.Count)
	r.has(3, "up == 1")
	for _, want := range []string{"text/plain", "application/openmetrics-text", "application/vnd.google.protobuf"} {
		_, ok := types.Load(want)
		require.True(t, ok, want)
	}
	_, gzipped := encodings.Load("gzip")
	require.True(t, gzipped)

	q, err := r.store.ExemplarQuerier(t.Context())
	require.NoError(t, err)
	now := time.Now().UnixMilli()
	found, err := q.Select(now-60_000, now+60_000, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "requests_total")})
	require.NoError(t, err)
	require.NotEmpty(t, found, "the exemplar of OpenMetrics and protobuf must be kept")
}

// last returns the newest float sample of one metric.
func (r *rig) last(name string) float64 {
	r.t.Helper()
	q, err := r.store.Querier(math.MinInt64, math.MaxInt64)
	require.NoError(r.t, err)
	defer q.Close()
	set := q.Select(r.t.Context(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", name))
	require.True(r.t, set.Next())
	it := set.At().Iterator(nil)
	var v float64
	for it.Next() == chunkenc.ValFloat {
		_, v = it.At()
	}
	require.NoError(r.t, it.Err())
	return v
}

func TestSeriesThatDisappearsGoesStale(t *testing.T) {
	tg := newTarget(t, textType, "a 1\nb 2\n")
	r := newRig(t, Options{}, history.Options{})
	r.run("scrape_configs: [{job_name: j, static_configs: [{targets: ['%s']}]}]", tg.addr())
	r.has(1, "b")
	tg.set("a 1\n")
	r.has(0, "b")
	require.True(t, value.IsStaleNaN(r.last("b")))
	r.has(1, "a")
	// A target that fails makes all its series stale, but not `up`.
	tg.set("a is not a number\n")
	r.has(0, "a")
	r.has(1, "up == 0")
	tg.set("a 1\nb 3\n")
	r.has(1, "b == 3")
}

func TestTargetsFollowFiles(t *testing.T) {
	one, two := newTarget(t, textType, "a 1\n"), newTarget(t, textType, "a 2\n")
	file := filepath.Join(t.TempDir(), "targets.json")
	list := func(tg *target) {
		// Written aside and renamed, as one should with files that are watched.
		content := fmt.Sprintf(`[{"targets": [%q], "labels": {"from": "file"}}]`, tg.addr())
		require.NoError(t, os.WriteFile(file+".new", []byte(content), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	list(one)
	r := newRig(t, Options{}, history.Options{})
	r.run("scrape_configs: [{job_name: j, file_sd_configs: [{files: [%q], refresh_interval: 200ms}]}]", file)
	r.has(1, `a{from="file"} == 1`)
	list(two)
	r.has(1, `a{from="file"} == 2`)
	// The target that went leaves nothing behind: its series end with a staleness marker, `up` included.
	r.has(1, "a")
	r.has(1, "up")
}

func TestTargetsFromHTTP(t *testing.T) {
	tg := newTarget(t, textType, "a 1\n")
	sd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `[{"targets": [%q], "labels": {"from": "http"}}]`, tg.addr())
	}))
	t.Cleanup(sd.Close)
	r := newRig(t, Options{}, history.Options{})
	r.run("scrape_configs: [{job_name: j, http_sd_configs: [{url: %q}]}]", sd.URL)
	r.has(1, `a{from="http"}`)
}

func TestLabels(t *testing.T) {
	tg := newTarget(t, textType, `a{job="mine",instance="i"} 1`+"\n"+`noise 1`+"\n")
	r := newRig(t, Options{}, history.Options{})
	r.run(`
scrape_configs:
- {job_name: honest, honor_labels: true, static_configs: [{targets: ['%[1]s']}]}
- job_name: relabeled
  static_configs: [{targets: ['%[1]s'], labels: {env: prod}}]
  relabel_configs: [{source_labels: [env], target_label: stage}, {source_labels: [env], regex: dev, action: drop}]
  metric_relabel_configs: [{source_labels: [__name__], regex: noise, action: drop}]
`, tg.addr())
	r.has(1, `a{job="mine", instance="i"}`)
	r.has(1, `a{job="relabeled", exported_job="mine", exported_instance="i", stage="prod"}`)
	r.has(1, `noise`)
	r.has(1, `scrape_samples_post_metric_relabeling{job="relabeled"} == 1`)
}

func TestUnreachableTargetIsDown(t *testing.T) {
	tg := newTarget(t, textType, "a 1\n")
	addr := tg.addr()
	tg.Close()
	r := newRig(t, Options{}, history.Options{})
	r.run("scrape_configs: [{job_name: j, static_configs: [{targets: ['%s']}]}]", addr)
	r.has(1, "up == 0")
	active := r.scraper.Manager().TargetsActive()["j"]
	require.Len(t, active, 1)
	require.Equal(t, upstream.HealthBad, active[0].Health())
}

func TestInnerTarget(t *testing.T) {
	reg := prometheus.NewRegistry()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "inner_value"})
	gauge.Set(42)
	reg.MustRegister(gauge)
	outer := newTarget(t, textType, "outer_value 1\n")
	r := newRig(t, Options{Inner: map[string]http.Handler{"tocsin.self:80": promhttp.HandlerFor(reg, promhttp.HandlerOpts{})}}, history.Options{})
	cfg := load(t, "scrape_configs: [{job_name: outer, static_configs: [{targets: ['%s']}]}]", outer.addr())
	cfg.ScrapeConfigs = append(cfg.ScrapeConfigs,
		InnerJob("tocsin", "tocsin.self:80", "/metrics", "here", 100*time.Millisecond, 100*time.Millisecond),
		InnerJob("missing", "tocsin.gone:80", "/metrics", "", time.Second, time.Second))
	require.NoError(t, r.scraper.Apply(cfg))
	require.NoError(t, r.scraper.Start())
	r.has(1, `inner_value{job="tocsin", instance="here"} == 42`)
	r.has(1, `up{job="tocsin", instance="here"} == 1`)
	r.has(1, "outer_value")
	active := r.scraper.Manager().TargetsActive()
	require.Equal(t, "http://tocsin.self:80/metrics", active["tocsin"][0].URL().String())
	r.has(1, `up{job="missing", instance="tocsin.gone:80"} == 0`)
}

func TestInnerJobPanicsOnNonsense(t *testing.T) {
	require.PanicsWithValue(t, `BUG: inner job "j": scrape timeout greater than scrape interval for scrape config with job name "j"`,
		func() { InnerJob("j", "a:80", "/", "", time.Second, time.Minute) })
}

func TestSeriesOverLimitsLoseOnlyThemselves(t *testing.T) {
	tg := newTarget(t, textType, fmt.Sprintf("a 1\nlong{l=%q} 1\nlonger{l=%q} 1\nz 1\n", strings.Repeat("x", 300), strings.Repeat("x", 400)))
	reg := prometheus.NewRegistry()
	r := newRig(t, Options{}, history.Options{Limits: series.Limits{ValueLength: 200}, Registerer: reg})
	job := "scrape_configs: [{job_name: j, static_configs: [{targets: ['%s']}]}]"
	r.run(job, tg.addr())
	r.has(1, "z")
	r.has(1, "up == 1")
	r.eventually("count_over_time(z[1m])", func(v promql.Vector) bool { return len(v) == 1 && v[0].F >= 3 })
	require.Empty(t, r.query("{__name__=~'long.*'}"))
	require.Equal(t, 1, strings.Count(r.log.String(), "over the limits"), r.log)
	require.Contains(t, r.log.String(), "target="+tg.URL+"/metrics dropped=2")
	// Not the refused series alone: no staleness marker, and no lost neighbour, when they go.
	tg.set("a 1\n")
	r.has(0, "z")
	r.has(1, "a")
	require.Empty(t, r.query("{__name__=~'long.*'}"))
	require.NotContains(t, r.log.String(), "append failed")
}

func TestTooOldSampleDoesNotFailTheScrape(t *testing.T) {
	now := time.Now()
	tg := newTarget(t, textType, fmt.Sprintf("fresh 1\nold 1 %d\n", now.Add(-3*time.Hour).UnixMilli()))
	// With an out-of-order window the storage has another name for what is too old.
	r := newRig(t, Options{}, history.Options{OutOfOrderWindow: time.Minute})
	r.run("scrape_configs: [{job_name: j, static_configs: [{targets: ['%s']}]}]", tg.addr())
	r.has(1, "up == 1")
	r.eventually("count_over_time(fresh[1m])", func(v promql.Vector) bool { return len(v) == 1 && v[0].F >= 3 })
	require.Len(t, r.query("up == 1"), 1, r.log)
}

func TestBodySize(t *testing.T) {
	tg := newTarget(t, textType, "a 1\n"+strings.Repeat("# padding\n", 1000))
	r := newRig(t, Options{BodySize: 1000}, history.Options{})
	r.run(`
scrape_configs:
- {job_name: default, static_configs: [{targets: ['%[1]s']}]}
- {job_name: own, body_size_limit: 1MB, static_configs: [{targets: ['%[1]s']}]}
`, tg.addr())
	r.has(1, `up{job="default"} == 0`)
	r.has(1, `up{job="own"} == 1`)
}

func TestBadConfigurationChangesNothing(t *testing.T) {
	tg := newTarget(t, textType, "a 1\n")
	r := newRig(t, Options{}, history.Options{})
	good := fmt.Sprintf("scrape_configs: [{job_name: j, static_configs: [{targets: ['%s']}]}]", tg.addr())
	r.run("%s", good)
	r.has(1, "a")

	bad := load(t, "scrape_configs: [{job_name: j2, scheme: https, tls_config: {ca_file: /no/such/file}, static_configs: [{targets: ['%s']}]}]", tg.addr())
	err := r.scraper.Apply(bad)
	require.ErrorContains(t, err, `job "j2"`)
	require.ErrorContains(t, err, "/no/such/file")
	twice := load(t, "%s", good)
	twice.ScrapeConfigs = append(twice.ScrapeConfigs, InnerJob("j", "x:80", "/", "", time.Second, time.Second))
	require.ErrorContains(t, r.scraper.Apply(twice), `two jobs are named "j"`)
	require.ErrorContains(t, r.scraper.Apply(&promconfig.Config{}), "scrape_configs")
	tg.set("a 2\n")
	r.has(1, "a == 2")

	// A good one takes effect, and the job that is not in it any more ends.
	r.apply("scrape_configs: [{job_name: other, static_configs: [{targets: ['%s']}]}]", tg.addr())
	r.has(1, `a{job="other"}`)
	require.NotContains(t, r.scraper.Manager().TargetsActive(), "j")
	require.Equal(t, []string{"other"}, r.scraper.Manager().ScrapePools())
}

func TestBadJobAtTheStartHarmsOnlyItself(t *testing.T) {
	tg := newTarget(t, textType, "a 1\n")
	r := newRig(t, Options{}, history.Options{})
	r.run(`
scrape_configs:
- {job_name: bad, scheme: https, tls_config: {ca_file: /no/such/file}, static_configs: [{targets: ['%[1]s']}]}
- {job_name: good, static_configs: [{targets: ['%[1]s']}]}
`, tg.addr())
	r.has(1, `a{job="good"}`)
	require.Contains(t, r.log.String(), "/no/such/file")
	require.Contains(t, r.log.String(), "job=bad")
	require.Positive(t, r.scraper.Samples())
}

func TestUnixSocketIsNamedAsUnsupported(t *testing.T) {
	r := newRig(t, Options{Inner: map[string]http.Handler{"x:80": http.NotFoundHandler()}}, history.Options{})
	r.apply(`
scrape_configs:
- {job_name: static, static_configs: [{targets: ['a:1'], labels: {__unix_socket__: /s}}]}
- {job_name: relabeled, relabel_configs: [{target_label: __unix_socket__, replacement: /s}], static_configs: [{targets: ['a:1']}]}
- {job_name: plain, static_configs: [{targets: ['a:1']}]}
`)
	require.Equal(t, 2, strings.Count(r.log.String(), "__unix_socket__"), r.log)
}

func TestStopIsBoundedAndFinal(t *testing.T) {
	entered := make(chan struct{}, 100)
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(hang.Close)
	r := newRig(t, Options{}, history.Options{})
	r.run("scrape_configs: [{job_name: j, scrape_interval: 1s, scrape_timeout: 1s, static_configs: [{targets: ['%s']}]}]", strings.TrimPrefix(hang.URL, "http://"))
	<-entered
	done := make(chan struct{})
	go func() { r.scraper.Stop(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Stop hangs with a scrape")
	}
	r.scraper.Stop()
	require.Error(t, r.scraper.Start())
	require.Error(t, r.scraper.Apply(load(t, "")))

	never := newRig(t, Options{Inner: map[string]http.Handler{"a:80": http.NotFoundHandler()}}, history.Options{})
	never.scraper.Stop()
}

func TestOptions(t *testing.T) {
	_, err := New(Options{})
	require.ErrorContains(t, err, "no Appendable")
	_, err = New(Options{Appendable: &history.Store{}, ReloadInterval: -1})
	require.ErrorContains(t, err, "reload interval")
}

func TestPipeListener(t *testing.T) {
	l := newPipeListener("a:80")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.dial(ctx)
	require.ErrorIs(t, err, context.Canceled)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}()
	c, err := l.dial(t.Context())
	require.NoError(t, err)
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	_, err = l.dial(t.Context())
	require.ErrorIs(t, err, errPipeClosed)
	_, err = l.Accept()
	require.ErrorIs(t, err, errPipeClosed)
}

package scrape

import (
	"context"
	"fmt"
	"io"
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
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	upstream "github.com/prometheus/prometheus/scrape"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/history"
)

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

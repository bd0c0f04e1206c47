package scrape

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	promconfig "github.com/prometheus/prometheus/config"
	_ "github.com/prometheus/prometheus/discovery/file"
	_ "github.com/prometheus/prometheus/discovery/http"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/plan"
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

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"
)

// TestRequestIsRemoteWrite decodes patched requests with upstream's types.
func TestRequestIsRemoteWrite(t *testing.T) {
	r, err := newRequest([][]prompb.Label{backgroundLabels(3), probeLabels("x")})
	require.NoError(t, err)
	for _, at := range []int64{1<<35 + 1, time.Now().UnixMilli(), 1<<42 - 1} {
		r.set(0, -1.5, at)
		r.set(1, 200, at-1)
		got := decode(t, r.body())
		require.Equal(t, []prompb.TimeSeries{
			{Labels: backgroundLabels(3), Samples: []prompb.Sample{{Value: -1.5, Timestamp: at}}},
			{Labels: probeLabels("x"), Samples: []prompb.Sample{{Value: 200, Timestamp: at - 1}}},
		}, got)
	}
}

func decode(t *testing.T, body []byte) []prompb.TimeSeries {
	raw, err := snappy.Decode(nil, body)
	require.NoError(t, err)
	var w prompb.WriteRequest
	require.NoError(t, w.Unmarshal(raw))
	return w.Timeseries
}

// bell is a server that tells the webhook of probes at once, but for those that deaf names.
type bell struct {
	recorded atomic.Int64
	t        *testing.T
	webhook  string
	deaf     string

	mu      sync.Mutex
	samples int
	newest  map[string]int64 // by series
	ended   int
}

func (b *bell) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/metrics" {
		n := b.recorded.Add(5)
		fmt.Fprintf(w, "# TYPE %[1]s histogram\n%[1]s_bucket{le=\"0.001\"} %[2]d\n%[1]s_bucket{le=\"+Inf\"} %[2]d\n%[1]s_sum %[2]d\n%[1]s_count %[2]d\n", ledgerMetric, n)
		return
	}
	body, err := io.ReadAll(r.Body)
	require.NoError(b.t, err)
	require.Equal(b.t, "/api/v1/write", r.URL.Path)
	for _, ts := range decode(b.t, body) {
		b.take(ts)
		if ts.Labels[0].Value != probeMetric || value.IsStaleNaN(ts.Samples[0].Value) || ts.Labels[2].Value == b.deaf {
			continue
		}
		msg, err := json.Marshal(map[string]any{"alerts": []any{map[string]any{"labels": map[string]string{probeLabel: ts.Labels[2].Value}}}})
		require.NoError(b.t, err)
		resp, err := http.Post(b.webhook, "application/json", bytes.NewReader(msg))
		require.NoError(b.t, err)
		resp.Body.Close()
	}
	w.WriteHeader(http.StatusNoContent)
}

func (b *bell) take(ts prompb.TimeSeries) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.samples++
	if value.IsStaleNaN(ts.Samples[0].Value) {
		b.ended++
	}
	key := ""
	for _, l := range ts.Labels {
		key += l.Name + l.Value
	}
	require.GreaterOrEqual(b.t, ts.Samples[0].Timestamp, b.newest[key])
	b.newest[key] = ts.Samples[0].Timestamp
}

// TestProbesAndLoad measures a server that is none: all probes but one arrive, the load has its rate, series never go
// back in time.
func TestProbesAndLoad(t *testing.T) {
	hook, err := newReceiver()
	require.NoError(t, err)
	defer hook.close()
	b := &bell{t: t, webhook: hook.url(), deaf: "10", newest: map[string]int64{}}
	server := httptest.NewServer(b)
	defer server.Close()
	s := newSender(server.URL)
	defer s.close()
	l, err := newLoad(s, 20_000)
	require.NoError(t, err)
	require.NoError(t, l.first(t.Context()))
	require.Equal(t, backgroundSeries, b.samples)

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx) }()
	r, err := probeAll(t.Context(), &prober{sender: s, hook: hook, patience: 500 * time.Millisecond}, l, 2500*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	require.NoError(t, err)
	require.Equal(t, 25, r.N)
	require.Equal(t, 1, r.Lost)
	require.Positive(t, r.P50MS)
	require.Equal(t, 5, r.LedgerN)
	require.InDelta(t, 1000, r.LedgerMeanMS, 1e-9)
	require.InDelta(t, 1, r.LedgerP99MS, 1e-9)
	require.LessOrEqual(t, r.P50MS, r.P99MS)
	require.LessOrEqual(t, r.P99MS, r.MaxMS)
	require.InDelta(t, 20_000, r.AchievedPerS, 8_000)
	require.GreaterOrEqual(t, b.ended, 9, "old probes are ended")
}

func TestLoadSaysWhatTheServerRefuses(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no room", http.StatusTooManyRequests)
	}))
	defer server.Close()
	l, err := newLoad(newSender(server.URL), 1000)
	require.NoError(t, err)
	require.ErrorContains(t, l.first(t.Context()), "429 Too Many Requests: no room")
	require.ErrorContains(t, l.run(t.Context()), "no room")
}

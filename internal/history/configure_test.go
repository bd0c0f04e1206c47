package history

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"
)

// remoteSink is a remote write destination that decodes what it gets.
func remoteSink(t *testing.T) (url string, got <-chan prompb.TimeSeries) {
	t.Helper()
	out := make(chan prompb.TimeSeries, 1000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		raw, err := snappy.Decode(nil, body)
		if err != nil {
			t.Error(err)
			return
		}
		var req prompb.WriteRequest
		if err := req.Unmarshal(raw); err != nil {
			t.Error(err)
			return
		}
		for _, ts := range req.Timeseries {
			out <- ts
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, out
}

func loadConfig(t *testing.T, text string) *promconfig.Config {
	t.Helper()
	cfg, err := promconfig.Load(text, nil)
	require.NoError(t, err)
	return cfg
}

// send writes samples of one metric until one of them comes out at the other end. Upstream starts to read the log in the
// background, sends only what is newer than that start, and looks at the log again when something is written to it.
func send(t *testing.T, s *Store, got <-chan prompb.TimeSeries, metric string) prompb.TimeSeries {
	t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(time.Minute)
	for at := time.Now().Add(time.Minute); ; at = at.Add(time.Millisecond) {
		write(t, s, at, 42, metric, "a", "1")
		select {
		case ts := <-got:
			for _, l := range ts.Labels {
				if l.Name == model.MetricNameLabel && l.Value == metric {
					return ts
				}
			}
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s did not arrive", metric)
		}
	}
}

func TestRemoteWrite(t *testing.T) {
	url, got := remoteSink(t)
	s := open(t, Options{Registerer: prometheus.NewRegistry()})
	good := fmt.Sprintf(`
global: {external_labels: {site: here}}
remote_write:
- url: %s
  name: sink
  queue_config: {batch_send_deadline: 50ms}
`, url)
	require.NoError(t, s.ApplyRemoteWrite(loadConfig(t, good)))
	first := send(t, s, got, "first")
	require.Equal(t, 42.0, first.Samples[0].Value)
	require.Contains(t, first.Labels, prompb.Label{Name: "site", Value: "here"})

	// A configuration that cannot be used is refused in one line, and the running one goes on.
	for _, bad := range []string{
		fmt.Sprintf("remote_write: [{url: %q}, {url: %q}]", url, url),
		good + "- url: http://127.0.0.1:1/\n  tls_config: {ca_file: /no/such/file}\n",
	} {
		err := s.ApplyRemoteWrite(loadConfig(t, bad))
		require.ErrorContains(t, err, "remote_write[1]")
		require.NotContains(t, err.Error(), "\n")
	}
	send(t, s, got, "second")

	// The same again keeps the queue; nothing configured ends it.
	require.NoError(t, s.ApplyRemoteWrite(loadConfig(t, good)))
	send(t, s, got, "third")
	require.NoError(t, s.ApplyRemoteWrite(loadConfig(t, "")))
	require.False(t, s.sending.Load())
	write(t, s, time.Now().Add(2*time.Minute), 45, "fourth")
	require.NoError(t, s.Close())
	for len(got) > 0 {
		require.NotContains(t, (<-got).Labels, prompb.Label{Name: model.MetricNameLabel, Value: "fourth"})
	}
}

func TestSettingsReachTheDatabase(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg})
	require.Equal(t, DefaultRetention.Seconds(), gauge(t, reg, "prometheus_tsdb_retention_limit_seconds"))
	require.NoError(t, s.Apply(Settings{RetentionTime: time.Hour, RetentionSize: 1 << 20, MaxExemplars: 7}))
	require.Equal(t, time.Hour.Seconds(), gauge(t, reg, "prometheus_tsdb_retention_limit_seconds"))
	require.EqualValues(t, 1<<20, gauge(t, reg, "prometheus_tsdb_retention_limit_bytes"))
	require.EqualValues(t, 7, gauge(t, reg, "prometheus_tsdb_exemplar_max_exemplars"))
	require.NoError(t, s.Apply(Settings{RetentionTime: -1}))
	require.Zero(t, gauge(t, reg, "prometheus_tsdb_retention_limit_seconds"))
}

func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

package notify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// promConfig sends to the server at url, relabels, and has external labels.
func promConfig(t testing.TB, url string) *promconfig.Config {
	t.Helper()
	cfg, err := promconfig.Load(fmt.Sprintf(`
global: {external_labels: {site: north, own: external}}
alerting:
  alert_relabel_configs:
  - {action: drop, source_labels: [alertname], regex: Unwanted}
  - {action: labeldrop, regex: secret}
  alertmanagers:
  - timeout: 1s
    relabel_configs: [{source_labels: [__address__], regex: 'dropped:.*', action: drop}]
    static_configs: [{targets: [%q, 'dropped:1']}]
`, strings.TrimPrefix(url, "http://")), promLogger(t))
	require.NoError(t, err)
	return cfg
}

type posted struct {
	mu     sync.Mutex
	alerts []map[string]string
	fail   bool
}

func (p *posted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in []struct {
		Labels map[string]string `json:"labels"`
	}
	err := json.NewDecoder(r.Body).Decode(&in)
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path != "/api/v2/alerts" || err != nil || p.fail {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	for _, a := range in {
		p.alerts = append(p.alerts, a.Labels)
	}
}

func (p *posted) list() []map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]map[string]string(nil), p.alerts...)
}

func TestExternalAlertmanager(t *testing.T) {
	var p posted
	server := httptest.NewServer(&p)
	defer server.Close()
	reg := prometheus.NewRegistry()
	e, err := NewExternal(ExternalOptions{Logger: testLogger(t), Registerer: reg})
	require.NoError(t, err)
	defer e.Stop()
	e.Send([]alert.Outgoing{firing("NobodyConfigured")}) // not dropped: not asked for
	cfg := promConfig(t, server.URL)
	require.NoError(t, e.Apply(cfg))
	e.Send([]alert.Outgoing{firing("TooEarly")})
	require.Equal(t, 1.0, metric(t, reg, "tocsin_notify_external_dropped_total"))
	e.Start()
	eventually(t, "discovered", func() bool { return len(e.Alertmanagers()) == 1 })
	require.Len(t, e.DroppedAlertmanagers(), 1)
	require.Equal(t, server.URL+"/api/v2/alerts", e.Alertmanagers()[0].String())

	e.Send([]alert.Outgoing{firing("Wanted", "own", "mine", "secret", "x"), firing("Unwanted")})
	eventually(t, "posted", func() bool { return len(p.list()) == 1 })
	require.Equal(t, map[string]string{"alertname": "Wanted", "own": "mine", "site": "north"}, p.list()[0])

	// A bad configuration changes nothing; a good one may come again.
	bad := promConfig(t, server.URL)
	bad.GlobalConfig.ExternalLabels = labels.FromStrings("site", "wrong")
	for _, am := range bad.AlertingConfig.AlertmanagerConfigs {
		am.HTTPClientConfig.TLSConfig.CAFile = "/not/there"
	}
	require.ErrorContains(t, e.Apply(bad), "/not/there")
	require.NoError(t, e.Apply(cfg))
	eventually(t, "discovered again", func() bool { return len(e.Alertmanagers()) == 1 })
	e.Send([]alert.Outgoing{firing("Second")})
	eventually(t, "posted", func() bool { return len(p.list()) == 2 })
	require.Equal(t, "north", p.list()[1]["site"])
}

func TestExternalDrainsOnStop(t *testing.T) {
	var p posted
	server := httptest.NewServer(&p)
	defer server.Close()
	e, err := NewExternal(ExternalOptions{Logger: testLogger(t)})
	require.NoError(t, err)
	require.NoError(t, e.Apply(promConfig(t, server.URL)))
	e.Start()
	eventually(t, "discovered", func() bool { return len(e.Alertmanagers()) == 1 })
	for i := range 1000 {
		e.Send([]alert.Outgoing{firing("A", "i", fmt.Sprint(i))})
	}
	e.Stop()
	e.Stop()
	require.Len(t, p.list(), 1000)
	require.Error(t, e.Apply(promConfig(t, server.URL)))
	e.Send([]alert.Outgoing{firing("Late")})
	require.Len(t, p.list(), 1000)
}

func TestExternalStopIsBounded(t *testing.T) {
	h := newHook(t).block()
	e, err := NewExternal(ExternalOptions{DrainLimit: 200 * time.Millisecond, QueueCapacity: 2000})
	require.NoError(t, err)
	cfg := promConfig(t, h.URL)
	for _, am := range cfg.AlertingConfig.AlertmanagerConfigs {
		am.Timeout = am.Timeout * 3600
	}
	require.NoError(t, e.Apply(cfg))
	e.Start()
	eventually(t, "discovered", func() bool { return len(e.Alertmanagers()) == 1 })
	for i := range 1000 {
		e.Send([]alert.Outgoing{firing("A", "i", fmt.Sprint(i))})
	}
	eventually(t, "one request hangs", func() bool { return h.called() > 0 })
	began := time.Now()
	e.Stop()
	require.Less(t, time.Since(began), soon)
}

package notify

import (
	"encoding/json"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// TestAlertsAreLabelledAsPrometheusDoes: an alertmanager.yml is written for alerts that Prometheus has sent.
func TestAlertsAreLabelledAsPrometheusDoes(t *testing.T) {
	h, reg := newHook(t), prometheus.NewRegistry()
	n := start(t, Options{Registerer: reg, DrillURL: h.URL}, simple(h.URL, ""))
	n.ApplyAlerting(promConfig(t, "http://unused:1"))

	wanted := firing("Wanted", "own", "mine", "secret", "x")
	send(n, wanted, firing("Unwanted"), firing(DrillAlert, "secret", "kept"))
	eventually(t, "both delivered", func() bool { return len(h.got()) == 2 })
	byName := map[string]map[string]string{}
	for _, m := range h.got() {
		byName[m.Alerts[0].Labels["alertname"]] = m.Alerts[0].Labels
	}
	require.Equal(t, map[string]map[string]string{
		"Wanted":   {"alertname": "Wanted", "own": "mine", "site": "north"},
		DrillAlert: {"alertname": DrillAlert, "secret": "kept"},
	}, byName)
	require.Equal(t, 1.0, metric(t, reg, "tocsin_notify_alerts_dropped_total", "reason=relabelled"))
	require.Equal(t, "x", wanted.Labels.Get("secret"), "the caller's alert is the caller's")

	plain, err := promconfig.Load("", promLogger(t))
	require.NoError(t, err)
	n.ApplyAlerting(plain)
	in := []alert.Outgoing{{Labels: labels.FromStrings("secret", "y")}}
	out, was := n.relabelled(in)
	require.Equal(t, in, out)
	require.Nil(t, was)
}

func TestStatusNamesTheRelease(t *testing.T) {
	n := start(t, Options{}, "")
	code, body := call(t, versioned("1.2.3", n.Handler()), "GET", "/api/v2/status", "")
	require.Equal(t, 200, code)
	var status struct {
		Version struct{ Version, GoVersion string } `json:"versionInfo"`
		Config  struct{ Original string }           `json:"config"`
		Uptime  string                              `json:"uptime"`
		Cluster struct{ Status string }             `json:"cluster"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &status))
	require.Equal(t, "1.2.3", status.Version.Version)
	require.NotEmpty(t, status.Version.GoVersion)
	require.Equal(t, "disabled", status.Cluster.Status)
	require.NotEmpty(t, status.Uptime)
	require.Contains(t, status.Config.Original, "route:")

	for _, not := range []string{`{}`, `[]`, `{"versionInfo":null}`, `{"versionInfo":{"version":"9.9"}}`, `x`} {
		_, ok := withRelease([]byte(not), "1.2.3")
		require.False(t, ok, not)
	}
}

package notify

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// deliveries collects what OnDelivery is told.
type deliveries struct {
	mu  sync.Mutex
	all []Delivery
}

func (d *deliveries) add(x Delivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, x)
}

func (d *deliveries) list() []Delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Delivery(nil), d.all...)
}

func TestWebhookFiringAndResolved(t *testing.T) {
	h := newHook(t)
	var seen deliveries
	reg := prometheus.NewRegistry()
	n := start(t, Options{Registerer: reg, OnDelivery: seen.add}, simple(h.URL, ""))
	a := firing("High", "instance", "a")
	a.Annotations = labels.FromStrings("summary", "too high")
	a.GeneratorURL = "http://here/graph"
	send(n, a)
	eventually(t, "firing", func() bool { return h.count("firing", "instance", "a") == 1 })
	require.Equal(t, "too high", h.got()[0].Alerts[0].Annotations["summary"])
	require.WithinDuration(t, a.StartsAt, h.got()[0].Alerts[0].StartsAt, time.Millisecond)

	send(n, over(a))
	eventually(t, "resolved", func() bool { return h.count("resolved", "instance", "a") == 1 })
	eventually(t, "two deliveries reported", func() bool { return len(seen.list()) == 2 })
	d := seen.list()[0]
	require.NoError(t, d.Err)
	require.Equal(t, "hook", d.Receiver)
	require.Equal(t, "webhook", d.Integration)
	require.Equal(t, 1, d.Attempt)
	require.False(t, d.StartedAt.IsZero() || d.EndedAt.Before(d.StartedAt))
	require.Equal(t, a.Labels.String(), d.Alerts[0].Labels.String())
	require.Equal(t, a.Labels.String(), d.GroupLabels.String())
	require.True(t, seen.list()[1].Alerts[0].Resolved)
	require.Equal(t, 2.0, metric(t, reg, "alertmanager_notifications_total", "integration=webhook"))
	require.Equal(t, 1.0, metric(t, reg, "tocsin_notify_alerts_total", "status=resolved"))
}

func TestAttemptsAreReportedUntilOneSucceeds(t *testing.T) {
	h := newHook(t)
	h.answer(http.StatusServiceUnavailable)
	var seen deliveries
	n := start(t, Options{OnDelivery: seen.add}, simple(h.URL, ""))
	send(n, firing("X"))
	eventually(t, "two failures", func() bool { return len(seen.list()) >= 2 })
	h.answer(http.StatusOK)
	eventually(t, "success", func() bool { all := seen.list(); return all[len(all)-1].Err == nil })
	for i, d := range seen.list() {
		require.Equal(t, i+1, d.Attempt)
		require.Equal(t, d.Err != nil, d.Retry)
	}
}

func TestGroupingRoutesAndTemplates(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "my.tmpl"),
		[]byte(`{{ define "my.text" }}{{ len .Alerts.Firing }} of {{ .GroupLabels.team }}{{ end }}`), 0o600))
	slack := make(chan map[string]any, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m map[string]any
		if json.NewDecoder(r.Body).Decode(&m) == nil {
			slack <- m
		}
	}))
	defer s.Close()
	all, db := newHook(t), newHook(t)
	n := start(t, Options{}, fmt.Sprintf(`
templates: [%q]
route:
  receiver: all
  group_by: [team]
  group_wait: 300ms
  group_interval: 1s
  routes:
  - {matchers: [team="db"], receiver: db, continue: true}
  - {matchers: [team="db"], receiver: slack}
receivers:
- name: all
  webhook_configs: [{url: %q}]
- name: db
  webhook_configs: [{url: %q}]
- name: slack
  slack_configs: [{api_url: %q, channel: '#db', text: '{{ template "my.text" . }}'}]
`, filepath.Join(dir, "*.tmpl"), all.URL, db.URL, s.URL))
	send(n, firing("A", "team", "db", "i", "1"), firing("A", "team", "db", "i", "2"), firing("B", "team", "web"))
	select {
	case m := <-slack:
		require.Equal(t, "#db", m["channel"])
		text := m["attachments"].([]any)[0].(map[string]any)["text"]
		require.Equal(t, "2 of db", text)
	case <-time.After(patience):
		t.Fatal("nothing at the Slack-shaped endpoint")
	}
	eventually(t, "webhooks", func() bool { return len(all.got()) == 1 && len(db.got()) == 1 })
	require.Len(t, db.got()[0].Alerts, 2, "one group, one message")
	require.Equal(t, map[string]string{"team": "web"}, all.got()[0].Group)
}

func TestMuteTimeIntervals(t *testing.T) {
	muted, heard := newHook(t), newHook(t)
	reg := prometheus.NewRegistry()
	n := start(t, Options{Registerer: reg}, fmt.Sprintf(`
time_intervals:
- name: always
  time_intervals: [{}]
- name: never
  time_intervals: [{years: ['1990']}]
route:
  receiver: heard
  group_by: ['...']
  group_wait: 0s
  routes:
  - {matchers: [m="mute"], receiver: muted, mute_time_intervals: [always]}
  - {matchers: [m="inactive"], receiver: muted, active_time_intervals: [never]}
  - {matchers: [m="active"], receiver: heard, active_time_intervals: [always]}
receivers:
- name: muted
  webhook_configs: [{url: %q}]
- name: heard
  webhook_configs: [{url: %q}]
`, muted.URL, heard.URL))
	send(n, firing("A", "m", "mute"), firing("A", "m", "inactive"), firing("A", "m", "active"))
	eventually(t, "the active one", func() bool { return heard.count("firing", "m", "active") == 1 })
	eventually(t, "the others suppressed", func() bool {
		return metric(t, reg, "alertmanager_notifications_suppressed_total", "reason=mute_time_interval") == 1 &&
			metric(t, reg, "alertmanager_notifications_suppressed_total", "reason=active_time_interval") == 1
	})
	require.Zero(t, muted.called())
}

func TestEmailWithSTARTTLS(t *testing.T) {
	server := newSMTP(t)
	n := start(t, Options{}, fmt.Sprintf(`
global:
  smtp_smarthost: %q
  smtp_from: tocsin@example.org
  smtp_auth_username: me
  smtp_auth_password: secret
  smtp_tls_config: {ca_file: %q}
route: {receiver: mail, group_wait: 0s}
receivers:
- name: mail
  email_configs: [{to: 'ops@example.org', send_resolved: true}]
`, server.addr, server.caFile))
	send(n, firing("DiskFull", "instance", "db1"))
	select {
	case m := <-server.mails:
		require.True(t, m.tls, "the mail was handed over in the clear")
		require.Equal(t, "me/secret", m.auth)
		require.Equal(t, "ops@example.org", m.to)
		require.Contains(t, m.data, "DiskFull")
		require.Contains(t, m.data, "Subject: [FIRING:1]")
	case <-time.After(patience):
		t.Fatal("no mail")
	}
}

func TestSendDefaultsAndRefusals(t *testing.T) {
	h := newHook(t)
	reg := prometheus.NewRegistry()
	n := start(t, Options{Registerer: reg}, "global: {resolve_timeout: 2s}\n"+simple(h.URL, ""))
	good := alert.Outgoing{Labels: labels.FromStrings("alertname", "NoTimes", "empty", "")}
	wrong := firing("Backwards")
	wrong.EndsAt = wrong.StartsAt.Add(-time.Hour)
	n.Send(t.Context(), []alert.Outgoing{good, wrong, {}, {Labels: labels.FromStrings("only", "")}})
	require.Equal(t, 3.0, metric(t, reg, "tocsin_notify_alerts_dropped_total", "reason=invalid"))
	eventually(t, "delivered", func() bool { return h.count("firing", "alertname", "NoTimes") == 1 })
	require.NotContains(t, h.got()[0].Alerts[0].Labels, "empty")
	eventually(t, "resolved by resolve_timeout", func() bool { return h.count("resolved", "alertname", "NoTimes") == 1 })

	n.Stop()
	send(n, firing("Late"))
	require.Equal(t, 1.0, metric(t, reg, "tocsin_notify_alerts_dropped_total", "reason=stopped"))
}

func TestBuiltinTellsNobodyAndShowsAlerts(t *testing.T) {
	var seen deliveries
	n := start(t, Options{OnDelivery: seen.add}, "")
	send(n, firing("Seen"))
	eventually(t, "in the API", func() bool {
		_, body := call(t, n.Handler(), "GET", "/api/v2/alerts/groups", "")
		return len(body) > 10
	})
	_, status := call(t, n.Handler(), "GET", "/api/v2/status", "")
	require.Contains(t, status, "receiver: console")
	require.Empty(t, seen.list())
}

func TestDrillGoesToItsWebhookOnly(t *testing.T) {
	h, drill := newHook(t), newHook(t)
	n := start(t, Options{DrillURL: drill.URL + "/drill"}, simple(h.URL, "- name: tocsin-drill\n"))
	send(n, firing(DrillAlert, "drill", "1"), firing("Real"))
	eventually(t, "both", func() bool {
		return drill.count("firing", "alertname", DrillAlert) == 1 && h.count("firing", "alertname", "Real") == 1
	})
	require.Zero(t, h.count("firing", "alertname", DrillAlert))
	require.Zero(t, drill.count("firing", "alertname", "Real"))
	require.Equal(t, "tocsin-drill-2", drill.got()[0].Receiver, "a receiver of the user's had the name")
	_, status := call(t, n.Handler(), "GET", "/api/v2/status", "")
	require.NotContains(t, status, drill.URL)

	// With the built-in configuration too, and across a reload.
	require.NoError(t, n.Apply(nil))
	send(n, firing(DrillAlert, "drill", "2"))
	eventually(t, "second drill", func() bool { return drill.count("firing", "drill", "2") == 1 })
}

// TestOtherPrometheusPosts is the way of another Prometheus's `alerting:` section.
func TestOtherPrometheusPosts(t *testing.T) {
	h := newHook(t)
	n := start(t, Options{MaxBodyBytes: 1000}, simple(h.URL, criticalOverWarning))
	server := httptest.NewServer(n.Handler())
	defer server.Close()
	e, err := NewExternal(ExternalOptions{Logger: testLogger(t)})
	require.NoError(t, err)
	require.NoError(t, e.Apply(promConfig(t, server.URL)))
	e.Start()
	eventually(t, "discovered", func() bool { return len(e.Alertmanagers()) == 1 })
	e.Send([]alert.Outgoing{firing("Slow", "severity", "warning", "id", "1"), firing("Down", "severity", "critical", "id", "1")})
	e.Stop()
	eventually(t, "source", func() bool { return h.count("firing", "severity", "critical") == 1 })
	require.Zero(t, h.count("firing", "severity", "warning"), "a target before its source in one POST leaked")

	code, _ := call(t, n.Handler(), "POST", "/api/v2/alerts", `[{"labels":{"a":"`+string(make([]byte, 2000))+`"}}]`)
	require.GreaterOrEqual(t, code, 400, "a body over the limit was taken")
	resp, err := http.Get(server.URL + "/api/v2/receivers")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(body), `"hook"`)
}

func BenchmarkSendToWebhook(b *testing.B) {
	arrived := make(chan string, 1024)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m hookMessage
		if json.NewDecoder(r.Body).Decode(&m) == nil && m.Status == "firing" {
			arrived <- m.Alerts[0].Labels["i"]
		}
	}))
	defer server.Close()
	n := start(b, Options{}, simple(server.URL, criticalOverWarning))
	took := make([]time.Duration, 0, b.N)
	i := 0
	for b.Loop() {
		i++
		want := strconv.Itoa(i)
		began := time.Now()
		send(n, firing("Bench", "i", want))
		for got := range arrived {
			if got == want {
				break
			}
		}
		took = append(took, time.Since(began))
	}
	b.ReportMetric(quantile(took, 0.5), "p50-µs")
	b.ReportMetric(quantile(took, 0.99), "p99-µs")
}

func BenchmarkPutWithInhibitRules(b *testing.B) {
	for _, rules := range []string{"", criticalOverWarning} {
		b.Run(fmt.Sprintf("rules=%t", rules != ""), func(b *testing.B) {
			n := start(b, Options{}, "route: {receiver: r}\nreceivers: [{name: r}]\n"+rules)
			a := firing("Down", "severity", "critical", "id", "1")
			for b.Loop() {
				send(n, a)
			}
		})
	}
}

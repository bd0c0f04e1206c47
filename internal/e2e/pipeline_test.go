package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/sim"
)

// receivers is an alertmanager.yml with a webhook, a mail server with STARTTLS and a Slack-shaped endpoint.
type receivers struct {
	webhook *sim.Webhook
	slack   *sim.Slack
	mail    *sim.SMTP
}

func newReceivers(t *testing.T, dir string) *receivers {
	t.Helper()
	r := &receivers{}
	var err error
	r.webhook, err = sim.NewWebhook()
	require.NoError(t, err)
	r.slack, err = sim.NewSlack()
	require.NoError(t, err)
	r.mail, err = sim.NewSMTP(sim.SMTPOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { r.webhook.Close(); r.slack.Close(); r.mail.Close() })
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), r.mail.RootPEM(), 0o600))
	write(t, dir, "alertmanager.yml", fmt.Sprintf(`
route:
  receiver: everywhere
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
- name: everywhere
  webhook_configs: [{url: '%s'}]
  slack_configs: [{api_url: '%s', channel: '#alerts', send_resolved: true}]
  email_configs:
  - to: oncall@example.org
    from: tocsin@example.org
    smarthost: '%s'
    tls_config: {ca_file: '%s', server_name: localhost}
    require_tls: true
`, r.webhook.URL(), r.slack.URL(), r.mail.Addr(), filepath.Join(dir, "ca.pem")))
	return r
}

const fastRules = `
groups:
- name: fast
  interval: 1s
  rules:
  - record: job:temperature:max
    expr: max by (job) (temperature)
  - alert: TooHot
    expr: temperature > 30
    labels: {severity: page, where: '{{ $labels.job }}'}
    annotations: {summary: 'it is {{ $value }} degrees at {{ $labels.instance }}'}
`

const plainConfig = `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
tocsin:
  notifications: {alertmanager_config: alertmanager.yml}
  self_scrape: {interval: 1s}
`

// configured starts a tocsin with fastRules and receivers; scrape is appended to the configuration.
func configured(t *testing.T, scrape string) (*server, *receivers) {
	t.Helper()
	dir := t.TempDir()
	r := newReceivers(t, dir)
	write(t, dir, "rules.yml", fastRules)
	write(t, dir, "tocsin.yml", plainConfig+scrape)
	return start(t, dir, "--config", "tocsin.yml"), r
}

func waitContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// wantAlert waits until the webhook heard of an alert in the status.
func (r *receivers) wantAlert(t *testing.T, status, alertname string) sim.WebhookAlert {
	t.Helper()
	var found sim.WebhookAlert
	eventually(t, 30*time.Second, func() error {
		for _, a := range r.webhook.Alerts() {
			if a.Status == status && a.Labels["alertname"] == alertname {
				found = a
				return nil
			}
		}
		return fmt.Errorf("no %s %s among %v", status, alertname, r.webhook.Alerts())
	})
	return found
}

// TestScrapeToEveryReceiver follows one sample the whole way: target → history → rule → webhook, mail and Slack, and
// back again when it clears.
func TestScrapeToEveryReceiver(t *testing.T) {
	t.Parallel()
	target, err := sim.NewTarget()
	require.NoError(t, err)
	defer target.Close()
	require.NoError(t, target.Set("# TYPE temperature gauge\ntemperature 21\n"))
	s, r := configured(t, fmt.Sprintf("scrape_configs: [{job_name: oven, static_configs: [{targets: ['%s']}]}]\n", target.Addr()))
	s.wantQuery("job:temperature:max", "21")

	require.NoError(t, target.Set("# TYPE temperature gauge\ntemperature 35\n"))
	a := r.wantAlert(t, "firing", "TooHot")
	require.Equal(t, "oven", a.Labels["where"])
	require.Equal(t, "page", a.Labels["severity"])
	require.Equal(t, "it is 35 degrees at "+target.Addr(), a.Annotations["summary"])
	require.Contains(t, a.GeneratorURL, s.url+"/graph?g0.expr=temperature")
	mails, err := r.mail.Wait(waitContext(t), 1)
	require.NoError(t, err)
	require.Contains(t, mails[0].Subject(), "TooHot")
	posts, err := r.slack.Wait(waitContext(t), 1)
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(posts[0]), "TooHot")
	s.wantQuery(`ALERTS{alertname="TooHot",alertstate="firing"}`, "1")
	require.Contains(t, s.console.String(), "FIRING    TooHot")
	require.Contains(t, s.get("/", 200), "TooHot")

	require.NoError(t, target.Set("# TYPE temperature gauge\ntemperature 20\n"))
	r.wantAlert(t, "resolved", "TooHot")
	require.Contains(t, s.console.String(), "RESOLVED  TooHot")

	// The target disappears: its series are stale at the next scrape, not five minutes later.
	target.Close()
	s.wantQuery("temperature", "")
	s.wantQuery(`up{job="oven"}`, "0")
	s.stop()
}

// series is one sample to write.
func remoteWriteV1(t *testing.T, s *server, value float64, pairs ...string) (int, string) {
	t.Helper()
	req := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:  prompb.FromLabels(labels.FromStrings(pairs...), nil),
		Samples: []prompb.Sample{{Value: value, Timestamp: time.Now().UnixMilli()}},
	}}}
	raw, err := req.Marshal()
	require.NoError(t, err)
	return s.do(http.MethodPost, "/api/v1/write", http.Header{
		"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"},
	}, snappy.Encode(nil, raw))
}

func remoteWriteV2(t *testing.T, s *server, value float64, pairs ...string) *http.Response {
	t.Helper()
	table := writev2.NewSymbolTable()
	refs := table.SymbolizeLabels(labels.FromStrings(pairs...), nil)
	req := writev2.Request{Symbols: table.Symbols(), Timeseries: []writev2.TimeSeries{{
		LabelsRefs: refs, Samples: []writev2.Sample{{Value: value, Timestamp: time.Now().UnixMilli()}},
	}}}
	raw, err := req.Marshal()
	require.NoError(t, err)
	hr, err := http.NewRequest(http.MethodPost, s.url+"/api/v1/write", strings.NewReader(string(snappy.Encode(nil, raw))))
	require.NoError(t, err)
	hr.Header = http.Header{
		"Content-Type":     {"application/x-protobuf;proto=io.prometheus.write.v2.Request"},
		"Content-Encoding": {"snappy"}, "X-Prometheus-Remote-Write-Version": {"2.0.0"},
	}
	resp, err := http.DefaultClient.Do(hr)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestRemoteWriteToWebhook(t *testing.T) {
	t.Parallel()
	s, r := configured(t, "")
	code, body := remoteWriteV1(t, s, 40, "__name__", "temperature", "instance", "v1", "job", "kiln")
	require.Equal(t, 204, code, body)
	resp := remoteWriteV2(t, s, 41, "__name__", "temperature", "instance", "v2", "job", "kiln")
	require.Equal(t, 204, resp.StatusCode)
	require.Equal(t, "1", resp.Header.Get("X-Prometheus-Remote-Write-Samples-Written"))
	eventually(t, 30*time.Second, func() error {
		seen := map[string]bool{}
		for _, a := range r.webhook.Alerts() {
			seen[a.Labels["instance"]] = true
		}
		if !seen["v1"] || !seen["v2"] {
			return fmt.Errorf("alerts for %v", seen)
		}
		return nil
	})
	s.wantQuery("job:temperature:max", "41")

	code, body = s.do(http.MethodPost, "/api/v1/write", http.Header{
		"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"},
	}, []byte("nonsense"))
	require.Equal(t, 400, code, body)
	code, _ = s.do(http.MethodPost, "/api/v1/write", http.Header{"Content-Type": {"text/plain"}}, nil)
	require.Equal(t, 415, code)
	// One series over the limit is refused by name, the other is kept.
	code, body = remoteWriteV1(t, s, 1, "__name__", "long_label", "x", strings.Repeat("y", 9000))
	require.Equal(t, 400, code)
	require.Contains(t, body, "long_label")
	s.stop()
}

func TestSimpleRuleFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newReceivers(t, dir)
	write(t, dir, "rules.yml", `
rules:
- name: HotCPU
  metric: cpu_usage
  condition: value > 80.0 and core == "0"
  severity: critical
`)
	write(t, dir, "tocsin.yml", plainConfig)
	s := start(t, dir, "--config", "tocsin.yml")
	for _, core := range []string{"0", "1"} {
		code, body := remoteWriteV1(t, s, 93, "__name__", "cpu_usage", "core", core)
		require.Equal(t, 204, code, body)
	}
	a := r.wantAlert(t, "firing", "HotCPU")
	require.Equal(t, "0", a.Labels["core"])
	require.Equal(t, "critical", a.Labels["severity"])
	time.Sleep(2 * time.Second) // two more evaluations: the other core must not follow
	for _, a := range r.webhook.Alerts() {
		require.Equal(t, "0", a.Labels["core"])
	}
	s.stop()
}

// TestSilence silences by the v2 API before the breach; the silence survives kill -9.
func TestSilence(t *testing.T) {
	t.Parallel()
	s, r := configured(t, "")
	silence, err := json.Marshal(map[string]any{
		"matchers": []map[string]any{{"name": "instance", "value": "quiet", "isRegex": false, "isEqual": true}},
		"startsAt": time.Now().UTC().Format(time.RFC3339), "endsAt": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		"createdBy": "me", "comment": "maintenance",
	})
	require.NoError(t, err)
	code, body := s.do(http.MethodPost, "/api/v2/silences", http.Header{"Content-Type": {"application/json"}}, silence)
	require.Equal(t, 200, code, body)
	dir := s.dir
	s.kill()
	s = start(t, dir, "--config", "tocsin.yml")
	require.Contains(t, s.get("/api/v2/silences", 200), "maintenance")

	for _, instance := range []string{"quiet", "loud"} {
		code, body = remoteWriteV1(t, s, 50, "__name__", "temperature", "instance", instance, "job", "kiln")
		require.Equal(t, 204, code, body)
	}
	require.Equal(t, "loud", r.wantAlert(t, "firing", "TooHot").Labels["instance"])
	eventually(t, 20*time.Second, func() error {
		b := s.get("/api/v2/alerts?silenced=true&active=false", 200)
		if !strings.Contains(b, "quiet") {
			return fmt.Errorf("the silenced alert is not listed: %s", b)
		}
		return nil
	})
	for _, a := range r.webhook.Alerts() {
		require.NotEqual(t, "quiet", a.Labels["instance"])
	}
	s.stop()
}

// TestPlainPrometheusFile runs a prometheus.yml with what tocsin has not: it is named, not ignored.
func TestPlainPrometheusFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "prometheus.yml", `
global: {scrape_interval: 1s}
remote_read: [{url: 'http://127.0.0.1:1/read'}]
scrape_configs:
- job_name: clouds
  consul_sd_configs: [{server: '127.0.0.1:8500'}]
  relabel_configs: [{source_labels: [__address__], regex: '(.*)', target_label: x, replacement: '${1}'}]
`)
	s := start(t, dir, "--config", "prometheus.yml")
	require.Contains(t, s.log.String(), "consul_sd_configs")
	require.Contains(t, s.log.String(), "remote_read")
	require.Contains(t, s.get("/api/v1/status/config", 200), "clouds")
	code, out, _ := tocsin(t, "check", "config", "--json", filepath.Join(dir, "prometheus.yml"))
	require.Equal(t, 0, code)
	require.Contains(t, out, "consul_sd_configs")
	s.stop()
}

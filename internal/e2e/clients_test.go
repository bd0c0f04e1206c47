package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/tocsin/tocsin/internal/sim"
)

func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool := program(t, "promtool", "prometheus")
	s, _ := configured(t, "")
	code, body := remoteWriteV1(t, s, 33, "__name__", "temperature", "instance", "i", "job", "kiln")
	require.Equal(t, 204, code, body)
	s.wantQuery("job:temperature:max", "33")
	for _, args := range [][]string{
		{"query", "instant", s.url, "temperature > 1"},
		{"query", "range", s.url, "temperature"},
		{"query", "series", "--match", "temperature", s.url},
		{"query", "labels", s.url, "job"},
		{"check", "rules", filepath.Join(s.dir, "rules.yml")},
	} {
		code, out, errOut := runIn(t, "", promtool, args...)
		require.Equal(t, 0, code, "promtool %v: %s%s", args, out, errOut)
		if args[0] == "query" {
			require.Contains(t, out, "kiln", "promtool %v", args)
		}
	}
	s.stop()
}

func TestAmtool(t *testing.T) {
	t.Parallel()
	amtool := program(t, "amtool", "prometheus-alertmanager")
	s, r := configured(t, "")
	am := func(args ...string) string {
		t.Helper()
		code, out, errOut := runIn(t, s.dir, amtool, append([]string{"--alertmanager.url", s.url}, args...)...)
		require.Equal(t, 0, code, "amtool %v: %s%s", args, out, errOut)
		return out
	}
	am("alert", "add", "alertname=ByHand", "instance=a", "--annotation=summary=hello")
	r.wantAlert(t, "firing", "ByHand")
	require.Contains(t, am("alert", "query"), "ByHand")
	id := strings.TrimSpace(am("silence", "add", "alertname=ByHand", "--comment", "seen", "--duration", "1h", "--author", "me"))
	require.Contains(t, am("silence", "query"), id[:8])
	am("silence", "expire", id)
	require.Contains(t, am("config", "show"), "everywhere")
	require.Contains(t, am("cluster", "show"), "disabled")
	s.stop()
}

// TestPrometheusBeside has a real Prometheus write to tocsin and send its alerts here.
func TestPrometheusBeside(t *testing.T) {
	t.Parallel()
	prometheus := program(t, "prometheus", "prometheus")
	s, r := configured(t, "")
	u, err := url.Parse(s.url)
	require.NoError(t, err)
	target, err := sim.NewTarget()
	require.NoError(t, err)
	defer target.Close()
	require.NoError(t, target.Set("# TYPE temperature gauge\ntemperature 44\n# TYPE lat histogram\nlat_bucket{le=\"1\"} 2\nlat_bucket{le=\"+Inf\"} 3\nlat_sum 4\nlat_count 3\n"))
	dir := t.TempDir()
	write(t, dir, "rules.yml", "groups: [{name: g, interval: 1s, rules: [{alert: FromPrometheus, expr: temperature > 1}]}]\n")
	write(t, dir, "prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 1s, external_labels: {replica: b}}
rule_files: [rules.yml]
scrape_configs: [{job_name: far, static_configs: [{targets: ['%s']}]}]
remote_write: [{url: '%s/api/v1/write', queue_config: {batch_send_deadline: 1s}}]
alerting: {alertmanagers: [{static_configs: [{targets: ['%s']}]}]}
`, target.Addr(), s.url, u.Host))
	port := freePort(t)
	cmd := exec.Command(prometheus, "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", "127.0.0.1:"+port)
	background(t, cmd)
	s.wantQuery(`temperature{job="far",replica="b"}`, "44")
	s.wantQuery(`lat_count{job="far"}`, "3")
	require.Equal(t, "b", r.wantAlert(t, "firing", "FromPrometheus").Labels["replica"])
	require.Equal(t, "far", r.wantAlert(t, "firing", "TooHot").Labels["where"])
	s.stop()
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

func TestPythonPushes(t *testing.T) {
	t.Parallel()
	python := "/usr/bin/python3" // Debian's, which Debian's package installs for
	if code, _, _ := runIn(t, "", "sh", "-c", python+" -c 'import prometheus_client'"); code != 0 {
		t.Skip("LOUD SKIP: python3-prometheus-client is not installed (Debian package): this client was NOT tried")
	}
	s, _ := configured(t, "")
	script := `
import sys
from prometheus_client import CollectorRegistry, Gauge, push_to_gateway, pushadd_to_gateway, delete_from_gateway
r = CollectorRegistry()
g = Gauge('backup_bytes', 'Size.', ['disk'], registry=r)
g.labels('a/b').set(5)
key = {'instance': 'x', 'path': '/var/tmp'}
push_to_gateway(sys.argv[1], job='backup', registry=r, grouping_key=key)
r2 = CollectorRegistry()
Gauge('backup_seconds', 'Time.', registry=r2).set(2)
pushadd_to_gateway(sys.argv[1], job='backup', registry=r2, grouping_key=key)
if len(sys.argv) > 2:
    delete_from_gateway(sys.argv[1], job='backup', grouping_key=key)
`
	path := write(t, s.dir, "push.py", script)
	code, out, errOut := runIn(t, "", python, path, s.url)
	require.Equal(t, 0, code, out+errOut)
	s.wantQuery(`backup_bytes{job="backup",instance="x",path="/var/tmp",disk="a/b"}`, "5")
	s.wantQuery(`backup_seconds{job="backup",path="/var/tmp"}`, "2")
	code, out, errOut = runIn(t, "", python, path, s.url, "delete")
	require.Equal(t, 0, code, out+errOut)
	s.wantQuery(`backup_bytes`, "")
	s.stop()
}

func TestOpenTelemetrySDK(t *testing.T) {
	t.Parallel()
	s, r := configured(t, "")
	u, err := url.Parse(s.url)
	require.NoError(t, err)
	ctx := context.Background()
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(u.Host), otlpmetrichttp.WithInsecure())
	require.NoError(t, err)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(time.Hour))))
	gauge, err := provider.Meter("m").Float64Gauge("temperature")
	require.NoError(t, err)
	gauge.Record(ctx, 77, metric.WithAttributes())
	require.NoError(t, provider.ForceFlush(ctx))
	s.wantQuery(`temperature`, "77")
	r.wantAlert(t, "firing", "TooHot")
	require.NoError(t, provider.Shutdown(ctx))
	s.stop()
}

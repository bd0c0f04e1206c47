package notify

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestReloadGoodAndBad(t *testing.T) {
	first, second := newHook(t), newHook(t)
	reg := prometheus.NewRegistry()
	n := start(t, Options{Registerer: reg}, simple(first.URL, ""))
	send(n, firing("A", "i", "1"))
	eventually(t, "first", func() bool { return first.count("firing", "i", "1") == 1 })

	badTemplate := filepath.Join(t.TempDir(), "bad.tmpl")
	require.NoError(t, os.WriteFile(badTemplate, []byte("{{ define"), 0o600))
	for name, bad := range map[string]*amconfig.Config{
		"template":         load(t, simple(second.URL, fmt.Sprintf("templates: [%q]\n", badTemplate))),
		"file of receiver": load(t, simple(second.URL, "  slack_configs: [{api_url_file: /x, http_config: {tls_config: {ca_file: /not/there}}}]\n")),
		"no route":         {},
		"receiver missing": {Global: load(t, simple(second.URL, "")).Global, Route: &amconfig.Route{Receiver: "nobody"}},
	} {
		require.Error(t, n.Apply(bad), name)
	}
	send(n, firing("A", "i", "2"))
	eventually(t, "still the first", func() bool { return first.count("firing", "i", "2") == 1 })
	_, status := call(t, n.Handler(), "GET", "/api/v2/status", "")
	require.NotContains(t, status, "bad.tmpl")

	for range 3 { // no clash of metrics
		require.NoError(t, n.Apply(load(t, simple(second.URL, ""))))
	}
	send(n, firing("A", "i", "3"))
	eventually(t, "the second", func() bool { return second.count("firing", "i", "3") == 1 })
	require.Zero(t, second.count("firing", "i", "1"), "told again because of a reload")
	require.Equal(t, 1.0, metric(t, reg, "alertmanager_integrations"))
	_, body := call(t, n.Handler(), "GET", "/api/v2/alerts?filter=i%3D%221%22", "")
	require.Contains(t, body, `"i":"1"`, "alerts outlive a reload")
}

// TestReloadDoesNotRepeatWhatIsUnderWay reloads while a delivery waits for its answer.
func TestReloadDoesNotRepeatWhatIsUnderWay(t *testing.T) {
	h := newHook(t).block()
	n := start(t, Options{DrainTimeout: patience}, simple(h.URL, ""))
	for i := range 5 {
		send(n, firing("A", "i", strconv.Itoa(i)))
	}
	eventually(t, "under way", func() bool { return h.called() == 5 })
	require.NoError(t, n.Apply(load(t, simple(h.URL, ""))))
	h.release()
	send(n, firing("After"))
	eventually(t, "a later one", func() bool { return h.count("firing", "alertname", "After") == 1 })
	time.Sleep(1500 * time.Millisecond) // one group_interval, in which a repetition would come
	require.Equal(t, 6, h.called())
}

// TestReloadCutsOffWhatHangs: what outlasts the drain is tried anew by the new pipeline.
func TestReloadCutsOffWhatHangs(t *testing.T) {
	h := newHook(t).block()
	n := start(t, Options{DrainTimeout: 200 * time.Millisecond}, simple(h.URL, ""))
	send(n, firing("A", "i", "1"))
	eventually(t, "under way", func() bool { return h.called() == 1 })
	began := time.Now()
	require.NoError(t, n.Apply(load(t, simple(h.URL, ""))))
	require.Less(t, time.Since(began), soon, "a reload waits for nobody")
	eventually(t, "tried by the new pipeline", func() bool { return h.called() == 2 })
	require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond, "the old delivery had its time")
	h.release()
	eventually(t, "delivered by the new pipeline", func() bool { return h.count("firing", "i", "1") >= 1 })
}

func TestLifecycle(t *testing.T) {
	h := newHook(t)
	n, err := New(Options{Logger: testLogger(t), Dir: t.TempDir()})
	require.NoError(t, err)
	require.NoError(t, n.Apply(load(t, simple(h.URL, ""))))
	send(n, firing("Early")) // before Start: kept, and told of thereafter
	_, body := call(t, n.Handler(), "GET", "/api/v2/alerts/groups", "")
	require.Equal(t, "[]\n", body)
	require.Zero(t, h.called())
	n.Start()
	n.Start()
	eventually(t, "told of after Start", func() bool { return h.count("firing", "alertname", "Early") == 1 })
	n.Stop()
	n.Stop()
	require.Error(t, n.Apply(nil))
	code, _ := call(t, n.Handler(), "GET", "/api/v2/alerts", "")
	require.Equal(t, http.StatusOK, code)

	never, err := New(Options{})
	require.NoError(t, err)
	never.Stop()
	never.Start()
}

// TestNothingRunsAfterStop counts goroutines, with reloads in between, and with a StartDelay that is not over.
func TestNothingRunsAfterStop(t *testing.T) {
	before := goleak.IgnoreCurrent()
	n, err := New(Options{Dir: t.TempDir(), StartDelay: 4 * time.Second})
	require.NoError(t, err)
	n.Start()
	for range 3 {
		require.NoError(t, n.Apply(load(t, simple("http://127.0.0.1:1/", criticalOverWarning))))
		send(n, firing("A", "severity", "critical"))
	}
	began := time.Now()
	n.Stop()
	require.Less(t, time.Since(began), 3*time.Second, "Stop waited for StartDelay")
	eventually(t, "no goroutine left", func() bool { return goleak.Find(before) == nil })
}

func TestStopWaitsForDeliveries(t *testing.T) {
	h := newHook(t).block()
	n := start(t, Options{DrainTimeout: patience}, simple(h.URL, ""))
	var seen deliveries
	n.opts.OnDelivery = seen.add
	require.NoError(t, n.Apply(load(t, simple(h.URL, ""))))
	send(n, firing("A"))
	eventually(t, "under way", func() bool { return h.called() == 1 })
	stopped := make(chan struct{})
	go func() { n.Stop(); close(stopped) }()
	eventually(t, "stopping", n.stopped.Load)
	select {
	case <-stopped:
		t.Fatal("Stop did not wait")
	default:
	}
	h.release()
	<-stopped
	require.Len(t, seen.list(), 1)
	require.NoError(t, seen.list()[0].Err)
}

func TestOptionsValidate(t *testing.T) {
	for name, o := range map[string]Options{
		"negative duration": {DrainTimeout: -1},
		"negative limit":    {MaxSilences: -1},
		"drill not a URL":   {DrillURL: "::"},
		"drill no host":     {DrillURL: "http:///x"},
		"drill scheme":      {DrillURL: "ftp://x/y"},
	} {
		_, err := New(o)
		require.Error(t, err, name)
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := New(Options{Dir: filepath.Join(file, "dir")})
	require.ErrorContains(t, err, file)
}

func TestWarnings(t *testing.T) {
	require.Empty(t, Warnings(Builtin(), 0))
	got := Warnings(load(t, `
route: {receiver: r, group_interval: 1h, repeat_interval: 1m, routes: [{receiver: r, repeat_interval: 1000h}]}
receivers: [{name: r}]
`), 0)
	require.Len(t, got, 2, "%q", got)
	require.Contains(t, got[0], "shorter than group_interval")
	require.Contains(t, got[1], "longer than the notification log is kept")
}

package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/tenant"
)

func TestReadiness(t *testing.T) {
	s, err := New(Options{Compiler: compiler(), Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	expect := func(method, path string, want int) {
		t.Helper()
		code, body := read(t, ask(t, s, method, path, ""))
		require.Equal(t, want, code, body)
	}
	expect(http.MethodGet, "/-/healthy", http.StatusOK)
	expect(http.MethodHead, "/-/healthy", http.StatusOK)
	expect(http.MethodGet, "/-/ready", http.StatusServiceUnavailable)
	expect(http.MethodHead, "/-/ready", http.StatusServiceUnavailable)
	expect(http.MethodGet, "/api/v1/query?query=1", http.StatusServiceUnavailable)
	expect(http.MethodGet, "/", http.StatusServiceUnavailable)

	require.NoError(t, s.SetTenants(map[tenant.ID]*Tenant{tenant.Default: {History: newHistory(t, fixtureNow())}}))
	require.Error(t, s.SetTenants(nil), "once")
	expect(http.MethodGet, "/api/v1/query?query=1", http.StatusServiceUnavailable)
	expect(http.MethodGet, "/api/v1/rules", http.StatusServiceUnavailable)
	expect(http.MethodPost, "/metrics/job/x", http.StatusNotFound)

	s.SetReady(true)
	expect(http.MethodGet, "/-/ready", http.StatusOK)
	expect(http.MethodHead, "/-/ready", http.StatusOK)
	expect(http.MethodGet, "/api/v1/query?query=1", http.StatusOK)
	expect(http.MethodGet, "/", http.StatusOK)
}

func TestReload(t *testing.T) {
	var fails error
	s := newServer(t, func(o *Options, _ *Tenant) { o.Reload = func() error { return fails } })
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		code, body := read(t, ask(t, s, method, "/-/reload", ""))
		require.Equal(t, http.StatusOK, code)
		require.Empty(t, body)
	}
	code, _ := get(t, s, "/-/reload")
	require.Equal(t, http.StatusMethodNotAllowed, code)
	fails = errors.New("prometheus.yml:3:1: field globel not found")
	code, body := read(t, ask(t, s, http.MethodPost, "/-/reload", ""))
	require.Equal(t, http.StatusInternalServerError, code)
	require.Equal(t, "failed to reload config: prometheus.yml:3:1: field globel not found\n", body)
}

func TestWhatIsOffUnlessEnabled(t *testing.T) {
	s := newServer(t, nil)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1", "/debug/vars"} {
		code, _ := get(t, s, path)
		require.Equal(t, http.StatusNotFound, code, path)
	}
	code, body := read(t, ask(t, s, http.MethodPost, "/-/quit", ""))
	require.Equal(t, http.StatusForbidden, code)
	require.Contains(t, body, "not enabled")
	code, body = read(t, ask(t, s, http.MethodPost, "/api/v1/admin/tsdb/delete_series?match[]=up", ""))
	require.Equal(t, http.StatusInternalServerError, code, "as upstream answers")
	require.Contains(t, body, "admin APIs disabled")

	quit := false
	s = newServer(t, func(o *Options, _ *Tenant) {
		o.EnablePprof, o.EnableQuit, o.EnableAdminAPI, o.Quit = true, true, true, func() { quit = true }
	})
	code, body = get(t, s, "/debug/pprof/")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "goroutine")
	code, _ = read(t, ask(t, s, http.MethodPost, "/-/quit", ""))
	require.Equal(t, http.StatusOK, code)
	require.True(t, quit)
	code, _ = read(t, ask(t, s, http.MethodPost, "/api/v1/admin/tsdb/delete_series?match[]=up", ""))
	require.Equal(t, http.StatusNoContent, code)
	_, body = get(t, s, "/api/v1/query?query=count(up)&time=1773480413")
	require.Contains(t, body, `"result":[]`)
}

func TestTenants(t *testing.T) {
	var seen tenant.ID
	s := newServer(t, func(_ *Options, m *Tenant) {
		m.RemoteWrite = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = tenant.FromContext(r.Context()) })
	})
	for name, want := range map[string]int{
		"": http.StatusOK, "default": http.StatusOK, "other": http.StatusNotFound, "../x": http.StatusBadRequest, "a|b": http.StatusBadRequest,
	} {
		for _, path := range []string{"/api/v1/query?query=1", "/api/v1/rules", "/", "/federate?match[]=up"} {
			code, body := get(t, s, path, TenantHeader+": "+name)
			require.Equal(t, want, code, name)
			if want >= 400 {
				var e struct{ Status, ErrorType, Error string }
				require.NoError(t, json.Unmarshal([]byte(body), &e))
				require.Equal(t, "error", e.Status)
				require.Contains(t, e.Error, TenantHeader)
			}
		}
	}
	code, _ := read(t, ask(t, s, http.MethodPost, "/api/v1/write", ""))
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, tenant.Default, seen)
	seen = "nobody"
	code, _ = read(t, ask(t, s, http.MethodPost, "/api/v1/write", "", TenantHeader+": other"))
	require.Equal(t, http.StatusNotFound, code)
	require.EqualValues(t, "nobody", seen)
}

// TestOneTenantARequest: a proxy that looks at one header must not be passed by another.
func TestOneTenantARequest(t *testing.T) {
	s := newServer(t, nil)
	for want, names := range map[int][]string{
		http.StatusOK: {"default", "default"}, http.StatusBadRequest: {"default", "other"},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9909/api/v1/query?query=1", nil)
		r.Header[http.CanonicalHeaderKey(TenantHeader)] = names
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		require.Equal(t, want, w.Code, "%v: %s", names, w.Body)
	}
}

// TestDoorsLeadToTheirHandlers also shows that a pushed group's path arrives as it was sent.
func TestDoorsLeadToTheirHandlers(t *testing.T) {
	says := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(name + " " + r.Method + " " + r.URL.EscapedPath()))
		})
	}
	s := newServer(t, func(o *Options, m *Tenant) {
		m.RemoteWrite, m.OTLP, m.Push, m.Alertmanager = says("write"), says("otlp"), says("push"), says("am")
		o.Handlers = map[string]http.Handler{"POST /api/v1/drill": says("drill")}
	})
	for request, want := range map[string]string{
		"POST /api/v1/write":                    "write POST /api/v1/write",
		"POST /api/v1/otlp/v1/metrics":          "otlp POST /api/v1/otlp/v1/metrics",
		"POST /v1/metrics":                      "otlp POST /v1/metrics",
		"PUT /metrics/job/a//b/":                "push PUT /metrics/job/a//b/",
		"DELETE /metrics/job/a/path/x%2F..%2Fy": "push DELETE /metrics/job/a/path/x%2F..%2Fy",
		"POST /metrics/job@base64/YQ":           "push POST /metrics/job@base64/YQ",
		"GET /api/v2/alerts":                    "am GET /api/v2/alerts",
		"DELETE /api/v2/silence/1":              "am DELETE /api/v2/silence/1",
		"POST /api/v1/drill":                    "drill POST /api/v1/drill",
	} {
		method, path, _ := strings.Cut(request, " ")
		code, body := read(t, ask(t, s, method, path, ""))
		require.Equal(t, http.StatusOK, code, request)
		require.Equal(t, want, body)
	}
	_, metrics := get(t, s, "/metrics")
	for _, series := range []string{
		`prometheus_http_requests_total{code="200",handler="/metrics/job"} 3`,
		`prometheus_http_request_duration_seconds_count{handler="/api/v1/write"} 1`,
		`tocsin_ingest_request_duration_seconds_count{protocol="otlp"} 2`,
		`tocsin_ingest_request_duration_seconds_count{protocol="remote_write"} 1`,
	} {
		require.Contains(t, metrics, series)
	}
}

func TestUnknownPaths(t *testing.T) {
	s := newServer(t, nil)
	for _, path := range []string{"/api/v1/nothing", "/api/v3/x", "/api/", "/api/v1/"} {
		r := ask(t, s, http.MethodGet, path, "")
		require.Equal(t, "application/json", r.Header.Get("Content-Type"), path)
		code, body := read(t, r)
		require.Equal(t, http.StatusNotFound, code, path)
		require.Contains(t, body, `"errorType":"not_found"`)
		require.Contains(t, body, path)
	}
	code, body := read(t, ask(t, s, http.MethodDelete, "/api/v1/query", ""))
	require.Equal(t, http.StatusMethodNotAllowed, code)
	require.Contains(t, body, `"status":"error"`)
	for _, path := range []string{"/nothing", "/assets/layout.html", "/assets/..%2fserver.go", "/metrics/x"} {
		code, body := get(t, s, path)
		require.Equal(t, http.StatusNotFound, code, path)
		require.Contains(t, body, "The status page is at /")
	}
	for _, request := range []string{"POST /api/v1/write", "POST /v1/metrics", "PUT /metrics/job/x", "GET /api/v2/alerts"} {
		method, path, _ := strings.Cut(request, " ")
		code, body := read(t, ask(t, s, method, path, ""))
		require.Equal(t, http.StatusNotFound, code)
		require.Contains(t, body, "is not enabled here")
	}
}

func TestUpstreamAnswers(t *testing.T) {
	s := newServer(t, nil)
	for path, want := range map[string]string{
		"/api/v1/query?query=sum(up)&time=1773480413":               `"value":[1773480413,"3"]`,
		"/api/v1/query?query=sum(":                                  `"errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis"`,
		"/api/v1/format_query?query=sum(up)by(job)":                 `"sum by (job) (up)"`,
		"/api/v1/parse_query?query=up":                              `"type":"vectorSelector"`,
		"/api/v1/labels":                                            `"instance"`,
		"/api/v1/label/job/values":                                  `["api","node"]`,
		"/api/v1/series?match[]=up&start=1773479413&end=1773480413": `"instance":"db-1:9100"`,
		"/api/v1/targets":                                           `"activeTargets":[]`,
		"/api/v1/alertmanagers":                                     `"activeAlertmanagers":[]`,
		"/api/v1/status/config":                                     `"yaml":`,
		"/api/v1/status/buildinfo":                                  `"version":"` + CompatibleVersion + `"`,
		"/api/v1/status/runtimeinfo":                                `"reloadConfigSuccess":true`,
		"/api/v1/status/tsdb":                                       `"numSeries":7`,
		"/api/v1/status/flags":                                      `"success"`,
		"/api/v1/features":                                          `"remote_write_receiver":true`,
		"/api/v1/notifications":                                     `"data":[]`,
		"/api/v1/alerts":                                            `{"status":"success","data":{"alerts":[]}}`,
		"/api/v1/rules":                                             `{"status":"success","data":{"groups":[]}}`,
	} {
		_, body := get(t, s, path)
		require.Contains(t, body, want, path)
	}
}

func TestStatus(t *testing.T) {
	at := fixtureNow().Add(-time.Minute)
	s := newServer(t, func(o *Options, m *Tenant) {
		o.ConfigState = func() ConfigState { return ConfigState{File: "p.yml", Error: "p.yml:1:1: no", Time: at} }
		m.Groups = func() []engine.GroupStatus { return busyGroups(t, fixtureNow()) }
		m.RuleFiles = func() []rule.FileStatus { return []rule.FileStatus{{Path: "a.yml", Errors: []string{"a.yml:2: bad"}}} }
		m.Ingested = func() []Ingested { return []Ingested{{"scrape", 12}, {"otlp", 3}} }
	})
	_, body := get(t, s, "/api/v1/status")
	var found struct{ Data status }
	require.NoError(t, json.Unmarshal([]byte(body), &found))
	d := found.Data
	require.Equal(t, ConfigState{File: "p.yml", Error: "p.yml:1:1: no", Time: at}, d.Config)
	require.Equal(t, ruleCounts{Groups: 3, Rules: 7, Failing: 1, Firing: 3, Pending: 1, BadFiles: 1}, d.Rules)
	require.Equal(t, []tenant.ID{tenant.Default}, d.Tenants)
	require.Equal(t, "0.1.0", d.Version.Version)
	require.Equal(t, map[string]float64{"scrape": 12, "otlp": 3}, d.Ingest.SamplesTotal)
	require.EqualValues(t, 7, d.Ingest.HeadSeries)
	require.Contains(t, body, `"last_reload_successful":false`)

	_, body = get(t, s, "/api/v1/rule_files")
	require.Contains(t, body, `{"files":[{"path":"a.yml"`)
	_, body = get(t, s, "/api/v1/notifications")
	require.Contains(t, body, "Configuration reload has failed")
	_, body = get(t, s, "/version")
	require.Contains(t, body, `"prometheus_api": "`+CompatibleVersion+`"`)
}

func TestMetadataIsMerged(t *testing.T) {
	s := newServer(t, func(_ *Options, m *Tenant) {
		gauge := metadata.Metadata{Type: model.MetricTypeGauge, Help: "h"}
		m.History.Describe("a", gauge)
		m.History.Describe("a", metadata.Metadata{Type: model.MetricTypeCounter})
		m.History.Describe("b", gauge)
	})
	for query, want := range map[string]string{
		"":                            `{"a":[{"type":"counter","unit":"","help":""},{"type":"gauge","unit":"","help":"h"}],"b":[{"type":"gauge","unit":"","help":"h"}]}`,
		"?metric=b":                   `{"b":[{"type":"gauge","unit":"","help":"h"}]}`,
		"?limit=1&limit_per_metric=1": `{"a":[{"type":"counter","unit":"","help":""}]}`,
		"?limit=0":                    `{}`,
		"?metric=none":                `{}`,
	} {
		_, body := get(t, s, "/api/v1/metadata"+query)
		require.Equal(t, `{"status":"success","data":`+want+`}`, body, query)
	}
	code, body := get(t, s, "/api/v1/metadata?limit=x")
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, body, "limit must be a number")
}

func TestAPanicHarmsOneRequestOnly(t *testing.T) {
	s := newServer(t, func(_ *Options, m *Tenant) {
		m.Groups = func() []engine.GroupStatus { panic("on purpose") }
	})
	code, body := get(t, s, "/api/v1/alerts")
	require.Equal(t, http.StatusInternalServerError, code)
	require.NotContains(t, body, "on purpose")
	code, _ = get(t, s, "/api/v1/query?query=1")
	require.Equal(t, http.StatusOK, code)
}

func TestOptionsAreChecked(t *testing.T) {
	for want, o := range map[string]Options{
		"Compiler":           {},
		"HOST:PORT":          {Compiler: compiler(), ListenAddress: "9909"},
		"regular expression": {Compiler: compiler(), CORSOrigin: "("},
		"EnableQuit":         {Compiler: compiler(), EnableQuit: true},
		"History":            {Compiler: compiler(), Tenants: map[tenant.ID]*Tenant{"x": {}}},
	} {
		_, err := New(o)
		require.ErrorContains(t, err, want)
	}
	reg := prometheus.NewRegistry()
	_, err := New(Options{Compiler: compiler(), Registerer: reg})
	require.NoError(t, err)
	_, err = New(Options{Compiler: compiler(), Registerer: reg})
	require.ErrorContains(t, err, "register metrics")
}

func TestRates(t *testing.T) {
	r, at := &rates{}, fixtureNow()
	require.Empty(t, r.perSecond())
	r.observe(at, map[string]float64{"scrape": 100})
	require.Empty(t, r.perSecond(), "one reading is no rate")
	r.observe(at.Add(10*time.Second), map[string]float64{"scrape": 300, "otlp": 50})
	require.Equal(t, map[string]float64{"scrape": 20, "otlp": 5}, r.perSecond())
	r.observe(at.Add(20*time.Second), map[string]float64{"scrape": 40})
	require.Equal(t, map[string]float64{"scrape": 2}, r.perSecond(), "started again from zero")
	for i := range 100 {
		r.observe(at.Add(time.Duration(i+30)*time.Second), nil)
	}
	require.Len(t, r.readings, rateReadings)
}

// TestCompatibleVersionIsTheLibrarys: Prometheus 3.15.0 is the module's v0.315.0.
func TestCompatibleVersionIsTheLibrarys(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	found := regexp.MustCompile(`github\.com/prometheus/prometheus v0\.(\d)(\d\d)\.(\d+)`).FindStringSubmatch(string(mod))
	require.Len(t, found, 4)
	require.Equal(t, found[1]+"."+strings.TrimPrefix(found[2], "0")+"."+found[3], CompatibleVersion)
}

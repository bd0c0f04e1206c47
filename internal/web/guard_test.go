package web

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHostMustBeOurs: a page that rebinds its name to 127.0.0.1 must not read the API, nor reload.
func TestHostMustBeOurs(t *testing.T) {
	external, err := url.Parse("https://tocsin.example.com/x")
	require.NoError(t, err)
	s := newServer(t, func(o *Options, _ *Tenant) { o.ExternalURL, o.AllowedHosts = external, []string{"proxy.lan"} })
	for host, ok := range map[string]bool{
		"127.0.0.1:9909": true, "localhost": true, "LocalHost:9909": true, "[::1]:9909": true, "a.localhost:1": true,
		"tocsin.example.com": true, "TOCSIN.example.com:443": true, "proxy.lan:80": true, "192.168.1.4": true, "localhost.": true,
		"evil.example:9909": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "example.com": false,
	} {
		want := http.StatusOK
		if !ok {
			want = http.StatusMisdirectedRequest
		}
		code, body := get(t, s, "/api/v1/query?query=1", "Host: "+host)
		require.Equal(t, want, code, host)
		if !ok {
			require.Contains(t, body, host)
			require.Contains(t, body, "external URL")
		}
	}
	code, metrics := get(t, s, "/metrics")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, metrics, `tocsin_http_requests_refused_total{reason="host"} 4`)
}

// TestAWebConfigurationIsNoPassword: the guard stands where the file asks for nothing, too.
func TestAWebConfigurationIsNoPassword(t *testing.T) {
	for content, want := range map[string]int{
		"{}\n": http.StatusMisdirectedRequest, "http_server_config: {headers: {X-Frame-Options: deny}}\n": http.StatusMisdirectedRequest,
		users: http.StatusOK, // the password itself is asked for before the guards
	} {
		s := newServer(t, func(o *Options, _ *Tenant) { o.WebConfigFile = webConfig(t, content) })
		code, _ := get(t, s, "/metrics", "Host: evil.example")
		require.Equal(t, want, code, content)
		code, _ = get(t, s, "/metrics", "Host: localhost:9909")
		require.Equal(t, http.StatusOK, code, content)
	}
}

// TestBehindAuthenticationAnyHostWillDo: then a rebound page has no credentials.
func TestBehindAuthenticationAnyHostWillDo(t *testing.T) {
	s := newServer(t, func(o *Options, _ *Tenant) { o.ListenAddress, o.WebConfigFile = "0.0.0.0:9909", webConfig(t, users) })
	code, _ := get(t, s, "/-/healthy", "Host: whatever.example")
	require.Equal(t, http.StatusOK, code)
}

func TestCrossOriginWritesAreRefused(t *testing.T) {
	reloads := 0
	accept := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	s := newServer(t, func(o *Options, m *Tenant) {
		o.Reload = func() error { reloads++; return nil }
		o.CORSOrigin = `https://grafana\.example`
		m.Push, m.Alertmanager, m.RemoteWrite = accept, accept, accept
	})
	foreign := []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}
	for _, path := range []string{"/-/reload", "/metrics/job/x", "/api/v2/silences", "/api/v1/write", "/api/v1/query"} {
		for _, headers := range [][]string{foreign, foreign[:1], foreign[1:], {"Sec-Fetch-Site: same-site"}} {
			code, _ := read(t, ask(t, s, http.MethodPost, path, "query=1", headers...))
			require.Equal(t, http.StatusForbidden, code, "%s %v", path, headers)
		}
	}
	require.Zero(t, reloads)

	// What is no browser sends neither header; our own pages send their own origin.
	for _, headers := range [][]string{nil, {"Sec-Fetch-Site: same-origin"}, {"Origin: http://127.0.0.1:9909"}} {
		code, _ := read(t, ask(t, s, http.MethodPost, "/-/reload", "", headers...))
		require.Equal(t, http.StatusOK, code, "%v", headers)
	}
	require.Equal(t, 3, reloads)

	// An origin that may read may query by POST, and nothing else.
	form := "Content-Type: application/x-www-form-urlencoded"
	r := ask(t, s, http.MethodPost, "/api/v1/query", "query=1", "Origin: https://grafana.example", "Sec-Fetch-Site: cross-site", form)
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, "https://grafana.example", r.Header.Get("Access-Control-Allow-Origin"))
	code, _ := read(t, ask(t, s, http.MethodPost, "/-/reload", "", "Origin: https://grafana.example", "Sec-Fetch-Site: cross-site"))
	require.Equal(t, http.StatusForbidden, code)
}

func TestNoOriginMayReadByDefault(t *testing.T) {
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	s := newServer(t, func(o *Options, m *Tenant) { m.Alertmanager = ok })
	admitting := newServer(t, func(o *Options, m *Tenant) { o.CORSOrigin, m.Alertmanager = `https://.*\.example`, ok })
	for _, path := range []string{"/api/v1/query?query=1", "/api/v1/rules", "/api/v1/status", "/api/v2/alerts"} {
		r := ask(t, s, http.MethodGet, path, "", "Origin: https://evil.example")
		require.Equal(t, http.StatusOK, r.StatusCode)
		require.Empty(t, r.Header.Get("Access-Control-Allow-Origin"), path)
		r = ask(t, admitting, http.MethodGet, path, "", "Origin: https://good.example")
		require.Equal(t, "https://good.example", r.Header.Get("Access-Control-Allow-Origin"), path)
	}
}

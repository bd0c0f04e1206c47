package web

import (
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/prometheus/util/httputil"
)

// Handler returns everything that the server serves, guards included; TLS and basic authentication are Serve's.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern, name string, h http.Handler) { mux.Handle(pattern, s.metrics.instrument(name, h)) }

	handle("GET /-/healthy", "/-/healthy", http.HandlerFunc(s.healthy))
	handle("GET /-/ready", "/-/ready", http.HandlerFunc(s.readiness))
	handle("/-/reload", "/-/reload", lifecycle(s.serveReload))
	handle("/-/quit", "/-/quit", lifecycle(s.serveQuit))
	handle("GET /metrics", "/metrics", promhttp.HandlerFor(s.options.Gatherer, promhttp.HandlerOpts{
		EnableOpenMetrics: true,
		ErrorHandling:     promhttp.ContinueOnError,
	}))
	handle("GET /version", "/version", http.HandlerFunc(s.serveVersion))
	handle("GET /assets/", "/assets", http.HandlerFunc(s.page.serveAsset))
	handle("GET /favicon.ico", "/assets", http.RedirectHandler("/assets/quiet.svg", http.StatusFound))
	if s.options.EnablePprof {
		handle("/debug/pprof/", "/debug/pprof", http.HandlerFunc(pprof.Index))
		handle("/debug/pprof/cmdline", "/debug/pprof/cmdline", http.HandlerFunc(pprof.Cmdline))
		handle("/debug/pprof/profile", "/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
		handle("/debug/pprof/symbol", "/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
		handle("/debug/pprof/trace", "/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	}
	for pattern, h := range s.options.Handlers {
		handle(pattern, pattern, h)
	}
	mux.HandleFunc("/", s.forTenant)
	return s.recovered(s.guarded(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isPush(r.URL.Path) {
			s.forTenant(w, r) // a pushed group's path is data: a mux would clean it
			return
		}
		mux.ServeHTTP(w, r)
	})))
}

// tenantRoutes returns what one tenant serves.
func (s *Server) tenantRoutes(m *mounted) http.Handler {
	t, c := m.tenant, s.options.Compiler
	mux := http.NewServeMux()
	handle := func(pattern, name string, h http.Handler) { mux.Handle(pattern, s.metrics.instrument(name, h)) }
	api := func(pattern, name string, h http.HandlerFunc) { handle(pattern, name, s.api(h)) }
	ingest := func(protocol string, h http.Handler) http.Handler {
		if h == nil {
			return notServed(protocol)
		}
		return s.metrics.ingested(protocol, s.whenReady(h.ServeHTTP))
	}

	// Prometheus's API: upstream's, with ours in front where the state is ours.
	upstream := boundedQuery(s.upstreamAPI(m.id, t, noRules{}))
	mux.HandleFunc("/api/v1/", func(w http.ResponseWriter, r *http.Request) {
		upstream.ServeHTTP(&jsonErrors{ResponseWriter: w, r: r}, r)
	})
	api("GET /api/v1/rules", "/api/v1/rules", t.serveRules(c))
	api("GET /api/v1/rules/explain", "/api/v1/rules/explain", t.serveExplain)
	api("GET /api/v1/explain", "/api/v1/explain", t.serveWhy(c))
	api("GET /api/v1/alerts", "/api/v1/alerts", t.serveAlerts)
	api("GET /api/v1/metadata", "/api/v1/metadata", t.serveMetadata)
	api("GET /api/v1/rule_files", "/api/v1/rule_files", t.serveRuleFiles)
	api("GET /api/v1/status", "/api/v1/status", s.serveStatus(m))
	s.recordRoutes(t, handle, api)
	handle("GET /federate", "/federate", s.compressed(s.serveFederate(t)))

	// Doors of the push protocols.
	handle("POST /api/v1/write", "/api/v1/write", ingest("remote_write", t.RemoteWrite))
	handle("POST /api/v1/otlp/v1/metrics", "/api/v1/otlp/v1/metrics", ingest("otlp", t.OTLP))
	handle("POST /v1/metrics", "/v1/metrics", ingest("otlp", t.OTLP))

	// Alertmanager's API.
	alertmanager := t.Alertmanager
	if alertmanager == nil {
		alertmanager = notServed("Alertmanager's API")
	}
	handle("/api/v2/", "/api/v2", s.whenReady(func(w http.ResponseWriter, r *http.Request) {
		httputil.SetCORS(w, s.origin, r)
		alertmanager.ServeHTTP(w, r)
	}))

	handle("GET /{$}", "/", s.compressed(s.serveStatusPage(m)))
	handle("GET /graph", "/graph", s.compressed(s.serveGraph(m)))
	// Prometheus has a page for each of these; bookmarks of them find the section here.
	for _, section := range []string{"alerts", "rules", "targets", "history"} {
		handle("GET /"+section, "/"+section, toSection(section))
	}
	handle("/", "unknown", http.HandlerFunc(notFound))

	push := s.metrics.instrument("/metrics/job", ingest("push", t.Push))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isPush(r.URL.Path) {
			push.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// recordRoutes are what the ledger and the outbox answer, and what people tell them.
func (s *Server) recordRoutes(t *Tenant, handle func(pattern, name string, h http.Handler), api func(pattern, name string, h http.HandlerFunc)) {
	c, now := s.options.Compiler, s.options.Clock
	api("GET /api/v1/history", "/api/v1/history", t.serveHistory(c))
	handle("GET /api/v1/history/export", "/api/v1/history/export", s.whenReady(s.serveExport(t)))
	api("GET /api/v1/acks", "/api/v1/acks", t.serveAcks)
	api("POST /api/v1/acks", "/api/v1/acks", t.serveAcknowledge(now))
	api("DELETE /api/v1/acks/{id}", "/api/v1/acks/{id}", t.serveUnacknowledge)
	api("GET /api/v1/notifications/outbox", "/api/v1/notifications/outbox", t.serveNotifications)
	api("POST /api/v1/notifications/{id}/resend", "/api/v1/notifications/{id}/resend", t.serveNotification(t.Resend))
	api("DELETE /api/v1/notifications/{id}", "/api/v1/notifications/{id}", t.serveNotification(t.Discard))
	api("GET /api/v1/recurring-silences", "/api/v1/recurring-silences", t.serveRecurring)
	api("POST /api/v1/recurring-silences", "/api/v1/recurring-silences", t.serveAddRecurring(now))
	api("DELETE /api/v1/recurring-silences/{id}", "/api/v1/recurring-silences/{id}", t.serveRemoveRecurring)
}

// toSection leads to a section of the status page. The address is relative, so that it holds behind a path prefix too.
func toSection(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "./#"+name)
		w.WriteHeader(http.StatusFound)
	})
}

// isPush reports whether path is a Pushgateway group's: /metrics/job/… or /metrics/job@base64/….
func isPush(path string) bool {
	return strings.HasPrefix(path, "/metrics/job/") || strings.HasPrefix(path, "/metrics/job@base64/")
}

// api wraps h as upstream wraps its own handlers: 503 until ready, CORS headers, compression.
func (s *Server) api(h http.HandlerFunc) http.Handler {
	return s.compressed(func(w http.ResponseWriter, r *http.Request) {
		httputil.SetCORS(w, s.origin, r)
		h(w, r)
	})
}

func (s *Server) compressed(h http.HandlerFunc) http.Handler {
	return s.whenReady(httputil.CompressionHandler{Handler: h}.ServeHTTP)
}

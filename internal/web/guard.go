package web

import (
	"net"
	"net/http"
	"strings"
)

// Reasons for which the guards refuse a request, as tocsin_http_requests_refused_total counts them.
const (
	refusedHost    = "host"
	refusedOrigin  = "origin"
	refusedExposed = "exposed"
)

// guarded puts the guards before next, in this order: is the server still allowed to listen where it does; does the
// request mean this server; and, if it would change something, does it come from a page of ours or from no page at all.
func (s *Server) guarded(next http.Handler) http.Handler {
	host, _, _ := net.SplitHostPort(s.options.ListenAddress) // Validate has seen it
	// A web configuration need not ask for a password: one with TLS alone, or with nothing in it, keeps nobody out. Over
	// TLS a foreign name is harmless all the same, as it has no certificate here.
	loopback := s.options.ListenAddress == "" || isLoopback(host)
	watch := &exposureWatch{file: s.options.WebConfigFile}
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch {
		case !loopback && !watch.allows():
			s.refuse(w, http.StatusForbidden, refusedExposed, ErrExposed.Error()+"; the web configuration no longer asks for it")
		case loopback && r.TLS == nil && !s.knowsHost(r.Host) && !watch.allows():
			s.refuse(w, http.StatusMisdirectedRequest, refusedHost, "this server does not answer to the name "+r.Host+
				" while it listens on loopback without authentication; use 127.0.0.1 or localhost, or make the name its external URL's")
		case cross.Check(r) != nil && !s.mayReadAcross(r):
			s.refuse(w, http.StatusForbidden, refusedOrigin, "a page of another origin may not do this")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *Server) refuse(w http.ResponseWriter, code int, reason, message string) {
	s.metrics.refused.WithLabelValues(reason).Inc()
	apiError(w, code, "forbidden", message)
}

// knowsHost reports whether hostport names this server. A page that rebinds its own name to 127.0.0.1 sends that name;
// it cannot send an address, nor localhost.
func (s *Server) knowsHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if host == "" || net.ParseIP(host) != nil || strings.EqualFold(host, "localhost") ||
		strings.HasSuffix(strings.ToLower(host), ".localhost") || strings.EqualFold(host, s.options.ExternalURL.Hostname()) {
		return true
	}
	for _, allowed := range s.options.AllowedHosts {
		if strings.EqualFold(host, allowed) {
			return true
		}
	}
	return false
}

// mayReadAcross reports whether r is a query sent by POST from an origin that CORSOrigin admits.
func (s *Server) mayReadAcross(r *http.Request) bool {
	if r.Method != http.MethodPost || !s.origin.MatchString(r.Header.Get("Origin")) {
		return false
	}
	switch r.URL.Path {
	case "/api/v1/query", "/api/v1/query_range", "/api/v1/query_exemplars", "/api/v1/format_query",
		"/api/v1/parse_query", "/api/v1/labels", "/api/v1/series":
		return true
	}
	return false
}

package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grafana/regexp"
	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/tocsin/tocsin/internal/tenant"
)

// phase is where the server stands between start and stop.
type phase int32

const (
	starting phase = iota
	ready
	stopping
)

// Server serves HTTP. Its life: Listen, New, Serve (blocks), SetTenants, SetReady, Shutdown. Serve may begin before there
// are tenants, so that health checks are answered while a large write-ahead log is replayed.
type Server struct {
	options Options
	metrics *metrics
	origin  *regexp.Regexp
	page    *page
	started time.Time

	http    *http.Server
	phase   atomic.Int32
	tenants atomic.Pointer[map[tenant.ID]*mounted]
	reload  sync.Mutex // one reload at a time
}

// New returns a server that is not serving yet.
func New(o Options) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("web: register metrics: %w", err)
	}
	origin, err := compileOrigin(o.CORSOrigin)
	if err != nil {
		return nil, err
	}
	p, err := newPage()
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, metrics: m, origin: origin, page: p, started: o.Clock()}
	s.http = &http.Server{
		Handler:           s.Handler(),
		ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: o.ReadHeaderTimeout,
		ReadTimeout:       o.ReadTimeout,
		WriteTimeout:      o.WriteTimeout,
		IdleTimeout:       o.IdleTimeout,
		MaxHeaderBytes:    o.MaxHeaderBytes,
	}
	if o.Tenants != nil {
		if err := s.SetTenants(o.Tenants); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// SetTenants mounts the tenants, once: before it everything of theirs answers 503.
func (s *Server) SetTenants(all map[tenant.ID]*Tenant) error {
	if s.tenants.Load() != nil {
		return errors.New("web: the tenants are mounted already")
	}
	out := make(map[tenant.ID]*mounted, len(all))
	for id, t := range all {
		if err := t.validate(); err != nil {
			return fmt.Errorf("web: tenant %q: %w", id, err)
		}
		m := &mounted{id: id, tenant: t, rates: &rates{}}
		m.handler = s.tenantRoutes(m)
		out[id] = m
	}
	s.tenants.Store(&out)
	return nil
}

// SetReady says that start-up is over: /-/ready and the API answer from now on.
func (s *Server) SetReady(yes bool) {
	to := starting
	if yes {
		to = ready
	}
	if phase(s.phase.Load()) == stopping {
		return
	}
	s.phase.Store(int32(to))
	s.metrics.ready.Set(float64(to))
}

// Serve answers on l until Shutdown, and returns nil then. It owns l, and refuses one that CheckExposure would.
func (s *Server) Serve(l net.Listener) error {
	if err := CheckExposure(l.Addr().String(), s.options.WebConfigFile); err != nil {
		return errors.Join(err, l.Close())
	}
	done := make(chan struct{})
	var sampler sync.WaitGroup
	sampler.Go(func() { s.sampleRates(done) })
	defer sampler.Wait()
	defer close(done)

	systemd, config := false, s.options.WebConfigFile
	addresses := []string{l.Addr().String()}
	err := toolkit.Serve(l, s.http, &toolkit.FlagConfig{
		WebListenAddresses: &addresses, WebSystemdSocket: &systemd, WebConfigFile: &config,
	}, s.options.Logger)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	_ = l.Close() // toolkit leaves it open when the configuration is unusable
	return fmt.Errorf("web: serve on %s: %w", l.Addr(), err)
}

// Shutdown stops taking connections, lets requests in flight finish until ctx ends, and then cuts them off. From its
// first moment on /-/ready answers 503. The error says that requests were cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.phase.Store(int32(stopping))
	s.metrics.ready.Set(0)
	err := s.http.Shutdown(ctx)
	if err == nil {
		return nil
	}
	_ = s.http.Close() // its error is of listeners that are closed already
	return fmt.Errorf("web: requests in flight were cut off: %w", err)
}

// recovered answers 500 for a handler that panicked, and logs its stack.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			s.options.Logger.Error("a request handler panicked", "method", r.Method, "path", r.URL.Path,
				"panic", p, "stack", string(debug.Stack()))
			apiError(w, http.StatusInternalServerError, "internal", "tocsin failed on this request; its log says where")
		}()
		next.ServeHTTP(w, r)
	})
}

// whenReady answers 503 until SetReady and after Shutdown has begun.
func (s *Server) whenReady(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.isReady(w) {
			next(w, r)
		}
	}
}

// isReady writes the refusal itself, as Prometheus words it.
func (s *Server) isReady(w http.ResponseWriter) bool {
	now := phase(s.phase.Load())
	if now == ready {
		return true
	}
	w.Header().Set("X-Prometheus-Stopping", fmt.Sprint(now == stopping))
	w.Header().Set("Retry-After", "1")
	http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
	return false
}

// graphURL is the query page's address for expr, relative to the server's root.
func graphURL(expr string) string {
	return "graph?g0.expr=" + url.QueryEscape(expr) + "&g0.tab=1"
}

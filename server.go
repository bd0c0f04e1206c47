package tocsin

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/console"
	"github.com/tocsin/tocsin/internal/drill"
	"github.com/tocsin/tocsin/internal/jit"
	"github.com/tocsin/tocsin/internal/notify"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/tenant"
	"github.com/tocsin/tocsin/internal/web"
)

// Server is a whole tocsin. Its life: New, Run (blocks until its context ends). Reload may be called while it runs.
type Server struct {
	options  Options
	logger   *slog.Logger
	registry *prometheus.Registry
	compiler *plan.Compiler
	console  *console.Printer // nil prints nothing
	desk     atomic.Pointer[drill.Desk]
	kernels  *jit.Library // nil until Run has begun to open the house
	house    *house       // guarded by reloadMu until Run has opened it, constant afterwards; nil until then
	web      *web.Server
	listener net.Listener
	started  time.Time
	reloads  *reloads

	// initial is the configuration of the start: what of it takes effect only once is compared with it.
	initial *config.Config
	// seen is what the files looked like when they were first read. The watcher takes it over.
	seen watched

	// reloadMu allows one reload at a time, and none once stopping is set; config is the configuration in force, read
	// without it.
	reloadMu sync.Mutex
	stopping bool
	config   atomic.Pointer[config.Config]
}

// New reads the configuration and binds the port. Nothing runs yet. An error names what is wrong and leaves nothing behind.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	s := &Server{options: o, logger: o.Logger, started: time.Now()}
	notify.InitMatchers(s.logger) // before any Alertmanager configuration is read
	cfg, err := s.loadConfig()
	if err != nil {
		return nil, err
	}
	s.initial = cfg
	s.config.Store(cfg)
	s.seen = look(cfg)
	s.logWarnings(cfg)
	s.registry = newRegistry()
	s.reloads = newReloads(s.registry, cfg, s.started)
	s.compiler = plan.NewCompiler(plan.Options{ExperimentalFunctions: cfg.Tocsin.Query.ExperimentalFunctions})
	if o.Console != nil {
		s.console = console.New(console.Options{Writer: o.Console, Logger: s.logger.With("part", "console"), Registerer: s.registry})
	}
	if s.listener, err = web.Listen(cfg.Tocsin.Listen, cfg.Tocsin.Web.ConfigFile, 0); err != nil {
		return nil, err
	}
	if err := s.openWeb(cfg); err != nil {
		return nil, errors.Join(err, s.listener.Close())
	}
	return s, nil
}

// newRegistry returns a registry of this process's own metrics. Dashboards and karma tell the embedded engines' releases by
// the metrics that upstream's servers have.
func newRegistry() *prometheus.Registry {
	v := BuildVersion()
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo("tocsin_build_info", "Which tocsin this is.", v.String()),
		buildInfo("prometheus_build_info", "Which Prometheus's engine this is.", v.Prometheus),
		buildInfo("alertmanager_build_info", "Which Alertmanager's pipeline this is.", v.Alertmanager),
	)
	return reg
}

func (s *Server) openWeb(cfg *config.Config) error {
	v := BuildVersion()
	external, err := s.externalURL(cfg)
	if err != nil {
		return err
	}
	s.web, err = web.New(web.Options{
		Compiler:         s.compiler,
		Logger:           s.logger.With("part", "web"),
		Registerer:       s.registry,
		Gatherer:         s.registry,
		ListenAddress:    s.listener.Addr().String(),
		WebConfigFile:    cfg.Tocsin.Web.ConfigFile,
		ExternalURL:      external,
		PageTitle:        cfg.Tocsin.Web.PageTitle,
		CORSOrigin:       cfg.Tocsin.Web.CORSOrigin,
		EnableAdminAPI:   cfg.Tocsin.Web.AdminAPI,
		EnablePprof:      cfg.Tocsin.Web.Pprof,
		Reload:           s.Reload,
		ConfigState:      s.configState,
		Handlers:         map[string]http.Handler{"GET /api/v1/drill": http.HandlerFunc(s.serveDrill)},
		Flags:            map[string]string{"config.file": cfg.Path, "web.listen-address": cfg.Tocsin.Listen, "storage.tsdb.path": cfg.Tocsin.Data},
		Build:            web.Build{Version: v.String(), Revision: v.Revision},
		StorageRetention: retentionText(cfg),
		LookbackDelta:    time.Duration(cfg.Tocsin.Query.LookbackDelta),
	})
	return err
}

// Addr is the address that the server listens on, known after New even for port 0.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// serveDrill answers for the desk, once there is one.
func (s *Server) serveDrill(w http.ResponseWriter, r *http.Request) {
	if id, err := web.TenantFromRequest(r); err != nil || id != tenant.Default {
		http.Error(w, web.TenantHeader+": there is no such tenant; leave the header out for the default one", http.StatusNotFound)
		return
	}
	if desk := s.desk.Load(); desk != nil {
		desk.ServeHTTP(w, r)
		return
	}
	http.Error(w, "tocsin is starting; try again in a moment", http.StatusServiceUnavailable)
}

// announce prints where to look, once everything runs.
func (s *Server) announce() {
	cfg := s.running()
	page := s.pageURL(cfg)
	s.logger.Info("Ready", "page", page, "data", cfg.Tocsin.Data, "config", cfg.Path)
	if s.console == nil {
		return
	}
	what := "this host"
	if cfg.Path != "" {
		what = "what " + cfg.Path + " says"
	}
	s.console.Println("tocsin " + BuildVersion().String() + " is watching " + what)
	s.console.Println("  page      " + page)
	s.console.Println("  data      " + cfg.Tocsin.Data)
	s.console.Println("  try       tocsin drill" + s.urlFlag(page))
}

// urlFlag is what a client must add to find a server that is not at the default address.
func (s *Server) urlFlag(page string) string {
	if page == "http://"+config.DefaultTocsin().Listen+"/" {
		return ""
	}
	return " --url " + page
}

func (s *Server) pageURL(cfg *config.Config) string {
	scheme := "http"
	if cfg.TLS() {
		scheme = "https"
	}
	return scheme + "://" + s.listener.Addr().String() + "/"
}

// externalURL is how links to this server begin, with the port that is really listened on; its path has no slash at the
// end, as upstream has it.
func (s *Server) externalURL(cfg *config.Config) (*url.URL, error) {
	t := cfg.Tocsin
	t.Listen = s.listener.Addr().String()
	u, err := t.ExternalURL(cfg.TLS())
	if err != nil {
		return nil, err
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

// makeDataDir creates the data directory and proves that it can be written to.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w; choose another with --data", err)
	}
	probe := filepath.Join(dir, ".writable")
	if err := os.WriteFile(probe, []byte("tocsin\n"), 0o600); err != nil {
		return fmt.Errorf("data directory: cannot write to it: %w; make room or choose another with --data", err)
	}
	return os.Remove(probe)
}

func buildInfo(name, help, version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: name, Help: help, ConstLabels: prometheus.Labels{"version": version},
	}, func() float64 { return 1 })
}

func retentionText(cfg *config.Config) string {
	h := cfg.Tocsin.History
	switch {
	case h.RetentionSize > 0 && h.RetentionTime > 0:
		return h.RetentionTime.String() + " or " + h.RetentionSize.String()
	case h.RetentionSize > 0:
		return h.RetentionSize.String()
	}
	return h.RetentionTime.String()
}

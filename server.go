package tocsin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/console"
	"github.com/tocsin/tocsin/internal/drill"
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
	desk     *drill.Desk
	house    *house
	web      *web.Server
	listener net.Listener
	started  time.Time
	reloads  *reloads

	// reloadMu allows one reload at a time; config is the configuration in force, read without it.
	reloadMu sync.Mutex
	config   atomic.Pointer[config.Config]
}

// New reads the configuration, binds the port and opens the data directory. Nothing runs yet. An error names what is
// wrong and leaves nothing behind but the data directory.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	s := &Server{options: o, logger: o.Logger, started: time.Now()}
	cfg, err := s.loadConfig()
	if err != nil {
		return nil, err
	}
	s.config.Store(cfg)
	s.logWarnings(cfg)
	if s.listener, err = web.Listen(cfg.Tocsin.Listen, cfg.Tocsin.Web.ConfigFile, 0); err != nil {
		return nil, err
	}
	if err := s.open(cfg); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// open builds everything that New promises, in the order of the floors.
func (s *Server) open(cfg *config.Config) error {
	notify.InitMatchers(s.logger)
	s.registry = prometheus.NewRegistry()
	s.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo("tocsin_build_info", "Which tocsin this is.", BuildVersion().String()),
	)
	s.reloads = newReloads(s.registry, cfg, s.started)
	s.compiler = plan.NewCompiler(plan.Options{ExperimentalFunctions: cfg.Tocsin.Query.ExperimentalFunctions})
	if s.options.Console != nil {
		s.console = console.New(s.options.Console)
	}
	if err := makeDataDir(cfg.Tocsin.Data); err != nil {
		return err
	}
	var err error
	if s.desk, err = drill.NewDesk(); err != nil {
		return err
	}
	external, err := s.externalURL(cfg)
	if err != nil {
		return err
	}
	if s.house, err = s.openHouse(tenant.Default, cfg, external); err != nil {
		return err
	}
	if err := s.openWeb(cfg, external); err != nil {
		return err
	}
	return s.applyAll(nil, cfg)
}

// close gives back what open took, as far as it got. It is for a New that failed; Run closes otherwise.
func (s *Server) close() {
	_ = s.listener.Close()
	if s.house != nil {
		s.house.close()
	}
}

func (s *Server) openWeb(cfg *config.Config, external *url.URL) error {
	v := BuildVersion()
	var err error
	s.web, err = web.New(web.Options{
		Compiler:         s.compiler,
		Logger:           s.logger.With("part", "web"),
		Registerer:       s.registry,
		Gatherer:         s.registry,
		ListenAddress:    s.listener.Addr().String(),
		WebConfigFile:    cfg.Tocsin.Web.ConfigFile,
		ExternalURL:      external,
		CORSOrigin:       cfg.Tocsin.Web.CORSOrigin,
		EnableAdminAPI:   cfg.Tocsin.Web.AdminAPI,
		EnablePprof:      cfg.Tocsin.Web.Pprof,
		Reload:           s.Reload,
		ConfigState:      s.configState,
		Handlers:         map[string]http.Handler{"GET /api/v1/drill": s.desk},
		Flags:            map[string]string{"config.file": cfg.Path, "web.listen-address": cfg.Tocsin.Listen, "storage.tsdb.path": cfg.Tocsin.Data},
		Build:            web.Build{Version: v.String(), Revision: v.Revision},
		StorageRetention: retentionText(cfg),
		LookbackDelta:    time.Duration(cfg.Tocsin.Query.LookbackDelta),
	})
	return err
}

// Addr is the address that the server listens on, known after New even for port 0.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends, then stops within the configured time. It returns nil after an orderly stop.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.web.Serve(s.listener); err != nil {
			cancel(err)
		}
	})
	s.desk.Start()
	startErr := s.house.start()
	if startErr == nil {
		startErr = s.web.SetTenants(map[tenant.ID]*web.Tenant{s.house.id: s.house.view()})
	}
	if startErr == nil {
		s.web.SetReady(true)
		s.announce()
		work.Go(func() { s.watch(ctx) })
		<-ctx.Done()
	}
	return errors.Join(startErr, served(ctx), s.stop(&work, cancel))
}

// served returns why serving ended by itself, nil when it was asked to.
func served(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// stop ends everything, from the doors inwards, within shutdown_timeout.
func (s *Server) stop(work *sync.WaitGroup, cancel context.CancelCauseFunc) error {
	cancel(nil)
	timeout := time.Duration(s.running().Tocsin.ShutdownTimeout)
	s.logger.Info("Stopping", "timeout", timeout)
	ctx, done := context.WithTimeout(context.Background(), timeout)
	defer done()
	ended := make(chan error, 1)
	go func() {
		err := s.web.Shutdown(ctx)
		if err != nil {
			s.logger.Warn("Requests were cut off", "err", err)
		}
		closeErr := s.house.stop()
		s.desk.Stop()
		work.Wait()
		ended <- closeErr
	}()
	select {
	case err := <-ended:
		if err == nil {
			s.logger.Info("Stopped")
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("stop: not everything had ended after %s (tocsin.shutdown_timeout); what was accepted is in the write-ahead log", timeout)
	}
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

func (s *Server) externalURL(cfg *config.Config) (*url.URL, error) {
	if cfg.Tocsin.Web.ExternalURL == "" {
		return url.Parse(s.pageURL(cfg))
	}
	return cfg.Tocsin.ExternalURL(cfg.TLS())
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

package tocsin

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/web"
)

// reloads keeps the outcome of the last attempt to load the configuration, for pages, API and metrics. Rule files are not
// part of it: each has a state and an alert of its own.
type reloads struct {
	successful, timestamp []prometheus.Gauge

	mu    sync.Mutex
	state web.ConfigState
}

// newReloads registers the outcome under our name and under Prometheus's, which dashboards and alerts ask for.
func newReloads(reg prometheus.Registerer, cfg *config.Config, now time.Time) *reloads {
	r := &reloads{}
	for _, prefix := range []string{"tocsin", "prometheus"} {
		ok := prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "_config_last_reload_successful",
			Help: "Whether the last attempt to load the configuration was successful.",
		})
		at := prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "_config_last_reload_success_timestamp_seconds",
			Help: "When the configuration was last loaded successfully.",
		})
		reg.MustRegister(ok, at)
		r.successful, r.timestamp = append(r.successful, ok), append(r.timestamp, at)
	}
	r.record(cfg, nil, now)
	return r
}

// record notes an attempt's outcome. running is the configuration in force afterwards.
func (r *reloads) record(running *config.Config, err error, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = web.ConfigState{File: running.Path, LastReloadSuccessful: err == nil, Time: now, Warnings: warningTexts(running)}
	for i, ok := range r.successful {
		if err != nil {
			r.state.Error = err.Error()
			ok.Set(0)
			continue
		}
		ok.Set(1)
		r.timestamp[i].Set(float64(now.UnixMilli()) / 1000)
	}
}

func (r *reloads) current() web.ConfigState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

func (s *Server) configState() web.ConfigState { return s.reloads.current() }

// running is the configuration in force.
func (s *Server) running() *config.Config { return s.config.Load() }

// loadConfig reads the configuration file, or makes the default one, and lets the flags have their way.
func (s *Server) loadConfig() (*config.Config, error) {
	lo := config.LoadOptions{LookupEnv: s.options.LookupEnv, Logger: s.logger.With("part", "config")}
	cfg := (*config.Config)(nil)
	if s.options.ConfigFile == "" {
		cfg = config.Default(lo)
	} else {
		var err error
		if cfg, err = config.Load(s.options.ConfigFile, lo); err != nil {
			return nil, err
		}
	}
	if s.options.Listen != "" {
		cfg.Tocsin.Listen = s.options.Listen
	}
	if s.options.DataDir != "" {
		cfg.Tocsin.Data = s.options.DataDir
	}
	return cfg, nil
}

// Reload reads the configuration and the rule files again. The configuration is applied whole or not at all: on an
// error the running one stays. A broken rule file harms only itself, and makes Reload return an error too. The outcome
// is logged, counted, and shown by the status API. While Run opens the data directory Reload waits; before and after Run
// it is an error.
func (s *Server) Reload() error {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	switch {
	case s.stopping:
		return errors.New("reload: tocsin is stopping")
	case s.house == nil:
		return errors.New("reload: tocsin is not running yet, or could not start")
	}
	now, file := time.Now(), s.options.ConfigFile
	err := s.reload()
	s.reloads.record(s.running(), err, now)
	if err != nil {
		s.logger.Error("The configuration was not reloaded; the running one stays", "file", file, "err", err)
		return err
	}
	if err := s.house.reloadRules(s.running()); err != nil {
		s.logger.Error("The configuration was reloaded, but a rule file is broken; its last good version stays", "file", file, "err", err)
		return fmt.Errorf("a rule file is broken, its last good version stays (the configuration itself was reloaded): %w", err)
	}
	s.logger.Info("The configuration was reloaded", "file", file, "took", time.Since(now).String())
	return nil
}

func (s *Server) reload() error {
	next, err := s.loadConfig()
	if err != nil {
		return err
	}
	if err := s.house.rehearse(next); err != nil {
		return err
	}
	next.Warnings = append(next.Warnings, restartWarnings(s.initial, next)...)
	if err := s.applyAll(s.running(), next); err != nil {
		return err
	}
	s.config.Store(next)
	s.logWarnings(next)
	return nil
}

// applyAll hands next to every room that takes a configuration; where one refuses it, those that took it already get
// old back. old is nil at the start.
func (s *Server) applyAll(old, next *config.Config) error {
	steps := s.house.appliers()
	for i, step := range steps {
		err := step.apply(next)
		if err == nil {
			continue
		}
		if !strings.HasPrefix(err.Error(), step.name+":") {
			err = fmt.Errorf("%s: %w", step.name, err)
		}
		if old == nil {
			return err
		}
		// The refusing step may have taken a part; the last one, notifications, takes all or nothing.
		for _, done := range steps[:min(i+1, len(steps)-1)] {
			if undoErr := done.apply(old); undoErr != nil {
				err = errors.Join(err, fmt.Errorf("going back to the running configuration: %s: %w", done.name, undoErr))
			}
		}
		return err
	}
	return nil
}

// applier is one room that takes a configuration.
type applier struct {
	name  string
	apply func(*config.Config) error
}

// reloadRules looks at the rule files alone.
func (s *Server) reloadRules() {
	s.reloadMu.Lock()
	defer s.reloadMu.Unlock()
	if s.stopping {
		return
	}
	if err := s.house.reloadRules(s.running()); err != nil {
		s.logger.Error("A rule file is broken; its last good version stays", "err", err)
		return
	}
	s.logger.Info("Rule files were reloaded")
}

func (s *Server) logWarnings(cfg *config.Config) {
	for _, w := range cfg.Warnings {
		s.logger.Warn("Configuration: " + w.String())
	}
}

func warningTexts(cfg *config.Config) []string {
	var out []string
	for _, w := range cfg.Warnings {
		out = append(out, w.String())
	}
	return out
}

// restartWarnings names the settings that differ from those of the start, old, and take effect only at the next one.
func restartWarnings(old, next *config.Config) []config.Warning {
	o, n := old.Tocsin, next.Tocsin
	var names []string
	note := func(changed bool, name string) {
		if changed {
			names = append(names, name)
		}
	}
	note(o.Listen != n.Listen, "listen")
	note(o.Data != n.Data, "data")
	note(o.ShutdownTimeout != n.ShutdownTimeout, "shutdown_timeout")
	note(o.Web != n.Web, "web")
	note(o.Query != n.Query, "query")
	note(o.Limits != n.Limits, "limits")
	note(o.Notifications.Retention != n.Notifications.Retention, "notifications.retention")
	note(o.Ledger != n.Ledger, "ledger")
	note(o.Push != n.Push, "push")
	note(o.Rules.ResendDelay != n.Rules.ResendDelay || o.Rules.ForOutageTolerance != n.Rules.ForOutageTolerance ||
		o.Rules.ForGracePeriod != n.Rules.ForGracePeriod || o.Rules.RestartGracePeriod != n.Rules.RestartGracePeriod, "rules (timing)")
	note(o.Rules.Windows != n.Rules.Windows, "rules.windows")
	note(o.JIT.MaxSize != n.JIT.MaxSize || o.JIT.PerfMap != n.JIT.PerfMap, "jit.max_size or jit.perf_map")
	note(strings.Join(o.Host.Collectors, ",") != strings.Join(n.Host.Collectors, ","), "host.collectors")
	if len(names) == 0 {
		return nil
	}
	return []config.Warning{{File: next.Path, Path: "tocsin", Message: "changed, but takes effect only at the next start: " + strings.Join(names, ", ")}}
}

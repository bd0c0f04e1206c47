package web

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/util/notifications"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/tocsin/tocsin/internal/tenant"
)

// Upstream's own defaults for remote read.
const (
	remoteReadSamples     = 5e7
	remoteReadConcurrency = 10
	remoteReadFrameBytes  = 1 << 20
)

// upstreamAPI returns Prometheus's API v1 over t, to be mounted below /api/v1. Our own handlers shadow what upstream
// would answer from rule groups of its own (retriever's), and what it would write with receivers of its own.
func (s *Server) upstreamAPI(id tenant.ID, t *Tenant, retriever v1.RulesRetriever) http.Handler {
	registerer := s.options.Registerer
	if registerer != nil {
		registerer = prometheus.WrapRegistererWith(prometheus.Labels{"tenant": string(id)}, registerer)
	}
	targets := func() upstreamTargets { return scrapeTargets(t.scrape()) }
	api := v1.NewAPI(
		t.History.QueryEngine(), t.History, nil, nil, t.History,
		func(context.Context) v1.ScrapePoolsRetriever { return targets() },
		func(context.Context) v1.TargetRetriever { return targets() },
		func(context.Context) v1.AlertmanagerRetriever { return alertmanagers(t.Alertmanagers) },
		t.config, s.options.Flags,
		v1.GlobalURLOptions{
			ListenAddress: s.options.ListenAddress,
			Host:          s.options.ExternalURL.Host,
			Scheme:        s.options.ExternalURL.Scheme,
		},
		s.whenReady,
		t.History.Admin(), t.History.DB().Dir(), s.options.EnableAdminAPI,
		false, 0, // search API: experimental upstream
		s.options.Logger,
		func(context.Context) v1.RulesRetriever { return retriever },
		remoteReadSamples, remoteReadConcurrency, remoteReadFrameBytes,
		false, s.origin, s.runtimeInfo, s.buildInfo(),
		s.notifications,
		func() (<-chan notifications.Notification, func(), bool) { return nil, func() {}, false },
		s.options.Gatherer, registerer, nil,
		false, nil, // remote write: our own receiver
		false, false, false, // OTLP: our own receiver
		false, s.options.LookbackDelta, false, false, nil,
		s.features(),
		v1.OpenAPIOptions{ExternalURL: s.options.ExternalURL.String(), Version: CompatibleVersion},
		s.options.Compiler.Parser(),
	)
	router := route.New().WithInstrumentation(func(name string, h http.HandlerFunc) http.HandlerFunc {
		return s.metrics.instrument("/api/v1"+name, h).ServeHTTP
	})
	api.Register(router)
	return http.StripPrefix("/api/v1", router)
}

// upstreamTargets is what the API wants to know of targets.
type upstreamTargets interface {
	v1.TargetRetriever
	v1.ScrapePoolsRetriever
}

func scrapeTargets(m *scrape.Manager) upstreamTargets {
	if m == nil {
		return noTargets{}
	}
	return m
}

func alertmanagers(r v1.AlertmanagerRetriever) v1.AlertmanagerRetriever {
	if r == nil {
		return noAlertmanagers{}
	}
	return r
}

type noTargets struct{}

func (noTargets) ScrapePools() []string                       { return nil }
func (noTargets) TargetsActive() map[string][]*scrape.Target  { return nil }
func (noTargets) TargetsDropped() map[string][]*scrape.Target { return nil }
func (noTargets) TargetsDroppedCounts() map[string]int        { return nil }
func (noTargets) ScrapePoolConfig(pool string) (*promconfig.ScrapeConfig, error) {
	return nil, fmt.Errorf("scrape pool %q not found", pool)
}

type noAlertmanagers struct{}

func (noAlertmanagers) Alertmanagers() []*url.URL        { return nil }
func (noAlertmanagers) DroppedAlertmanagers() []*url.URL { return nil }

// noRules stands in for upstream's rule groups.
type noRules struct{}

func (noRules) RuleGroups() []*rules.Group           { return nil }
func (noRules) AlertingRules() []*rules.AlertingRule { return nil }

func (s *Server) buildInfo() *v1.PrometheusVersion {
	b := s.options.Build
	return &v1.PrometheusVersion{
		Version: CompatibleVersion, Revision: b.Revision, Branch: "tocsin-" + b.Version,
		BuildUser: b.User, BuildDate: b.Date, GoVersion: runtime.Version(),
	}
}

func (s *Server) runtimeInfo() (v1.RuntimeInfo, error) {
	state := s.configState()
	info := v1.RuntimeInfo{
		StartTime:           s.started.UTC(),
		ServerTime:          s.options.Clock().UTC(),
		ReloadConfigSuccess: state.LastReloadSuccessful,
		LastConfigTime:      state.Time.UTC(),
		GoroutineCount:      runtime.NumGoroutine(),
		GOMAXPROCS:          runtime.GOMAXPROCS(0),
		GOMEMLIMIT:          debug.SetMemoryLimit(-1),
		GOGC:                os.Getenv("GOGC"),
		GODEBUG:             os.Getenv("GODEBUG"),
		StorageRetention:    s.options.StorageRetention,
	}
	var err error
	if info.Hostname, err = os.Hostname(); err != nil {
		return info, fmt.Errorf("host name: %w", err)
	}
	if info.CWD, err = os.Getwd(); err != nil {
		return info, fmt.Errorf("working directory: %w", err)
	}
	return info, nil
}

// notifications are the banners that Prometheus's UI would show.
func (s *Server) notifications() []notifications.Notification {
	out := []notifications.Notification{}
	if state := s.configState(); !state.LastReloadSuccessful {
		out = append(out, notifications.Notification{Text: notifications.ConfigurationUnsuccessful, Date: state.Time, Active: true})
	}
	return out
}

func (s *Server) features() features.Collector {
	f := features.NewRegistry()
	f.Set(features.API, "lifecycle", true)
	f.Set(features.API, "admin", s.options.EnableAdminAPI)
	f.Set(features.API, "search", false)
	for _, name := range []string{
		"remote_write_receiver", "otlp_write_receiver", "label_values_match", "query_warnings", "query_stats",
		"time_range_series", "time_range_labels", "exclude_alerts",
	} {
		f.Enable(features.API, name)
	}
	return f
}

// configState is how the last reload went; a process without a configuration has nothing that could have failed.
func (s *Server) configState() ConfigState {
	if s.options.ConfigState == nil {
		return ConfigState{LastReloadSuccessful: true, Time: s.started}
	}
	return s.options.ConfigState()
}

// uptime is how long the server has existed.
func (s *Server) uptime() time.Duration { return s.options.Clock().Sub(s.started) }

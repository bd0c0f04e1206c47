package tocsin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/scrape"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/explain"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/ingest/host"
	"github.com/tocsin/tocsin/internal/ingest/otlp"
	"github.com/tocsin/tocsin/internal/ingest/push"
	"github.com/tocsin/tocsin/internal/ingest/remotewrite"
	scraping "github.com/tocsin/tocsin/internal/ingest/scrape"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/notify"
	"github.com/tocsin/tocsin/internal/pace"
	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/tenant"
	"github.com/tocsin/tocsin/internal/web"
)

// The addresses under which this process's own metrics are scraped, in memory.
const (
	selfAddress = "tocsin.self:80"
	hostAddress = "tocsin.host:80"
)

// house is everything that one tenant owns.
type house struct {
	id       tenant.ID
	logger   *slog.Logger
	server   *Server
	external *url.URL
	// running ends with stop; what takes long, such as filling windows, ends with it.
	running context.Context
	leave   context.CancelFunc

	// pace is that of reloads.
	pace pace.Pace

	compiled   *exec.Core
	evaluated  *tierCosts
	store      *history.Store
	ledger     *ledger.Ledger
	rules      *rule.Set
	engine     *engine.Engine
	notifier   *notify.Notifier
	elsewhere  *notify.External
	pushed     *push.Gateway
	scraper    *scraping.Scraper
	remote     *remotewrite.Handler
	otlp       *otlp.Handler
	explainer  *explain.Explainer
	deliveries *web.DeliveryLog
	// discovered are the metrics of discovery mechanisms, which a registry takes once for all that discover.
	discovered *discovery.SDMetrics
}

// openHouse opens what the tenant keeps on disk and connects its rooms. Nothing runs yet.
func (s *Server) openHouse(id tenant.ID, cfg *config.Config, external *url.URL) (*house, error) {
	h := &house{id: id, logger: s.logger.With("tenant", string(id)), server: s, external: external, deliveries: &web.DeliveryLog{}}
	h.running, h.leave = context.WithCancel(tenant.NewContext(context.Background(), id))
	dir := filepath.Join(cfg.Tocsin.Data, "tenants", string(id))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	// One tenant needs no label to tell its metrics from another's.
	reg := prometheus.Registerer(s.registry)
	var err error
	if h.discovered, err = discovery.CreateAndRegisterSDMetrics(reg); err != nil {
		return nil, fmt.Errorf("metrics of service discovery: %w", err)
	}
	for _, open := range []func(string, *config.Config, prometheus.Registerer) error{
		h.openCompiled, h.openHistory, h.openLedger, h.openRules, h.openNotify, h.openEngine, h.openExplain, h.openIngest, h.openScrape,
	} {
		if err := open(dir, cfg, reg); err != nil {
			return nil, errors.Join(err, h.stop(func(string) {}))
		}
	}
	return h, nil
}

// openHouseUntil is openHouse that is left alone when ctx ends first: a replay of history's log may take minutes and cannot
// be interrupted. What it opened is closed as soon as it has.
func (s *Server) openHouseUntil(ctx context.Context, cfg *config.Config, external *url.URL) (*house, error) {
	type result struct {
		house *house
		err   error
	}
	opened := make(chan result, 1)
	go func() {
		h, err := s.openHouse(tenant.Default, cfg, external)
		opened <- result{h, err}
	}()
	select {
	case r := <-opened:
		return r.house, r.err
	case <-ctx.Done():
		go func() {
			if r := <-opened; r.err == nil {
				_ = r.house.stop(func(string) {}) // nobody is left to tell
			}
		}()
		return nil, errLeft
	}
}

func (h *house) openHistory(dir string, cfg *config.Config, reg prometheus.Registerer) (err error) {
	t := cfg.Tocsin
	h.store, err = history.Open(history.Options{
		Dir:                  filepath.Join(dir, "tsdb"),
		Tenant:               h.id,
		Logger:               h.logger.With("part", "history"),
		Registerer:           reg,
		RetentionTime:        retention(t.History),
		RetentionSize:        int64(t.History.RetentionSize),
		OutOfOrderWindow:     time.Duration(t.History.OutOfOrderTimeWindow),
		MaxExemplars:         orNone(cfg.MaxExemplars()),
		Limits:               t.Limits.Series(),
		Compiler:             h.server.compiler,
		QueryTimeout:         time.Duration(t.Query.Timeout),
		MaxSamples:           t.Query.MaxSamples,
		MaxConcurrentQueries: t.Query.MaxConcurrency,
		LookbackDelta:        time.Duration(t.Query.LookbackDelta),
		SubqueryStep:         time.Duration(cfg.Prometheus.GlobalConfig.EvaluationInterval),
		ScrapeManager:        h,
		OnCommit:             (&arrivals{compiled: h.compiled}).commit,
		RemoteFlushDeadline:  h.server.budget().notifications(),
	})
	return err
}

// historySettings are what of history follows a reload.
func historySettings(c *config.Config) history.Settings {
	return history.Settings{
		RetentionTime:    retention(c.Tocsin.History),
		RetentionSize:    int64(c.Tocsin.History.RetentionSize),
		OutOfOrderWindow: time.Duration(c.Tocsin.History.OutOfOrderTimeWindow),
		MaxExemplars:     orNone(c.MaxExemplars()),
	}
}

// retention maps the file's "0s: no limit by age" to history's way of saying so.
func retention(h config.History) time.Duration {
	if h.RetentionTime == 0 {
		return -1
	}
	return time.Duration(h.RetentionTime)
}

// orNone maps "none" to a negative number, since zero means the default.
func orNone(n int64) int {
	if n <= 0 {
		return -1
	}
	return int(n)
}

// noneIfZero maps the file's zero, which means none, to a negative number, since the engine's zero means the default.
func noneIfZero(d model.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

func (h *house) openLedger(dir string, cfg *config.Config, reg prometheus.Registerer) (err error) {
	t := cfg.Tocsin.Ledger
	h.ledger, err = ledger.Open(ledger.Options{
		Dir:        filepath.Join(dir, "ledger"),
		Retention:  noneIfZero(t.Retention),
		MaxBytes:   sizeOrNone(int64(t.MaxSize)),
		Logger:     h.logger.With("part", "ledger"),
		Registerer: reg,
	})
	return err
}

// sizeOrNone maps the file's zero, which means no limit, to a negative number, since the ledger's zero means the default.
func sizeOrNone(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

func (h *house) openRules(dir string, _ *config.Config, reg prometheus.Registerer) (err error) {
	h.rules, err = rule.NewSet(rule.SetOptions{
		Compiler:   h.server.compiler.Paced(h.pace.Rest),
		Logger:     h.logger.With("part", "rules"),
		Registerer: reg,
		CacheDir:   filepath.Join(dir, "rules"),
	})
	return err
}

func (h *house) openEngine(_ string, cfg *config.Config, reg prometheus.Registerer) error {
	t := cfg.Tocsin.Rules
	h.engine = engine.New(engine.Options{
		Tenant:          h.id,
		Ledger:          h.ledger,
		Logger:          h.logger.With("part", "engine"),
		Registerer:      reg,
		Eval:            h.evaluate,
		Tier:            h.compiled.Tier,
		Stream:          h.compiled,
		Compiler:        h.server.compiler,
		Appendable:      h.store,
		Queryable:       h.store,
		OnTransition:    h.transition,
		Notify:          h.tell,
		Rest:            h.pace.Rest,
		ResendDelay:     noneIfZero(t.ResendDelay),
		OutageTolerance: noneIfZero(t.ForOutageTolerance),
		ForGracePeriod:  noneIfZero(t.ForGracePeriod),
		StopTimeout:     h.server.budget().evaluations(),

		SettleAfterStart: noneIfZero(t.RestartGracePeriod),
	})
	return nil
}

// transition shows an alert's change of state to whoever watches.
func (h *house) transition(ctx context.Context, t alert.Transition) {
	h.server.desk.Load().Observe(ctx, t)
	if h.server.console != nil && t.Rule != drillName {
		h.server.console.Transition(t)
	}
	h.logger.Debug("Alert changed", "rule", t.Rule, "from", t.From, "to", t.To, "labels", t.Labels, "value", t.Value)
}

// tell hands alerts that are due to the pipeline here and to the Alertmanagers elsewhere.
func (h *house) tell(ctx context.Context, alerts []alert.Outgoing) {
	h.notifier.Send(ctx, alerts)
	h.elsewhere.Send(alerts)
}

func (h *house) openIngest(dir string, cfg *config.Config, reg prometheus.Registerer) (err error) {
	t := cfg.Tocsin
	h.remote = remotewrite.NewHandler(remotewrite.Options{
		Appendable:       h.store,
		Describe:         h.store.Describe,
		Logger:           h.logger.With("part", "remote_write"),
		Registerer:       reg,
		BodySize:         int64(t.Limits.BodySize),
		DecompressedSize: int64(t.Limits.DecompressedSize),
	})
	h.otlp = otlp.NewHandler(otlp.Options{
		Appendable:       h.store,
		Logger:           h.logger.With("part", "otlp"),
		Registerer:       reg,
		BodySize:         int64(t.Limits.BodySize),
		DecompressedSize: int64(t.Limits.DecompressedSize),
		Config:           h.prometheusConfig,
	})
	h.pushed, err = push.New(push.Options{
		Dir:              filepath.Join(dir, "push"),
		Appendable:       h.store,
		Logger:           h.logger.With("part", "push"),
		Registerer:       reg,
		BodySize:         int64(t.Limits.BodySize),
		DecompressedSize: int64(t.Limits.DecompressedSize),
		Interval:         time.Duration(t.Push.Interval),
		TTL:              time.Duration(t.Push.TTL),
	})
	return err
}

// openScrape makes the scraper, with this process and this host as targets in memory.
func (h *house) openScrape(_ string, cfg *config.Config, reg prometheus.Registerer) error {
	gatherer, err := host.NewGatherer(host.Options{Logger: h.logger.With("part", "host"), Collectors: cfg.Tocsin.Host.Collectors})
	if err != nil {
		return err
	}
	h.scraper, err = scraping.New(scraping.Options{
		Appendable: h.store,
		Logger:     h.logger.With("part", "scrape"),
		Registerer: reg,
		SDMetrics:  h.discovered,
		Inner: map[string]http.Handler{
			selfAddress: promhttp.HandlerFor(h.server.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}),
			// A collector that fails says so in its own metrics; the others' are still good.
			hostAddress: promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}),
		},
	})
	return err
}

// Get lets remote write find the scrape manager, for metadata.
func (h *house) Get() (*scrape.Manager, error) {
	if h.scraper == nil {
		return nil, errors.New("the scrape manager is not ready")
	}
	return h.scraper.Manager(), nil
}

func (h *house) prometheusConfig() promconfig.Config { return *h.server.running().Prometheus }

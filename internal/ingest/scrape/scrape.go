// Package scrape discovers targets and pulls metrics from them, with Prometheus's own scraper and service discovery.
//
// It must not know what becomes of samples, nor where its configuration stands: it takes the configuration's upstream
// form and appends to whatever it is given. The kinds of service discovery that a configuration may name are linked by
// whoever parses it.
package scrape

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/client_golang/prometheus"
	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/logging"
)

const (
	// DefaultReloadInterval is how soon a change of targets takes effect.
	DefaultReloadInterval = time.Second
	// DefaultBodySize is how large a target's answer may be, decompressed.
	DefaultBodySize = 256 << 20
)

// Options configures a Scraper. Only Appendable is required.
type Options struct {
	// Appendable takes the samples.
	Appendable storage.AppendableV2
	// Logger takes the log; nil discards it.
	Logger *slog.Logger
	// Registerer takes upstream's metrics; nil registers none.
	Registerer prometheus.Registerer
	// SDMetrics are the discovery mechanisms' metrics, which a registry takes once only: share them where something
	// else discovers too. Nil means that the scraper registers its own.
	SDMetrics *discovery.SDMetrics
	// Inner maps addresses (host:port) to handlers of this process that are scraped in memory; see InnerJob.
	Inner map[string]http.Handler
	// ReloadInterval is how soon a change of targets takes effect; zero means one second.
	ReloadInterval time.Duration
	// BodySize is how many bytes a target's answer may have, decompressed, where its job sets no body_size_limit. Zero
	// means 256 MiB, negative no limit.
	BodySize int64
}

// Validate says what of o cannot be used.
func (o Options) Validate() error {
	switch {
	case o.Appendable == nil:
		return errors.New("scrape: no Appendable")
	case o.ReloadInterval < 0:
		return fmt.Errorf("scrape: reload interval %s is negative", o.ReloadInterval)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry() // Upstream's discovery insists on one.
	}
	if o.ReloadInterval == 0 {
		o.ReloadInterval = DefaultReloadInterval
	}
	if o.BodySize == 0 {
		o.BodySize = DefaultBodySize
	}
	return o
}

// Scraper scrapes. Its life: New, Apply, Start, any number of Apply, Stop. It cannot be started again.
type Scraper struct {
	logger    *slog.Logger
	manager   *scrape.Manager
	discovery *discovery.Manager
	sink      *sink
	inner     *inner
	clients   []commonconfig.HTTPClientOption
	bodySize  int64

	// endDiscovery ends discovery, and with it what feeds the manager.
	endDiscovery context.CancelFunc
	work         sync.WaitGroup

	mu      sync.Mutex // Guards what follows.
	jobs    map[string]discovery.Configs
	started bool
	stopped bool
}

// New returns a scraper that has no jobs and does not run.
func New(o Options) (*Scraper, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	o.Logger = slog.New(newCalm(o.Logger.Handler(), time.Now))
	if o.SDMetrics == nil {
		var err error
		if o.SDMetrics, err = discovery.CreateAndRegisterSDMetrics(o.Registerer); err != nil {
			return nil, fmt.Errorf("scrape: %w", err)
		}
	}
	s := &Scraper{
		logger:   o.Logger,
		sink:     newSink(o.Appendable, o.Logger),
		inner:    newInner(o.Inner),
		bodySize: max(0, o.BodySize),
	}
	var dial []commonconfig.HTTPClientOption
	if len(o.Inner) > 0 {
		dial = append(dial, commonconfig.WithDialContextFunc(s.inner.dial))
	}
	s.clients = dial
	var err error
	s.manager, err = scrape.NewManager(&scrape.Options{
		DiscoveryReloadInterval:  model.Duration(o.ReloadInterval),
		DiscoveryReloadOnStartup: true,
		PassMetadataInContext:    true, // This is how the sink knows which target it is told about.
		HTTPClientOptions:        dial,
	}, o.Logger, logging.NewJSONFileLogger, nil, s.sink, o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.endDiscovery = cancel
	s.discovery = discovery.NewManager(ctx, o.Logger, o.Registerer, o.SDMetrics, discovery.Name("scrape"),
		discovery.Updatert(o.ReloadInterval))
	if s.discovery == nil {
		cancel()
		return nil, errors.New("scrape: service discovery cannot be set up; the log says why")
	}
	return s, nil
}

// Manager returns upstream's scrape manager, for its view of pools and targets.
func (s *Scraper) Manager() *scrape.Manager { return s.manager }

// Samples returns how many samples and histograms scrapes have written since the start, upstream's own (up, …) included.
func (s *Scraper) Samples() uint64 { return s.sink.samples.Load() }

// Apply makes cfg's scrape_configs the running ones. Jobs that did not change are not disturbed. Everything that can be
// wrong with a job is looked for first, and on an error the running configuration stays. Before Start there is none to
// stay: a job whose HTTP client cannot be made is logged then, and harms only itself. cfg is not changed and must not be
// changed afterwards.
func (s *Scraper) Apply(cfg *promconfig.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errors.New("scrape: stopped already")
	}
	own, err := s.prepare(cfg)
	if err != nil {
		return err
	}
	jobs := make(map[string]discovery.Configs, len(own.ScrapeConfigs))
	for _, sc := range own.ScrapeConfigs {
		jobs[sc.JobName] = sc.ServiceDiscoveryConfigs
	}
	if err := s.manager.ApplyConfig(own); err != nil {
		return fmt.Errorf("scrape_configs: %w", err)
	}
	s.sink.forget()
	s.jobs = jobs
	if !s.started {
		return nil
	}
	return s.discover()
}

// discover hands the jobs to service discovery, which starts to look at once.
func (s *Scraper) discover() error {
	if err := s.discovery.ApplyConfig(s.jobs); err != nil {
		return fmt.Errorf("scrape_configs: service discovery: %w", err)
	}
	return nil
}

// prepare returns a copy of cfg with all jobs in ScrapeConfigs and the default limit set, after checking that every
// job's name is used once and its client can be made: upstream finds the latter half-way, pool by pool.
func (s *Scraper) prepare(cfg *promconfig.Config) (*promconfig.Config, error) {
	jobs, err := cfg.GetScrapeConfigs()
	if err != nil {
		return nil, fmt.Errorf("scrape_configs: %w", err)
	}
	own := *cfg
	own.ScrapeConfigFiles = nil // GetScrapeConfigs has read them.
	own.ScrapeConfigs = make([]*promconfig.ScrapeConfig, len(jobs))
	seen := map[string]bool{}
	var errs []error
	for i, job := range jobs {
		job := *job
		if job.BodySizeLimit == 0 {
			job.BodySizeLimit = units.Base2Bytes(s.bodySize)
		}
		own.ScrapeConfigs[i] = &job
		if seen[job.JobName] {
			errs = append(errs, fmt.Errorf("scrape_configs: two jobs are named %q", job.JobName))
		}
		seen[job.JobName] = true
		if len(s.inner.servers) > 0 && usesUnixSocket(&job) {
			s.logger.Warn("A job sets __unix_socket__, which is not supported: its targets are scraped over TCP", "job", job.JobName)
		}
		client, err := commonconfig.NewClientFromConfig(job.HTTPClientConfig, job.JobName, s.clients...)
		if err != nil && !s.started {
			// There is no running configuration to keep: one bad job must not keep the others from starting. Upstream
			// tries it again whenever its targets change.
			s.logger.Error("A job cannot be scraped until this is mended", "job", job.JobName, "err", err)
			continue
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("scrape_configs: job %q: %w", job.JobName, err))
			continue
		}
		client.CloseIdleConnections()
	}
	return &own, errors.Join(errs...)
}

// Start begins to discover and scrape.
func (s *Scraper) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.stopped {
		return errors.New("scrape: started already")
	}
	s.started = true
	s.inner.start()
	s.work.Go(func() {
		if err := s.discovery.Run(); err != nil && !errors.Is(err, context.Canceled) {
			s.logger.Error("Service discovery ended", "err", err)
		}
	})
	s.work.Go(func() {
		if err := s.manager.Run(s.discovery.SyncCh()); err != nil {
			s.logger.Error("Scraping ended", "err", err)
		}
	})
	return s.discover()
}

// Stop ends scraping: running scrapes are cancelled, what they have appended is committed or rolled back when Stop
// returns. No staleness markers are written, as with Prometheus: the series are only unseen for a while. It may be
// called more than once, and without Start.
func (s *Scraper) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.stopped = true
	s.endDiscovery()
	s.manager.Stop()
	s.work.Wait()
	s.inner.stop()
}

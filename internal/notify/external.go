package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/sigv4"

	"github.com/tocsin/tocsin/internal/alert"
)

// Defaults of ExternalOptions. The queue's is Prometheus's.
const (
	DefaultQueueCapacity = 10000
	DefaultDrainLimit    = 10 * time.Second
	// discoveryDelay is how long discovered Alertmanagers are gathered before they are used. Prometheus takes 5 s; alerts
	// of that time would be lost to them.
	discoveryDelay = 250 * time.Millisecond
	// quietTime without requests is taken for the end of sending at Stop.
	quietTime = 100 * time.Millisecond
)

// ExternalOptions of an External. The zero value is usable.
type ExternalOptions struct {
	// Logger receives messages; nil discards them.
	Logger *slog.Logger
	// Registerer takes upstream's prometheus_notifications_* and prometheus_sd_* metrics; nil keeps them private.
	Registerer prometheus.Registerer
	// SDMetrics are those of the discovery mechanisms, where another discovery manager of the process has registered
	// them already (they can be registered only once). Nil means to register them here.
	SDMetrics *discovery.SDMetrics
	// QueueCapacity bounds the alerts that wait for one Alertmanager; older ones give way, and are counted. Zero means
	// DefaultQueueCapacity.
	QueueCapacity int
	// DrainLimit is how long Stop goes on sending what waits. Zero means DefaultDrainLimit.
	DrainLimit time.Duration
}

// Validate reports the first thing in o that cannot work.
func (o ExternalOptions) Validate() error {
	if o.QueueCapacity < 0 {
		return fmt.Errorf("notify: option QueueCapacity is %d: leave it 0 for the default", o.QueueCapacity)
	}
	if o.DrainLimit < 0 {
		return fmt.Errorf("notify: option DrainLimit is %s: leave it 0 for the default", o.DrainLimit)
	}
	return nil
}

// External sends alerts to the Alertmanagers of a Prometheus configuration's `alerting:` section, as Prometheus does:
// with its discovery, relabelling, external labels, and a queue for each Alertmanager. Kinds of discovery other than
// static are there only if the program links them.
type External struct {
	logger     *slog.Logger
	drainLimit time.Duration
	nobody     prometheus.Counter
	manager    *notifier.Manager
	discovery  *discovery.Manager

	endDiscovery context.CancelFunc
	requests     *requests

	mu         sync.Mutex // serialises Apply, Start and Stop
	configured bool       // guarded by stateMu
	stateMu    sync.RWMutex
	started    bool
	stopped    bool
	work       sync.WaitGroup
}

// NewExternal prepares an External with no Alertmanagers.
func NewExternal(o ExternalOptions) (*External, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.QueueCapacity == 0 {
		o.QueueCapacity = DefaultQueueCapacity
	}
	orDuration(&o.DrainLimit, DefaultDrainLimit)
	if o.SDMetrics == nil {
		var err error
		if o.SDMetrics, err = discovery.CreateAndRegisterSDMetrics(o.Registerer); err != nil {
			return nil, fmt.Errorf("notify: external alertmanagers: %w", err)
		}
	}
	e := &External{
		logger: o.Logger.With("component", "external alertmanagers"), drainLimit: o.DrainLimit,
		nobody: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_notify_external_dropped_total",
			Help: "Alerts for external Alertmanagers that came while none of the configured ones was discovered.",
		}),
	}
	if err := o.Registerer.Register(e.nobody); err != nil {
		return nil, fmt.Errorf("notify: external alertmanagers: %w", err)
	}
	e.requests = newRequests()
	e.manager = notifier.NewManager(&notifier.Options{
		QueueCapacity: o.QueueCapacity, DrainOnShutdown: true, Registerer: o.Registerer, Do: e.requests.do,
	}, model.UTF8Validation, e.logger)
	discovering, endDiscovery := context.WithCancel(context.Background())
	e.endDiscovery = endDiscovery
	e.discovery = discovery.NewManager(discovering, e.logger, o.Registerer, o.SDMetrics, discovery.Name("notify"),
		discovery.Updatert(discoveryDelay))
	if e.discovery == nil { // upstream has logged why
		endDiscovery()
		e.requests.end()
		return nil, errors.New("notify: external alertmanagers: discovery cannot be set up; see the log")
	}
	return e, nil
}

// Apply makes cfg's `alerting:` section and external labels the ones in force. It is checked whole before anything
// changes, so that on an error the configuration before stays.
func (e *External) Apply(cfg *promconfig.Config) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return errors.New("notify: external alertmanagers: the configuration cannot be applied after Stop")
	}
	sets := cfg.AlertingConfig.AlertmanagerConfigs.ToMap()
	found := make(map[string]discovery.Configs, len(sets))
	for name, am := range sets {
		if err := checkClient(am); err != nil {
			return fmt.Errorf("alerting: alertmanagers: %s: %w", name, err)
		}
		found[name] = am.ServiceDiscoveryConfigs
	}
	if err := e.manager.ApplyConfig(cfg); err != nil {
		return fmt.Errorf("alerting: %w", err)
	}
	if err := e.discovery.ApplyConfig(found); err != nil {
		return fmt.Errorf("alerting: discovery: %w", err)
	}
	e.stateMu.Lock()
	e.configured = len(sets) > 0
	e.stateMu.Unlock()
	return nil
}

// checkClient tries what upstream's ApplyConfig does half-way, with part of the new configuration already in force.
func checkClient(am *promconfig.AlertmanagerConfig) error {
	client, err := commoncfg.NewClientFromConfig(am.HTTPClientConfig, "alertmanager")
	if err != nil {
		return err
	}
	if am.SigV4Config == nil {
		return nil
	}
	_, err = sigv4.NewSigV4RoundTripper(am.SigV4Config, client.Transport)
	return err
}

// Start begins to discover and to send. Starting twice is starting once.
func (e *External) Start() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started || e.stopped {
		return
	}
	e.started = true
	e.work.Go(func() { _ = e.discovery.Run() }) // its error is its context's
	e.work.Go(func() { e.manager.Run(e.discovery.SyncCh()) })
}

// Stop takes no more alerts and sends what waits, for at most ExternalOptions.DrainLimit.
func (e *External) Stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return
	}
	e.stopped = true
	e.endDiscovery()
	e.manager.Stop()
	limit := time.AfterFunc(e.drainLimit, e.requests.end)
	defer limit.Stop()
	e.work.Wait()
	// Upstream drains its queues, but does not wait for a batch that it took from one just before.
	e.requests.waitQuiet(quietTime)
	e.requests.end()
}

// Send queues alerts for each Alertmanager and returns at once. Upstream counts what does not fit a queue.
func (e *External) Send(alerts []alert.Outgoing) {
	e.stateMu.RLock()
	configured := e.configured
	e.stateMu.RUnlock()
	if !configured || len(alerts) == 0 {
		return
	}
	if len(e.manager.Alertmanagers()) == 0 {
		e.nobody.Add(float64(len(alerts)))
		return
	}
	out := make([]*notifier.Alert, len(alerts))
	now := time.Now()
	for i, a := range alerts {
		out[i] = &notifier.Alert{
			Labels: a.Labels, Annotations: annotated(&a, now), StartsAt: a.StartsAt, EndsAt: a.EndsAt,
			GeneratorURL: a.GeneratorURL,
		}
	}
	e.manager.Send(out...)
}

// Alertmanagers returns the URLs that alerts are sent to.
func (e *External) Alertmanagers() []*url.URL { return e.manager.Alertmanagers() }

// DroppedAlertmanagers returns the URLs that relabelling took away.
func (e *External) DroppedAlertmanagers() []*url.URL { return e.manager.DroppedAlertmanagers() }

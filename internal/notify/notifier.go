package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/alertmanager/api"
	amconfig "github.com/prometheus/alertmanager/config"
	amcommoncfg "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/nflog"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
)

// Notifier is Alertmanager's pipeline of one tenant. Its methods may be called from any goroutine.
type Notifier struct {
	opts    Options
	logger  *slog.Logger
	metrics *metrics

	// What outlives configurations.
	store             *alertStore
	silences          *silence.Silences
	silencer          *silence.Silencer
	silencesFile      *snapshotter
	nflog             *nflog.Log
	nflogFile         *snapshotter
	nflogChanged      chan struct{} // of capacity 1: something is to be written
	groupMarker       marker.GroupMarker
	stageMetrics      *amnotify.Metrics
	upstreamMetrics   *upstreamMetrics
	told              *toldLog
	toldLast          map[string]int64 // the number of the last message of each lane, as the ledger knew it at the start
	outbox            *outbox          // nil without a ledger
	originals         originals
	mutes             *mutedStates
	acks              *acks
	flaps             *flaps
	recurrences       *recurrences
	dispatcherMetrics *dispatch.DispatcherMetrics
	events            eventrecorder.Recorder
	flights           *flights
	api               *api.API
	handler           http.Handler
	// inhibitorView is the provider as inhibitors see it. Tests replace it, to show what it is good for.
	inhibitorView func([]amcommoncfg.InhibitRule) provider.Alerts

	// What a configuration brings. The pipeline is current while it runs; ready is built and waits for Start.
	current  atomic.Pointer[pipeline]
	settings atomic.Pointer[Settings]
	shown    atomic.Pointer[amconfig.Config]
	outward  atomic.Pointer[outward] // nil: alerts go as they are
	stopped  atomic.Bool

	mu      sync.Mutex // serialises Start, Apply and Stop
	ready   *pipeline
	startAt time.Time
	stop    chan struct{} // closed by Stop
	started bool
	work    sync.WaitGroup
}

// New loads silences and notification log from Options.Dir and prepares a Notifier with the Builtin configuration. It
// takes alerts and serves the API at once; nobody is told before Start.
func New(o Options) (*Notifier, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	logger := o.Logger.With("tenant", o.Tenant)
	InitMatchers(logger)
	if err := makeDir(o.Dir); err != nil {
		return nil, err
	}
	n := &Notifier{
		opts: o, logger: logger, metrics: newMetrics(o.Registerer),
		nflogChanged: make(chan struct{}, 1),
		groupMarker:  marker.NewGroupMarker(),
		events:       eventrecorder.NopRecorder(),
		flights:      &flights{busy: map[flightKey]chan struct{}{}},
		stop:         make(chan struct{}),
		flaps:        newFlaps(time.Now()),
	}
	settings := o.Settings.withDefaults()
	n.settings.Store(&settings)
	n.dispatcherMetrics = dispatch.NewDispatcherMetrics(false, o.Registerer, featurecontrol.NoopFlags{})
	var err error
	if n.stageMetrics, n.upstreamMetrics, err = newStageMetrics(o.Registerer); err != nil {
		return nil, err
	}
	if err := n.openState(); err != nil {
		return nil, err
	}
	if err := n.openOutbox(); err != nil {
		return nil, err
	}
	if err := n.openRecurring(); err != nil {
		return nil, err
	}
	if err := n.openStore(); err != nil {
		return nil, err
	}
	err = n.newAPI()
	if err == nil {
		bare := settings
		bare.FallbackReceiver = "" // The built-in configuration has no receivers.
		err = n.ApplyWith(nil, bare)
	}
	if err != nil {
		n.store.Close()
		return nil, err
	}
	n.settings.Store(&settings)
	return n, nil
}

// openState loads the silences and the notification log, and watches their changes.
func (n *Notifier) openState() error {
	file := func(name string) string {
		if n.opts.Dir == "" {
			return ""
		}
		return filepath.Join(n.opts.Dir, name)
	}
	hint := func(name string, err error) error {
		return fmt.Errorf("notify: cannot load %s: %w (to start without it, move it away)", file(name), err)
	}
	var err error
	n.silences, err = silence.New(silence.Options{
		SnapshotFile: file(silencesFile), Retention: n.opts.Retention,
		Limits: silence.Limits{
			MaxSilences:         func() int { return n.opts.MaxSilences },
			MaxSilenceSizeBytes: func() int { return n.opts.MaxSilenceBytes },
		},
		Logger: n.logger.With("component", "silences"), Metrics: n.opts.Registerer, EventRecorder: n.events,
	})
	if err != nil {
		return hint(silencesFile, err)
	}
	n.silencer = silence.NewSilencer(n.silences, n.logger, n.events)
	n.silencesFile = newSnapshotter(n.opts.Dir, silencesFile, n.silences.Snapshot, n.metrics)
	n.silences.SetBroadcast(func([]byte) { n.silencesFile.changed() })

	n.nflog, err = nflog.New(nflog.Options{
		SnapshotFile: file(nflogFile), Retention: n.opts.Retention,
		Logger: n.logger.With("component", "nflog"), Metrics: n.opts.Registerer,
	})
	if err != nil {
		return hint(nflogFile, err)
	}
	n.nflogFile = newSnapshotter(n.opts.Dir, nflogFile, n.nflog.Snapshot, n.metrics)
	n.nflog.SetBroadcast(func([]byte) {
		n.nflogFile.changed()
		n.noteNflog()
	})
	return nil
}

func (n *Notifier) openStore() error {
	n.store = &alertStore{feeds: map[*sourceFeed]struct{}{}}
	n.inhibitorView = n.store.forInhibitor
	var err error
	n.store.Alerts, err = mem.NewAlerts(context.Background(), n.opts.AlertGCInterval, 0,
		storeCallback{Silencer: n.silencer, stored: n.store.stored}, n.logger, n.events, n.opts.Registerer,
		featurecontrol.NoopFlags{})
	if err != nil {
		return fmt.Errorf("notify: cannot set up the alert provider: %w", err)
	}
	return nil
}

// Apply makes cfg the configuration; nil means Builtin. All of it is built before anything changes: on an error the
// configuration before stays in force. cfg must come from Alertmanager's own config.Load, which sets defaults; it belongs
// to the Notifier from then on, so each call needs one of its own. After Stop, Apply is an error.
func (n *Notifier) Apply(cfg *amconfig.Config) error { return n.ApplyWith(cfg, *n.settings.Load()) }

// ApplyWith is Apply that changes the settings of delivery as well, or neither.
func (n *Notifier) ApplyWith(cfg *amconfig.Config, s Settings) error {
	if err := s.Validate(); err != nil {
		return err
	}
	s = s.withDefaults()
	if cfg == nil {
		cfg = Builtin()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped.Load() {
		return errors.New("notify: the configuration cannot be applied: notifications are stopped")
	}
	p, err := n.build(cfg, s)
	if err != nil {
		return err
	}
	for _, w := range Warnings(cfg, n.opts.Retention) {
		n.logger.Warn("Alertmanager configuration: " + w)
	}
	n.settings.Store(&s)
	if n.started {
		n.swap(p)
	} else {
		n.ready = p
	}
	n.metrics.receivers.Set(float64(p.receivers))
	n.metrics.integrations.Set(float64(p.integrations))
	n.metrics.inhibitRules.Set(float64(len(cfg.InhibitRules)))
	n.shown.Store(cfg)
	n.api.Update(cfg, n.setStatus)
	return nil
}

// swap puts p in the place of the running pipeline. Deliveries of the old one end in the background.
func (n *Notifier) swap(p *pipeline) {
	p.runInhibitor()
	old := n.current.Load()
	if old != nil {
		old.halt()
	}
	if n.outbox != nil {
		n.outbox.configure(p.all(), p.fallback)
	}
	p.runDispatcher(n.startAt)
	n.current.Store(p)
	if old != nil {
		n.work.Go(func() { old.finish(n.opts.DrainTimeout, n.logger) })
	}
}

// Start begins to notify, with the configuration that was applied last. Starting twice is starting once.
func (n *Notifier) Start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.started || n.stopped.Load() {
		return
	}
	n.started, n.startAt = true, time.Now().Add(n.opts.StartDelay)
	n.work.Go(func() {
		n.silences.Maintenance(n.opts.MaintenanceInterval, n.silencesFile.path, n.stop, func() (int64, error) {
			_, err := n.silences.GC()
			size, werr := n.silencesFile.saveNow()
			return size, errors.Join(err, werr)
		})
	})
	n.work.Go(func() {
		n.nflog.Maintenance(n.opts.MaintenanceInterval, n.nflogFile.path, n.stop, func() (int64, error) {
			_, err := n.nflog.GC()
			size, werr := n.nflogFile.saveNow()
			return size, errors.Join(err, werr)
		})
	})
	n.work.Go(n.keepNflog)
	n.startOutbox()
	n.swap(n.ready)
	n.ready = nil
}

// nflogRetry is how long the notification log waits after it could not be written.
const nflogRetry = time.Second

// keepNflog writes the notification log soon after it changes. Where writing takes long, it waits in proportion, so that
// a large log does not keep a core busy. What could not be written is tried again until it is.
func (n *Notifier) keepNflog() {
	var took time.Duration
	failed := false
	for {
		pause := max(n.opts.SnapshotDelay, 20*took)
		if failed {
			pause = max(pause, nflogRetry)
		} else {
			select {
			case <-n.nflogChanged:
			case <-n.stop:
				return
			}
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-n.stop: // the last write is maintenance's
			wait.Stop()
			return
		}
		began := time.Now()
		err := n.nflogFile.save()
		took = time.Since(began)
		switch {
		case err != nil && !failed:
			n.logger.Error("The notification log cannot be saved; it is tried again. A restart before it is would repeat notifications", "err", err)
		case err == nil && failed:
			n.logger.Info("The notification log is saved again")
		}
		failed = err != nil
	}
}

// noteNflog has the notification log written.
func (n *Notifier) noteNflog() {
	select {
	case n.nflogChanged <- struct{}{}:
	default: // It is noted.
	}
}

// Stop ends notifying: it takes no more alerts, lets deliveries under way end for at most Options.DrainTimeout, and saves
// silences and notification log. The API goes on to serve what there is; changes of silences are still saved.
func (n *Notifier) Stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopped.Swap(true) {
		return
	}
	if p := n.current.Load(); p != nil {
		p.halt()
		p.finish(n.opts.DrainTimeout, n.logger)
	}
	if n.outbox != nil {
		n.outbox.stop(n.opts.DrainTimeout)
	}
	close(n.stop)
	n.work.Wait()
	n.store.Close()
}

// config is the configuration in force, as its author wrote it.
func (n *Notifier) config() *amconfig.Config { return n.shown.Load() }

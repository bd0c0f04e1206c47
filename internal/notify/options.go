package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/tenant"
)

// Defaults of Options; those that Alertmanager has too are Alertmanager's.
const (
	DefaultRetention           = 120 * time.Hour
	DefaultAlertGCInterval     = 30 * time.Minute
	DefaultMaintenanceInterval = 15 * time.Minute
	DefaultSnapshotDelay       = 250 * time.Millisecond
	DefaultLedgerSnapshotDelay = 5 * time.Second
	DefaultDrainTimeout        = 5 * time.Second
	DefaultMaxBodyBytes        = 32 << 20
)

// Options of a Notifier. The zero value is usable: nothing is stored, nothing is logged, metrics are kept to itself.
type Options struct {
	// Tenant owns the alerts, silences and receivers. Empty means tenant.Default.
	Tenant tenant.ID
	// Logger receives the pipeline's messages; nil discards them.
	Logger *slog.Logger
	// Registerer takes upstream's alertmanager_* metrics and our tocsin_notify_*; nil keeps them private. Two Notifiers
	// on one Registerer clash: wrap it with a label of the tenant.
	Registerer prometheus.Registerer
	// Dir holds the files `silences` and `nflog`, in Alertmanager's own format. It is created if need be. Empty means
	// that both live in memory only.
	Dir string
	// ExternalURL is what templates and links name; nil means http://localhost.
	ExternalURL *url.URL
	// Retention is how long ended silences and notification log entries are kept. Zero means DefaultRetention.
	Retention time.Duration
	// AlertGCInterval is how often resolved alerts are forgotten. Zero means DefaultAlertGCInterval.
	AlertGCInterval time.Duration
	// MaintenanceInterval is how often silences and notification log are cleaned up. Zero means
	// DefaultMaintenanceInterval.
	MaintenanceInterval time.Duration
	// SnapshotDelay is how long after a notification the notification log is written, so that many cost one write. It
	// grows by itself where writing is slow. Zero means DefaultSnapshotDelay, and with a Ledger, which has what matters
	// of it at once, DefaultLedgerSnapshotDelay.
	SnapshotDelay time.Duration
	// StartDelay holds back the first notifications after Start, so that a restart sees inhibiting alerts before their
	// targets. Zero means none.
	StartDelay time.Duration
	// DrainTimeout is how long deliveries under way may go on after a reload or a Stop. Zero means DefaultDrainTimeout.
	DrainTimeout time.Duration
	// MaxBodyBytes bounds a request body of the API. Zero means DefaultMaxBodyBytes.
	MaxBodyBytes int64
	// GetConcurrency bounds concurrent GET requests of the API. Zero means the larger of GOMAXPROCS and 8.
	GetConcurrency int
	// MaxSilences bounds the number of silences, MaxSilenceBytes the size of one. Zero means no bound, as upstream.
	MaxSilences, MaxSilenceBytes int
	// DrillURL, where not empty, is a webhook (http or https) that alerts named DrillAlert go to, and to nobody else.
	DrillURL string
	// Ledger keeps messages until they are delivered, and records what became of them. It must stay open until Stop has
	// returned. Nil means that there is no outbox: upstream's pipeline delivers, as in Alertmanager.
	Ledger *ledger.Ledger
	// Settings are those of the outbox until the first ApplyWith.
	Settings Settings
	// Dial opens the connections of integrations that speak HTTP; nil means the system's network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// OnDelivery is told of every attempt to deliver, in the goroutine that made it: it must be quick. May be nil.
	OnDelivery func(Delivery)
}

// Validate reports the first thing in o that cannot work.
func (o Options) Validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"Retention", o.Retention}, {"AlertGCInterval", o.AlertGCInterval}, {"MaintenanceInterval", o.MaintenanceInterval},
		{"SnapshotDelay", o.SnapshotDelay}, {"StartDelay", o.StartDelay}, {"DrainTimeout", o.DrainTimeout},
	} {
		if d.value < 0 {
			return fmt.Errorf("notify: option %s is %s: it must not be negative", d.name, d.value)
		}
	}
	if o.MaxBodyBytes < 0 || o.GetConcurrency < 0 || o.MaxSilences < 0 || o.MaxSilenceBytes < 0 {
		return errors.New("notify: a limit in the options is negative: leave it 0 for the default")
	}
	if err := o.Settings.Validate(); err != nil {
		return err
	}
	if o.DrillURL != "" {
		u, err := url.Parse(o.DrillURL)
		if err != nil {
			return fmt.Errorf("notify: option DrillURL: %w", err)
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("notify: option DrillURL %q: want http://HOST:PORT/PATH", o.DrillURL)
		}
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Tenant == "" {
		o.Tenant = tenant.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		// Upstream's provider and silences write to their metrics unasked, so there must be a registry.
		o.Registerer = prometheus.NewRegistry()
	}
	if o.ExternalURL == nil {
		o.ExternalURL = &url.URL{Scheme: "http", Host: "localhost"}
	}
	orDuration(&o.Retention, DefaultRetention)
	orDuration(&o.AlertGCInterval, DefaultAlertGCInterval)
	orDuration(&o.MaintenanceInterval, DefaultMaintenanceInterval)
	if o.Ledger != nil {
		orDuration(&o.SnapshotDelay, DefaultLedgerSnapshotDelay)
	}
	orDuration(&o.SnapshotDelay, DefaultSnapshotDelay)
	orDuration(&o.DrainTimeout, DefaultDrainTimeout)
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = DefaultMaxBodyBytes
	}
	return o
}

func orDuration(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

func makeDir(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("notify: cannot create the data directory: %w", err)
	}
	return nil
}

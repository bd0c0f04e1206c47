package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of Options.
const (
	DefaultRetention     = 90 * 24 * time.Hour
	DefaultMaxBytes      = 1 << 30
	DefaultMaxQueueBytes = 64 << 20
	DefaultCommitTimeout = 5 * time.Second
)

// minMaxBytes leaves room for the current state beside some history.
const minMaxBytes = 1 << 20

// Options of a Ledger. Only Dir is required.
type Options struct {
	// Dir holds the ledger's files; it is created if need be and locked while the ledger is open.
	Dir string
	// Retention is how long transitions and deliveries are kept. Zero means DefaultRetention, negative no limit.
	Retention time.Duration
	// MaxBytes is how large the ledger may grow before the oldest history goes. The state of instances, the outbox and
	// acknowledgements stay whatever their size; the write-ahead log of a few MiB comes on top. Zero means
	// DefaultMaxBytes, negative no limit.
	MaxBytes int64
	// MaxQueueBytes bounds what is kept in memory while the disk takes nothing. Zero means DefaultMaxQueueBytes.
	MaxQueueBytes int64
	// CommitTimeout is how long Record and its like wait for a disk that does not answer before they return
	// ErrNotDurable; what they were given is written when it does. Zero means DefaultCommitTimeout.
	CommitTimeout time.Duration
	// Logger receives a line for each trouble and each recovery; nil discards them.
	Logger *slog.Logger
	// Registerer takes the tocsin_ledger_* metrics; nil keeps them private. Two ledgers on one Registerer clash: wrap it
	// with a label of the tenant.
	Registerer prometheus.Registerer
	// Fault, where set, is asked before each commit, and its error fails it: a disk that takes nothing, for simulations.
	Fault func() error
	// Now is the clock of retention and acknowledgements; nil means time.Now.
	Now func() time.Time
}

// Validate reports the first thing in o that cannot work.
func (o Options) Validate() error {
	switch {
	case o.Dir == "":
		return errors.New("ledger: option Dir is empty: name the directory for the ledger's files")
	case o.MaxBytes > 0 && o.MaxBytes < minMaxBytes:
		return fmt.Errorf("ledger: option MaxBytes is %d: it must be at least %d, or 0 for the default", o.MaxBytes, minMaxBytes)
	case o.MaxQueueBytes < 0:
		return fmt.Errorf("ledger: option MaxQueueBytes is %d: it must not be negative", o.MaxQueueBytes)
	case o.CommitTimeout < 0:
		return fmt.Errorf("ledger: option CommitTimeout is %s: it must not be negative", o.CommitTimeout)
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Retention == 0 {
		o.Retention = DefaultRetention
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxQueueBytes == 0 {
		o.MaxQueueBytes = DefaultMaxQueueBytes
	}
	if o.CommitTimeout == 0 {
		o.CommitTimeout = DefaultCommitTimeout
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

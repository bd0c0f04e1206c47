package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/series"
	"github.com/tocsin/tocsin/internal/tenant"
)

// The defaults, which are Prometheus's where it has the setting.
const (
	DefaultRetention            = 15 * 24 * time.Hour
	DefaultLookbackDelta        = 5 * time.Minute
	DefaultQueryTimeout         = 2 * time.Minute
	DefaultMaxSamples           = 50_000_000
	DefaultMaxConcurrentQueries = 20
	DefaultMaxExemplars         = 100_000
	DefaultMaxMetadata          = 20_000
	DefaultSubqueryStep         = time.Minute
	DefaultRemoteFlushDeadline  = time.Minute
	DefaultMinFreeSpace         = 16 << 20
)

// largestBlock is how long a compacted block may become where the retention does not ask for shorter ones.
const largestBlock = 31 * 24 * time.Hour

// Options configures a Store. Only Dir is required.
type Options struct {
	// Dir holds the database; it is created if need be and locked while the store is open.
	Dir string
	// Tenant owns everything in Dir; empty means tenant.Default.
	Tenant tenant.ID
	// Logger takes the database's log; nil discards it.
	Logger *slog.Logger
	// Registerer takes the metrics of database, engine and remote write; nil registers none.
	Registerer prometheus.Registerer

	// RetentionTime is how long samples are kept. Zero means 15 days, or no limit where RetentionSize sets one;
	// negative means no limit.
	RetentionTime time.Duration
	// RetentionSize is how many bytes of blocks are kept; zero means no limit.
	RetentionSize int64
	// OutOfOrderWindow is how much older than its series' newest sample a sample may be; zero accepts none.
	OutOfOrderWindow time.Duration
	// MaxExemplars is how many exemplars are kept in memory. Zero means 100,000; negative keeps none.
	MaxExemplars int
	// MaxMetadata is how many metric families' type, help and unit are remembered. Zero means 20,000.
	MaxMetadata int
	// MinFreeSpace is how many bytes must be free on the disk, or an eighth of a small disk, for samples to be taken: see
	// room. Zero means 16 MiB; negative takes samples until the disk is full.
	MinFreeSpace int64
	// Limits bounds the label sets of new series.
	Limits series.Limits

	// Compiler parses queries; nil means one with default options.
	Compiler *plan.Compiler
	// QueryTimeout ends a query that runs longer; zero means 2 minutes.
	QueryTimeout time.Duration
	// MaxSamples is how many samples a query may hold in memory; zero means 50 million.
	MaxSamples int
	// MaxConcurrentQueries is how many queries of people run at once, others wait; zero means 20. As many evaluations
	// of rules run beside them, so that a dashboard cannot delay an alert.
	MaxConcurrentQueries int
	// LookbackDelta is how long a sample stays current for instant vectors; zero means 5 minutes.
	LookbackDelta time.Duration
	// SubqueryStep is the resolution of subqueries that name none; zero means 1 minute. See SetSubqueryStep.
	SubqueryStep time.Duration

	// OnCommit, if set, is called after each successful commit, on the committing goroutine, with the samples that
	// the commit made durable and visible, and after one that failed because the disk takes nothing, with those of known
	// series that it would have: rules are to see them all the same. The batch and all it refers to belong to the store: they are valid during
	// the call only and must not be changed. Calls for different appenders run concurrently. Nil costs nothing. A sample
	// that the database took and then dropped within the commit (the second of two with one series and time in the same
	// batch, or one that another appender overtook) is among them: upstream does not say which these are.
	OnCommit func(ctx context.Context, batch []Sample)
	// RemoteFlushDeadline is how long Close, and a change of remote write, wait for it to send what it holds. Zero means 1
	// minute.
	RemoteFlushDeadline time.Duration
	// ScrapeManager says where remote write finds the metadata of scraped metrics; nil sends none of it.
	ScrapeManager remote.ReadyScrapeManager

	// tuneDB and tuneEngine let this package's tests run upstream's suites, which need settings of their own.
	tuneDB     func(*tsdb.Options)
	tuneEngine func(*promql.EngineOpts)
}

// WithDefaults returns o with defaults in place of zeros.
func (o Options) WithDefaults() Options {
	setDefault(&o.Tenant, tenant.Default)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.RetentionTime == 0 && o.RetentionSize == 0 {
		o.RetentionTime = DefaultRetention
	}
	setDefault(&o.MaxExemplars, DefaultMaxExemplars)
	setDefault(&o.MaxMetadata, DefaultMaxMetadata)
	o.Limits = o.Limits.WithDefaults()
	if o.Compiler == nil {
		o.Compiler = plan.NewCompiler(plan.Options{})
	}
	setDefault(&o.QueryTimeout, DefaultQueryTimeout)
	setDefault(&o.MaxSamples, DefaultMaxSamples)
	setDefault(&o.MaxConcurrentQueries, DefaultMaxConcurrentQueries)
	setDefault(&o.LookbackDelta, DefaultLookbackDelta)
	setDefault(&o.SubqueryStep, DefaultSubqueryStep)
	setDefault(&o.RemoteFlushDeadline, DefaultRemoteFlushDeadline)
	setDefault(&o.MinFreeSpace, DefaultMinFreeSpace)
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate says which field of o (with its defaults) cannot be used, and why.
func (o Options) Validate() error {
	var errs []error
	refuse := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(o.Dir == "", "data directory is empty")
	refuse(o.RetentionTime > 0 && o.RetentionTime < time.Minute, "retention time %s is shorter than a minute", o.RetentionTime)
	refuse(o.RetentionSize < 0, "retention size %d is negative", o.RetentionSize)
	refuse(o.OutOfOrderWindow < 0, "out-of-order window %s is negative", o.OutOfOrderWindow)
	refuse(o.MaxMetadata < 0, "metadata limit %d is negative", o.MaxMetadata)
	refuse(o.QueryTimeout < 0, "query timeout %s is negative", o.QueryTimeout)
	refuse(o.MaxSamples < 0, "samples per query %d is negative", o.MaxSamples)
	refuse(o.MaxConcurrentQueries < 0, "concurrent queries %d is negative", o.MaxConcurrentQueries)
	refuse(o.LookbackDelta < 0, "lookback delta %s is negative", o.LookbackDelta)
	refuse(o.SubqueryStep < time.Millisecond, "subquery step %s is shorter than a millisecond", o.SubqueryStep)
	if len(errs) == 0 {
		return nil
	}
	return &failure{text: oneLine(errors.Join(errs...)), errs: errs}
}

// tsdbOptions translates o as Prometheus's main program does its flags. Native histograms are always on in upstream.
func (o Options) tsdbOptions() *tsdb.Options {
	opts := tsdb.DefaultOptions()
	opts.NoLockfile = true // Open holds that very lock already.
	opts.WALCompression = compression.Snappy
	opts.RetentionDuration = max(0, o.RetentionTime.Milliseconds())
	opts.MaxBytes = o.RetentionSize
	opts.OutOfOrderTimeWindow = o.OutOfOrderWindow.Milliseconds()
	opts.EnableExemplarStorage = true
	opts.MaxExemplars = int64(max(0, o.MaxExemplars))
	opts.MaxBlockDuration = largestBlock.Milliseconds()
	if o.RetentionTime > 0 {
		opts.MaxBlockDuration = min(opts.MaxBlockDuration, (o.RetentionTime / 10).Milliseconds())
	}
	if o.tuneDB != nil {
		o.tuneDB(opts)
	}
	return opts
}

func (o Options) engineOptions(subqueryStep func(int64) int64) promql.EngineOpts {
	opts := promql.EngineOpts{
		Logger:                   o.Logger.With("component", "query engine"),
		Reg:                      o.Registerer,
		MaxSamples:               o.MaxSamples,
		Timeout:                  o.QueryTimeout,
		ActiveQueryTracker:       newGate(o.MaxConcurrentQueries),
		LookbackDelta:            o.LookbackDelta,
		NoStepSubqueryIntervalFn: subqueryStep,
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   o.Compiler.Parser(),
	}
	if o.tuneEngine != nil {
		o.tuneEngine(&opts)
	}
	return opts
}

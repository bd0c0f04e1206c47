// Package history keeps one tenant's samples in an embedded Prometheus TSDB and runs the upstream PromQL engine over
// them: queries for people, and tier 0 for rules.
//
// It is the one door through which samples are written, whatever brought them: limits are checked, rejects counted and
// commits observed here. It must not know where samples come from, what rules are, or who is told.
package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/fileutil"

	"github.com/tocsin/tocsin/internal/series"
	"github.com/tocsin/tocsin/internal/tenant"
)

const (
	// lockName is the TSDB's own lock file, so that a Prometheus server on the same directory is kept out too.
	lockName = "lock"
)

// Store is one tenant's history. All methods are safe for concurrent use.
type Store struct {
	dir      string
	tenant   tenant.ID
	logger   *slog.Logger
	limits   series.Limits
	onCommit func(ctx context.Context, batch []Sample)

	lock   fileutil.Releaser
	db     *tsdb.DB
	engine *promql.Engine
	remote *remote.Storage
	// sending says whether remote write has a destination; only then appenders tell it about samples.
	sending atomic.Bool
	// subqueryStep is the resolution of subqueries that name none, in milliseconds.
	subqueryStep atomic.Int64
	// creating is held while a series is created.
	creating sync.Mutex
	// applying lets one change of settings through at a time.
	applying sync.Mutex
	// destinations are what remote write runs with; nil before the first. Guarded by applying.
	destinations *destinations

	room     room
	disk     disk
	metrics  *metrics
	batches  batchPool
	metadata *metadataCache
	arrivals rate

	// running ends when the store closes; queries end with it.
	running   context.Context
	stop      context.CancelFunc
	closeOnce sync.Once
	closeErr  error
}

// Open opens or creates the history in o.Dir and replays its write-ahead log. It fails with an error that wraps
// ErrLocked when another process holds the directory. Every error is one line that names the directory.
func Open(o Options) (*Store, error) {
	o = o.WithDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	// The lock is taken before upstream's Open, which clears temporary files before it looks at its own lock.
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		dir:      o.Dir,
		tenant:   o.Tenant,
		logger:   o.Logger,
		limits:   o.Limits,
		onCommit: o.OnCommit,
		lock:     lock,
		metrics:  newMetrics(o.Registerer),
		metadata: newMetadataCache(o.MaxMetadata),
	}
	s.subqueryStep.Store(o.SubqueryStep.Milliseconds())
	s.running, s.stop = context.WithCancel(context.Background())
	s.disk.dir, s.disk.logger, s.disk.room = o.Dir, o.Logger, &s.room
	s.disk.wake, s.disk.left, s.disk.closing = make(chan struct{}, 1), make(chan struct{}), s.running
	s.room.dir, s.room.reserve, s.room.free, s.room.logger, s.room.refuses = s.disk.log(), o.MinFreeSpace, freeSpace, o.Logger, s.metrics.low
	s.room.gone = func(err error) { s.disk.fail(err, nil) }

	opts := o.tsdbOptions()
	opts.BlocksToDelete = s.disk.deletable
	logger := slog.New(holdingHandler{o.Logger.Handler(), &s.disk}).With("component", "tsdb")
	s.db, err = tsdb.Open(o.Dir, logger, o.Registerer, opts, nil)
	if err == nil {
		if err = s.disk.opened(s.db); err != nil {
			err = errors.Join(err, s.db.Close())
		}
	}
	if err != nil {
		s.stop()
		return nil, errors.Join(explain("open the time series database", o.Dir, err), lock.Release())
	}
	registerHealth(o.Registerer, s.Healthy)
	s.engine = promql.NewEngine(o.engineOptions(func(int64) int64 { return s.subqueryStep.Load() }))
	s.remote = remote.NewStorage(o.Logger.With("component", "remote"), o.Registerer, s.db.StartTime, o.Dir,
		o.RemoteFlushDeadline, o.ScrapeManager, false)
	s.db.SetWriteNotified(s.remote)
	return s, nil
}

// lockDir takes the exclusive lock on dir, which it creates if need be. The lock file itself stays when the lock is
// released: removing it would let two processes hold locks on two files of one name.
func lockDir(dir string) (fileutil.Releaser, error) {
	lock, _, err := fileutil.Flock(filepath.Join(dir, lockName))
	if err == nil {
		return lock, nil
	}
	if isPathError(err) {
		return nil, explain("open the data directory", dir, err)
	}
	return nil, &failure{
		text: fmt.Sprintf("data directory %q is in use by another process; stop that process or choose another directory", dir),
		errs: []error{ErrLocked, err},
	}
}

// Close ends running queries, lets remote write send what it holds (for up to a minute where there is a destination),
// and closes the database. Appenders must be committed or rolled back, and queriers closed, before. It may be called
// more than once. Where the disk takes nothing, the database is left as it is, in memory too, and the error says so: what
// was acknowledged is in its log.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.stop()
		errs := []error{s.engine.Close(), s.remote.Close()}
		if err := s.disk.close(); err != nil {
			// Upstream would write, and end the process where it cannot. What was acknowledged is in the log.
			errs = append(errs, explain("close the time series database in", s.dir, err))
		} else if err := s.db.Close(); err != nil {
			errs = append(errs, explain("close the time series database", s.dir, err))
		}
		if err := errors.Join(append(errs, s.lock.Release())...); err != nil {
			s.closeErr = &failure{text: "close history: " + oneLine(err), errs: []error{err}}
		}
	})
	return s.closeErr
}

// Tenant returns whose history this is.
func (s *Store) Tenant() tenant.ID { return s.tenant }

// DB returns the database itself, for what upstream's API wants of it. Appends through it escape limits and observers.
func (s *Store) DB() *tsdb.DB { return s.db }

// StartTime returns the oldest sample's time in Unix milliseconds.
func (s *Store) StartTime() (int64, error) { return s.db.StartTime() }

// Querier returns a querier over [mint, maxt], in Unix milliseconds, both included. The caller closes it.
func (s *Store) Querier(mint, maxt int64) (storage.Querier, error) { return s.db.Querier(mint, maxt) }

// ChunkQuerier is Querier for encoded chunks.
func (s *Store) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	return s.db.ChunkQuerier(mint, maxt)
}

// ExemplarQuerier returns a querier over the exemplars in memory.
func (s *Store) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	return s.db.ExemplarQuerier(ctx)
}

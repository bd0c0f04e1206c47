package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Ledger is an open ledger. All methods are safe for concurrent use.
type Ledger struct {
	opts    Options
	db      *database // readers only; the connection that writes belongs to writer
	metrics *metrics
	index   *index
	writer  *writer
	keeper  *keeper
	fresh   bool
}

// Fresh reports whether there was no ledger in the directory before Open.
func (l *Ledger) Fresh() bool { return l.fresh }

// Open opens the ledger in o.Dir, which is created where there is none and brought to this version's schema where it is
// older. It is locked until Close. An error says which file, what is wrong and what to do; ErrLocked, ErrNewer and
// ErrDamaged tell the kinds that programs may want to tell.
//
// Parts that are damaged but can be left out (a row of the log, an instance) are, with an error in the log; Check finds
// them all.
func Open(o Options) (*Ledger, error) { return open(o, currentSchema()) }

func open(o Options, s schema) (*Ledger, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	db, from, err := openDatabase(o.Dir, s)
	if err != nil {
		return nil, err
	}
	l := &Ledger{opts: o, db: db, metrics: newMetrics(o.Registerer), fresh: from == 0}
	if err := l.start(); err != nil {
		return nil, errors.Join(explain("reading", db.path, err), db.close())
	}
	registerHealth(o.Registerer, l.Healthy)
	if from != s.version && from != 0 {
		o.Logger.Info("The ledger was brought to a newer version", "path", db.path, "from", from, "to", s.version)
	}
	return l, nil
}

// start reads what must be known and starts the goroutines: the writer, the indexer and the keeper.
func (l *Ledger) start() error {
	session := l.db.write
	applied, err := session.number("SELECT value FROM meta WHERE name='applied'")
	if err != nil {
		return err
	}
	last, err := session.number("SELECT max(?, (SELECT ifnull(max(seq),0) FROM log), (SELECT ifnull(max(seq),0) FROM changes))", applied)
	if err != nil {
		return err
	}
	l.index = newIndex(l.metrics, last)
	l.writer = &writer{
		inbox: inbox{wake: make(chan struct{}, 1)},
		steps: make(chan step), stop: make(chan struct{}), done: make(chan struct{}),
		db: l.db, logger: l.opts.Logger, metrics: l.metrics, publish: l.index.publish,
		last: last, states: newStates(applied), backlog: backlog{limit: l.opts.MaxQueueBytes}, fault: l.opts.Fault,
	}
	damaged, err := l.writer.states.replay(l.db.reader)
	if err != nil {
		return err
	}
	l.warnDamaged("The state of some alerts may be older than it should be: part of the ledger cannot be read", damaged)
	l.keeper = newKeeper(l)
	go l.writer.run()
	ctx, cancel := context.WithCancel(context.Background())
	l.index.cancel = cancel
	go l.index.follow(ctx, l.db.reader, last, l.warnDamaged)
	go l.keeper.run()
	return nil
}

// warnDamaged logs what cannot be read, the first few one by one.
func (l *Ledger) warnDamaged(what string, damaged []error) {
	if len(damaged) == 0 {
		return
	}
	l.metrics.errors.WithLabelValues(doingRead).Add(float64(len(damaged)))
	first := errors.Join(damaged[:min(len(damaged), 3)]...)
	l.opts.Logger.Error(what, "path", l.db.path, "rows", len(damaged), "err", first, "advice", advice(first))
}

// Close writes what waits and releases the directory. It returns ErrNotDurable where the disk does not take what is
// kept in memory: that is lost then.
func (l *Ledger) Close() error {
	if !l.writer.inbox.close() {
		return ErrClosed
	}
	l.keeper.close()
	close(l.writer.stop)
	<-l.writer.done
	l.index.close()
	lost := l.writer.backlog.drop(l.metrics)
	return errors.Join(lost, l.db.close())
}

// Record puts one evaluation of one rule on disk: its transitions, the instances that changed and those that are gone
// (an instance is not in both). It returns nil when all of it is synced. Otherwise nothing of it is on disk, and
// ErrNotDurable says why; the ledger keeps it in memory and writes it when the disk takes it again. The slices are the
// caller's again when Record returns.
func (l *Ledger) Record(entries []Entry, changed []Instance, gone []InstanceKey) error {
	if len(entries) == 0 && len(changed) == 0 && len(gone) == 0 {
		return nil
	}
	// Copies, because those of a Record that was not waited for are still in use.
	b := &batch{entries: slices.Clone(entries), changed: slices.Clone(changed), gone: slices.Clone(gone)}
	began := time.Now()
	err := l.submit(request{batch: b, bytes: b.size()})
	l.metrics.records.Observe(time.Since(began).Seconds())
	if errors.Is(err, errInboxFull) {
		l.metrics.dropped.WithLabelValues(kindTransition, dropInboxFull).Add(float64(len(entries)))
		l.metrics.dropped.WithLabelValues(kindInstance, dropInboxFull).Add(float64(len(changed) + len(gone)))
	}
	return err
}

// RecordDelivery records one attempt to deliver. It does not wait: the record is on disk 100 ms later, or sooner with
// any other commit, the one of a following Settle for instance.
func (l *Ledger) RecordDelivery(d Delivery) {
	d.shorten()
	s := &storedDelivery{Delivery: d}
	s.asOf, s.refs, s.Alerts = l.index.resolve(d.Alerts)
	if ok, _ := l.writer.inbox.put(request{delivery: s, bytes: s.size()}, l.opts.MaxQueueBytes); !ok {
		l.metrics.dropped.WithLabelValues(kindDelivery, dropInboxFull).Inc()
	}
}

var errInboxFull = errors.New("the disk does not answer, and no more can be kept in memory")

// submit hands r to the writer and waits for the outcome.
func (l *Ledger) submit(r request) error {
	r.done = make(chan error, 1)
	ok, err := l.writer.inbox.put(r, l.opts.MaxQueueBytes)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("ledger: %w: %s: %w", ErrNotDurable, l.db.path, errInboxFull)
	}
	timeout := time.NewTimer(l.opts.CommitTimeout)
	defer timeout.Stop()
	select {
	case err := <-r.done:
		return err
	case <-timeout.C:
		return fmt.Errorf("ledger: %w: %s: the disk has not answered for %s; it will be written when it does",
			ErrNotDurable, l.db.path, l.opts.CommitTimeout)
	}
}

// change runs f within a synced commit. What f learns it keeps to itself: its error undoes the commit for all.
func (l *Ledger) change(f func(*session) error) error {
	return l.submit(request{change: f})
}

// step runs f in the writer's goroutine, between commits.
func (l *Ledger) step(ctx context.Context, f func(*writer) error) error {
	s := step{run: f, done: make(chan error, 1)}
	select {
	case l.writer.steps <- s:
		return <-s.done
	case <-l.writer.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

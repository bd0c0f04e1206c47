package history

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/tenant"
)

// transaction is what both generations of appenders share: the way of a batch from its first sample to its observers.
type transaction struct {
	store *Store
	// ctx is kept for the observer only; it is the one that the appender was made with.
	ctx context.Context
	// batch is nil where nobody observes; otherwise it is owned by the transaction until done.
	batch *[]Sample
	count int
	// doomed is why a sample was not appended, because the disk takes nothing: the commit fails, and nothing is written.
	doomed error
	// created are the series that are new to the database.
	created []storage.SeriesRef
	// seen is the metadata last handed to the cache: families come in runs.
	seen familyMetadata
}

func (s *Store) begin(ctx context.Context) transaction {
	t := transaction{store: s, ctx: ctx}
	if s.onCommit != nil {
		t.batch = s.batches.get()
	}
	return t
}

// enter prepares the append of one sample: it returns the series' reference, 0 for one that is new to the database. For a
// new one it checks the limits and takes the lock under which series are created; the caller must leave then. A caller
// who has a reference got it from an append that passed.
//
// Upstream sorts a new series' number into its index in place, which readers may be looking at (a race known there); it
// does so only where numbers come out of order, that is where series are created concurrently. The lock keeps them in
// order. It is not taken for samples of series that exist, and nothing else is locked by us while it is held.
func (t *transaction) enter(known storage.GetRef, ref storage.SeriesRef, ls labels.Labels) (_ storage.SeriesRef, locked bool, _ error) {
	if ref != 0 {
		return ref, false, t.unlessUnusable(ref)
	}
	if err := t.store.limits.Check(ls); err != nil {
		t.store.metrics.reject(err)
		return 0, false, err
	}
	if ref, _ = known.GetRef(ls, ls.Hash()); ref != 0 {
		return ref, false, t.unlessUnusable(ref)
	}
	if err := t.mayWrite(1); err != nil {
		return 0, false, t.doom(err)
	}
	t.store.creating.Lock()
	return 0, true, nil
}

// unlessUnusable dooms the transaction where nothing can be appended to a series.
func (t *transaction) unlessUnusable(ref storage.SeriesRef) error {
	if err := t.store.disk.unusable(ref); err != nil {
		return t.doom(err)
	}
	return nil
}

// doom lets the commit fail.
func (t *transaction) doom(why error) error {
	t.count, t.doomed = t.count+1, why
	return errDoomed
}

// errDoomed says that the sample cannot be kept, and that the commit will tell so: the caller counts it as appended.
var errDoomed = errors.New("the commit will fail")

func unlessDoomed(err error) error {
	if errors.Is(err, errDoomed) {
		return nil
	}
	return err
}

func (t *transaction) leave(locked bool) {
	if locked {
		t.store.creating.Unlock()
	}
}

// refused counts a sample that the database did not take. A refused staleness marker is not worth counting: writers
// send them on the chance, for instance when a target has come back already.
func (t *transaction) refused(err error, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram) {
	if h == nil && fh == nil && value.IsStaleNaN(v) {
		return
	}
	t.store.metrics.reject(err)
}

// appended records a sample that the database took; known is the series' reference from before.
func (t *transaction) appended(known storage.SeriesRef, s Sample) {
	t.count++
	if known != s.Ref {
		t.created = append(t.created, s.Ref)
	}
	if t.batch != nil {
		*t.batch = append(*t.batch, s)
	}
}

// describe remembers a series' metadata. The family's name is valid during the call only.
func (t *transaction) describe(family string, ls labels.Labels, m metadata.Metadata) {
	if m.IsEmpty() {
		return
	}
	if family == "" {
		family = familyOf(ls.Get(model.MetricNameLabel), m.Type)
	}
	if family == t.seen.family && m == t.seen.Metadata {
		return
	}
	seen, ok := t.store.metadata.observe(family, m)
	if !ok {
		t.store.metrics.metadataDropped.Inc()
		return
	}
	t.seen = seen
}

// ending is what both generations of the database's appenders end with.
type ending interface {
	Commit() error
	Rollback() error
}

// mayWrite returns why so many samples cannot be written, nil where they can.
func (t *transaction) mayWrite(samples int) error {
	if samples > 0 {
		if err := t.store.room.take(samples, time.Now()); err != nil {
			return err
		}
	}
	return t.store.disk.refused()
}

// commit commits to the database, where the disk takes it.
func (t *transaction) commit(inner ending) error {
	t.store.disk.writes.RLock()
	defer t.store.disk.writes.RUnlock()
	err := t.mayWrite(t.count)
	if err == nil {
		err = t.doomed
	}
	if err != nil {
		return errors.Join(err, t.undo(inner))
	}
	if err = inner.Commit(); isDiskTrouble(err) {
		t.store.disk.fail(err, t.created)
		return &refusal{err}
	}
	return err
}

// rollback gives up what was appended.
func (t *transaction) rollback(inner ending) error {
	t.store.disk.writes.RLock()
	defer t.store.disk.writes.RUnlock()
	return t.undo(inner)
}

// undo rolls back, which logs the series that were created all the same.
func (t *transaction) undo(inner ending) error {
	err := inner.Rollback()
	if isDiskTrouble(err) {
		t.store.disk.fail(err, t.created)
	}
	return err
}

// committed ends the transaction after the database's commit returned err. What a disk does not take is told of all the
// same: an alert must not wait for somebody to free some space. Its sender hears that it is not kept, and sends it again.
func (t *transaction) committed(err error) error {
	defer t.release()
	if err != nil {
		t.store.metrics.commitFailures.Inc()
		if isDiskTrouble(err) {
			t.forgetCreated()
			t.tell()
		}
		return explain("write samples to", t.store.dir, err)
	}
	if t.count == 0 {
		return nil
	}
	t.store.metrics.appended.Add(float64(t.count))
	t.store.arrivals.add(time.Now(), t.count)
	t.tell()
	return nil
}

// tell hands the samples to whoever observes.
func (t *transaction) tell() {
	if t.batch != nil && len(*t.batch) > 0 {
		t.store.onCommit(tenant.NewContext(t.ctx, t.store.tenant), *t.batch)
	}
}

// forgetCreated takes the samples of new series out of the batch: those series are not to stay.
func (t *transaction) forgetCreated() {
	if t.batch == nil || len(t.created) == 0 {
		return
	}
	slices.Sort(t.created)
	*t.batch = slices.DeleteFunc(*t.batch, func(s Sample) bool {
		_, isNew := slices.BinarySearch(t.created, s.Ref)
		return isNew
	})
}

// release gives the batch back. An appender may be rolled back after its commit; the second call does nothing.
func (t *transaction) release() {
	if t.batch != nil {
		t.store.batches.put(t.batch)
		t.batch = nil
	}
	t.count, t.doomed, t.created = 0, nil, nil
}

// appenderV2 is the database's appender behind the store's door.
type appenderV2 struct {
	transaction
	inner storage.AppenderV2
	// told is remote write's view of what comes in, nil where nothing is sent.
	told storage.AppenderV2
}

var (
	_ storage.AppenderV2 = (*appenderV2)(nil)
	_ storage.GetRef     = (*appenderV2)(nil)
)

// AppenderV2 returns an appender for one batch. Append fails with a *series.LimitError for a new series that is over a
// limit, with the database's errors otherwise; other samples of the batch are not affected. Commit makes the batch
// durable and visible and then tells the observer. Where it fails, for instance on a full disk, nothing of the batch is
// kept. An exact duplicate of a stored sample counts as appended, as upstream has it.
func (s *Store) AppenderV2(ctx context.Context) storage.AppenderV2 {
	a := &appenderV2{transaction: s.begin(ctx), inner: s.db.AppenderV2(ctx)}
	if s.sending.Load() {
		a.told = s.remote.AppenderV2(ctx)
	}
	return a
}

func (a *appenderV2) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram,
	fh *histogram.FloatHistogram, opts storage.AOptions,
) (storage.SeriesRef, error) {
	ref, locked, err := a.enter(a, ref, ls)
	if err != nil {
		return 0, unlessDoomed(err)
	}
	known := ref
	ref, err = func() (storage.SeriesRef, error) {
		defer a.leave(locked) // also when upstream panics: requests recover, and others must not wait for ever
		return a.inner.Append(ref, ls, st, t, v, h, fh, opts)
	}()
	if err != nil && ref == 0 {
		a.refused(err, v, h, fh)
		return 0, err
	}
	// A partial error leaves ref set: the sample is in, some of its exemplars are not.
	a.appended(known, Sample{Ref: ref, Labels: ls, T: t, V: v, H: h, FH: fh})
	a.describe(opts.MetricFamilyName, ls, opts.Metadata)
	if a.told != nil {
		// It only counts, and never fails.
		_, _ = a.told.Append(ref, ls, st, t, v, h, fh, opts)
	}
	return ref, err
}

func (a *appenderV2) GetRef(ls labels.Labels, hash uint64) (storage.SeriesRef, labels.Labels) {
	if g, ok := a.inner.(storage.GetRef); ok {
		return g.GetRef(ls, hash)
	}
	return 0, labels.EmptyLabels()
}

func (a *appenderV2) Commit() error {
	err := a.commit(a.inner)
	if a.told != nil && err == nil {
		_ = a.told.Commit()
	}
	return a.committed(err)
}

func (a *appenderV2) Rollback() error {
	defer a.release()
	return a.rollback(a.inner)
}

// appenderV1 is appenderV2 in the older shape, which some upstream parts still write to.
type appenderV1 struct {
	transaction
	inner storage.Appender
	told  storage.Appender
}

var (
	_ storage.Appender = (*appenderV1)(nil)
	_ storage.GetRef   = (*appenderV1)(nil)
)

// Appender is AppenderV2 for callers of the older interface.
func (s *Store) Appender(ctx context.Context) storage.Appender {
	a := &appenderV1{transaction: s.begin(ctx), inner: s.db.Appender(ctx)}
	if s.sending.Load() {
		a.told = s.remote.Appender(ctx)
	}
	return a
}

func (a *appenderV1) SetOptions(opts *storage.AppendOptions) { a.inner.SetOptions(opts) }

func (a *appenderV1) Append(ref storage.SeriesRef, ls labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	ref, locked, err := a.enter(a, ref, ls)
	if err != nil {
		return 0, unlessDoomed(err)
	}
	known := ref
	ref, err = func() (storage.SeriesRef, error) {
		defer a.leave(locked)
		return a.inner.Append(ref, ls, t, v)
	}()
	if err != nil {
		a.refused(err, v, nil, nil)
		return ref, err
	}
	a.appended(known, Sample{Ref: ref, Labels: ls, T: t, V: v})
	if a.told != nil {
		_, _ = a.told.Append(ref, ls, t, v)
	}
	return ref, nil
}

func (a *appenderV1) AppendHistogram(ref storage.SeriesRef, ls labels.Labels, t int64, h *histogram.Histogram,
	fh *histogram.FloatHistogram,
) (storage.SeriesRef, error) {
	ref, locked, err := a.enter(a, ref, ls)
	if err != nil {
		return 0, unlessDoomed(err)
	}
	known := ref
	ref, err = func() (storage.SeriesRef, error) {
		defer a.leave(locked)
		return a.inner.AppendHistogram(ref, ls, t, h, fh)
	}()
	if err != nil {
		a.refused(err, 0, h, fh)
		return ref, err
	}
	a.appended(known, Sample{Ref: ref, Labels: ls, T: t, H: h, FH: fh})
	if a.told != nil {
		_, _ = a.told.AppendHistogram(ref, ls, t, h, fh)
	}
	return ref, nil
}

func (a *appenderV1) AppendExemplar(ref storage.SeriesRef, ls labels.Labels, e exemplar.Exemplar) (storage.SeriesRef, error) {
	ref, err := a.inner.AppendExemplar(ref, ls, e)
	if err == nil && a.told != nil {
		_, _ = a.told.AppendExemplar(ref, ls, e)
	}
	return ref, err
}

func (a *appenderV1) UpdateMetadata(ref storage.SeriesRef, ls labels.Labels, m metadata.Metadata) (storage.SeriesRef, error) {
	a.describe("", ls, m)
	return a.inner.UpdateMetadata(ref, ls, m)
}

// AppendSTZeroSample is not shown to the observer: it marks a counter's start and is no arrival.
func (a *appenderV1) AppendSTZeroSample(ref storage.SeriesRef, ls labels.Labels, t, st int64) (storage.SeriesRef, error) {
	ref, locked, err := a.enter(a, ref, ls)
	if err != nil {
		return 0, unlessDoomed(err)
	}
	defer a.leave(locked)
	known := ref
	if ref, err = a.inner.AppendSTZeroSample(ref, ls, t, st); err == nil && ref != known {
		a.created = append(a.created, ref)
	}
	return ref, err
}

// AppendHistogramSTZeroSample is AppendSTZeroSample for histograms.
func (a *appenderV1) AppendHistogramSTZeroSample(ref storage.SeriesRef, ls labels.Labels, t, st int64,
	h *histogram.Histogram, fh *histogram.FloatHistogram,
) (storage.SeriesRef, error) {
	ref, locked, err := a.enter(a, ref, ls)
	if err != nil {
		return 0, unlessDoomed(err)
	}
	defer a.leave(locked)
	known := ref
	if ref, err = a.inner.AppendHistogramSTZeroSample(ref, ls, t, st, h, fh); err == nil && ref != known {
		a.created = append(a.created, ref)
	}
	return ref, err
}

func (a *appenderV1) GetRef(ls labels.Labels, hash uint64) (storage.SeriesRef, labels.Labels) {
	if g, ok := a.inner.(storage.GetRef); ok {
		return g.GetRef(ls, hash)
	}
	return 0, labels.EmptyLabels()
}

func (a *appenderV1) Commit() error {
	err := a.commit(a.inner)
	if a.told != nil && err == nil {
		_ = a.told.Commit()
	}
	return a.committed(err)
}

func (a *appenderV1) Rollback() error {
	defer a.release()
	return a.rollback(a.inner)
}

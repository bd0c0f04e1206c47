package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/wlog"
)

const (
	walName   = "wal"
	probeName = "tocsin-probe" // no number, so upstream passes over it
	// The times between looks whether the disk takes something again.
	firstLook, lastLook = 100 * time.Millisecond, time.Second
)

// disk lets nobody at the database's files while they cannot be written, and goes on when they can be again: a file system
// that turned read-only, a quota, a directory that was taken away. Upstream's database is not made for that:
//
//   - A write to its log that fails half-way leaves a torn record, and the next start cuts the log there: what was
//     acknowledged after it would be lost. So after the first failure nothing more is written, and before the next commit the
//     log is mended.
//   - A series is created in memory before it is logged. Where that failed, samples would be logged for a series that no
//     start knows. So such series are taken out of memory, and are created anew by who writes to them next.
//   - Once a minute chunks that are full are moved out of memory. Where that fails, it ends the process. So it is held up.
type disk struct {
	dir    string
	is     os.FileInfo // the log's directory as it was opened
	logger *slog.Logger
	room   *room
	db     atomic.Pointer[tsdb.DB] // nil while it is being opened

	// writes is held, shared, by who commits, and alone by who mends the log.
	writes sync.RWMutex
	// refusing is why no samples are taken, holding why nothing is moved, compacted or deleted; nil while all is well.
	refusing, holding atomic.Pointer[trouble]

	mu       sync.Mutex
	unlogged map[storage.SeriesRef]bool // series that may be in memory only

	wake    chan struct{} // has room for one
	closing context.Context
	left    chan struct{} // closed where the database is left as it is
	work    sync.WaitGroup
}

type trouble struct {
	since time.Time
	err   error
	// segment is where the log may be torn first.
	segment int
}

// opened is called when the database is open; until then nothing is held up.
func (d *disk) opened(db *tsdb.DB) (err error) {
	if d.is, err = os.Stat(d.log()); err != nil {
		return err
	}
	d.db.Store(db)
	d.work.Go(func() {
		for {
			select {
			case <-d.wake:
				d.recover()
			case <-d.closing.Done():
				return
			}
		}
	})
	return nil
}

func (d *disk) log() string { return filepath.Join(d.dir, walName) }

// refused returns why nothing may be written, nil where it may.
func (d *disk) refused() error {
	if t := d.refusing.Load(); t != nil {
		return &refusal{t.err}
	}
	return nil
}

// refusal is an error of which history has said that it will come again and again for a while.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// Unavailable tells those who answer requests that they need not log each.
func (r *refusal) Unavailable() bool { return true }

// fail notes that the log could not be written. created are the series that were to be logged.
func (d *disk) fail(err error, created []storage.SeriesRef) {
	d.keepApart(created)
	if d.refusing.Load() != nil {
		return
	}
	t := &trouble{since: time.Now(), err: err}
	if _, last, err := wlog.Segments(d.log()); err == nil {
		t.segment = max(0, last-1) // Others may have gone on meanwhile.
	}
	if !d.refusing.CompareAndSwap(nil, t) {
		return
	}
	d.logger.Error("Samples cannot be stored: they are refused until they can; alerts and notifications go on",
		"err", explain("write samples to", d.dir, err))
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// recover returns when samples are taken again, or the store closes.
func (d *disk) recover() {
	began := time.Now()
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		select {
		case <-time.After(wait):
		case <-d.closing.Done():
			return
		}
		mended, err := d.restore()
		if err == nil {
			d.logger.Info("Samples can be stored again", "dir", d.dir, "refused_for", time.Since(began).Round(time.Millisecond), "mended", mended)
			return
		}
		was := d.refusing.Load()
		d.refusing.Store(&trouble{since: was.since, err: err, segment: was.segment})
	}
}

// keepApart lets nobody append to series that are to be taken out of memory.
func (d *disk) keepApart(created []storage.SeriesRef) {
	if len(created) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unlogged == nil {
		d.unlogged = map[storage.SeriesRef]bool{}
	}
	for _, ref := range created {
		d.unlogged[ref] = true
	}
}

// unusable returns why nothing can be appended to a series that is in memory, nil where it can.
func (d *disk) unusable(ref storage.SeriesRef) error {
	t := d.refusing.Load()
	if t == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unlogged[ref] {
		return &refusal{t.err}
	}
	return nil
}

// restore brings the database into order and lets samples in. It returns how many torn records it mended.
func (d *disk) restore() (mended int, err error) {
	if err := d.probe(); err != nil {
		return 0, err
	}
	for {
		d.writes.Lock()
		n, err := d.mend()
		mended += n
		lost := d.lost()
		if err == nil && len(lost) == 0 {
			d.refusing.Store(nil) // While no commit is under way: those that come find the log in order.
		}
		d.writes.Unlock()
		if err != nil || len(lost) == 0 {
			return mended, err
		}
		// This writes what there is of them into a block, and notes in the log that they are gone.
		if err := d.db.Load().CompactSelectedSeries(lost); err != nil {
			return mended, err
		}
		if err := d.forgetGone(lost); err != nil {
			return mended, err
		}
	}
}

func (d *disk) lost() []storage.SeriesRef {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.unlogged))
}

// errInUse says that somebody appends to a series that is to go, who began before the trouble.
var errInUse = errors.New("series that are not in the log are still in use")

// forgetGone forgets those series that are not in memory any more.
func (d *disk) forgetGone(lost []storage.SeriesRef) error {
	index, err := d.db.Load().Head().Index()
	if err != nil {
		return err
	}
	defer index.Close() // It holds nothing.
	d.mu.Lock()
	defer d.mu.Unlock()
	var ls labels.ScratchBuilder
	for _, ref := range lost {
		if errors.Is(index.Series(ref, &ls, nil), storage.ErrNotFound) {
			delete(d.unlogged, ref)
		} else {
			err = errInUse
		}
	}
	return err
}

// mend brings the log into order. Nothing else may write to it meanwhile.
func (d *disk) mend() (int, error) {
	// Upstream keeps what it could not write in a buffer. A deletion that meets no series is logged like any other, and takes
	// what is left there to disk.
	nothing := labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, "\xff")
	if err := d.db.Load().Head().Delete(context.Background(), 0, 0, nothing); err != nil {
		return 0, err
	}
	n, err := mendLog(d.log(), d.refusing.Load().segment)
	if errors.Is(err, errDamaged) {
		d.logger.Error("The write-ahead log is damaged: the next start cuts it there. Restart tocsin soon, to lose little", "err", err)
		err = nil
	}
	return n, err
}

// probe returns why nothing can be written, nil where it can.
func (d *disk) probe() error {
	now, err := os.Stat(d.log())
	if err != nil {
		return err
	}
	if !os.SameFile(now, d.is) {
		return errReplaced
	}
	path := filepath.Join(d.log(), probeName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Close(), os.Remove(path))
}

// errReplaced says that another directory is in the place of the one that is open.
var errReplaced = fmt.Errorf("it is not the directory that was opened: %w", fs.ErrNotExist)

// close ends looking. It returns why the database must be left as it is, where it must: closing it would write.
func (d *disk) close() error {
	d.work.Wait()
	err := d.probe()
	if err != nil {
		close(d.left)
	}
	return err
}

// Healthy reports whether samples are stored and looked after and, if not, since when, why, and what can be done.
func (s *Store) Healthy() (ok bool, why string) {
	d := &s.disk
	if t := d.refusing.Load(); t != nil {
		return false, fmt.Sprintf("%s (since %s); samples are refused, alerts go on",
			explain("write samples to", d.dir, t.err), t.since.UTC().Format(time.RFC3339))
	}
	if s.room.isLow(time.Now()) {
		return false, fmt.Sprintf("%s; samples are refused, alerts go on", explain("write samples to", d.dir, errNoRoom))
	}
	if t := d.holding.Load(); t != nil {
		return false, fmt.Sprintf("%s (since %s); samples are taken, but nothing is compacted, deleted or moved out of memory",
			explain("write to", d.dir, t.err), t.since.UTC().Format(time.RFC3339))
	}
	return true, ""
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/history"
)

// batchSamples is how many samples come in one batch, about what remote write sends.
const batchSamples = 2_000

// source makes up series, numbered from 0, and their samples, one interval at a time.
type source interface {
	// count is how many series there are.
	count() int
	// labels returns those of a series; it may make them anew at each call.
	labels(i int) labels.Labels
	// offset is when within each interval the series is sampled, in milliseconds.
	offset(i int) int64
	// advance begins the next interval.
	advance()
	// value makes the series' sample of the current interval; it is called once a series and interval.
	value(i int) float64
}

// world is one history in a temporary directory that a source is written to. What is committed is shown to watch.
type world struct {
	store *history.Store
	dir   string
	data  source
	step  int
	refs  []storage.SeriesRef
	// known are the labels of the series that have a reference, as scrape and remote write give them with every sample.
	known []labels.Labels
	// start is the beginning of the first interval, in Unix milliseconds.
	start int64
	// late counts the batches that came after now, one a millisecond. No source samples so early in an interval.
	late  int64
	watch func(batch []history.Sample)
}

// newWorld opens an empty history below tmp. The last of steps intervals ends about now.
func newWorld(tmp string, data source, steps int) (*world, error) {
	dir, err := os.MkdirTemp(tmp, "tocsin-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the samples: %w", err)
	}
	now := time.Now().UnixMilli()
	w := &world{
		dir: dir, data: data, start: now - now%interval - int64(steps)*interval,
		refs: make([]storage.SeriesRef, data.count()), known: make([]labels.Labels, data.count()),
	}
	w.store, err = history.Open(history.Options{
		Dir: dir, MaxSamples: math.MaxInt32, QueryTimeout: time.Hour,
		OnCommit: func(_ context.Context, batch []history.Sample) {
			if w.watch != nil {
				w.watch(batch)
			}
		},
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return w, nil
}

// close removes everything.
func (w *world) close() error { return errors.Join(w.store.Close(), os.RemoveAll(w.dir)) }

// now is the end of the current interval: the time of its evaluation, in Unix milliseconds.
func (w *world) now() int64 { return w.start + int64(w.step)*interval }

// advance writes the next interval's sample of every series.
func (w *world) advance(ctx context.Context) error {
	from := w.now()
	w.step++
	w.late = 0
	w.data.advance()
	for i := 0; i < w.data.count(); i += batchSamples {
		end := min(i+batchSamples, w.data.count())
		if err := w.write(ctx, func(a storage.Appender) error {
			for j := i; j < end; j++ {
				if err := w.append(a, j, from+w.data.offset(j), w.data.value(j)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// write commits what fill appends as one batch.
func (w *world) write(ctx context.Context, fill func(storage.Appender) error) error {
	a := w.store.Appender(ctx)
	if err := fill(a); err != nil {
		return errors.Join(fmt.Errorf("write made-up samples: %w", err), a.Rollback())
	}
	return a.Commit()
}

// append adds a sample of a series; the labels of a new one are made here.
func (w *world) append(a storage.Appender, i int, t int64, v float64) (err error) {
	if w.refs[i] == 0 {
		w.known[i] = w.data.labels(i)
	}
	w.refs[i], err = a.Append(w.refs[i], w.known[i], t, v)
	return err
}

// replaceHosts ends the series of count hosts of d, the world's source, beginning at host from, with a staleness marker
// and gives their places to new hosts, whose series come with the next advance.
func (w *world) replaceHosts(ctx context.Context, d *dataset, from, count int) error {
	return w.write(ctx, func(a storage.Appender) error {
		for h := range count {
			host := (from + h) % d.hosts()
			first, end := d.seriesOf(host)
			for i := first; i < end; i++ {
				if err := w.append(a, i, w.now(), math.Float64frombits(value.StaleNaN)); err != nil {
					return err
				}
				w.refs[i] = 0
			}
			d.replace(host)
		}
		return nil
	})
}

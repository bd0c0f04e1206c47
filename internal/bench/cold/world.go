package cold

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/history"
)

const (
	// commitSamples is how many samples are committed at a time, about what remote write sends.
	commitSamples = 2_000
	// interval is the time between two samples of a series before anything is measured, in milliseconds.
	interval = 15_000
	// batchEvery is the time between two batches by their timestamps, in milliseconds: short, so that history's database
	// does not begin to compact.
	batchEvery = 1_000
)

// world is a history that made-up samples are written to. What is committed is shown to watch.
type world struct {
	store *history.Store
	data  *data
	refs  []storage.SeriesRef
	watch func(batch []history.Sample)
}

// openWorld opens an empty history in dir.
func openWorld(dir string, d *data) (_ *world, err error) {
	w := &world{data: d, refs: make([]storage.SeriesRef, d.count())}
	w.store, err = history.Open(history.Options{
		Dir: dir, MaxSamples: math.MaxInt32, QueryTimeout: time.Hour,
		OnCommit: func(_ context.Context, batch []history.Sample) {
			if w.watch != nil {
				w.watch(batch)
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("open a history for made-up samples: %w", err)
	}
	return w, nil
}

// write commits the next sample of every series, with timestamp at in Unix milliseconds.
func (w *world) write(ctx context.Context, at int64) error {
	w.data.step++
	for from := 0; from < w.data.count(); from += commitSamples {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.commit(ctx, from, min(from+commitSamples, w.data.count()), at); err != nil {
			return fmt.Errorf("write made-up samples: %w", err)
		}
	}
	return nil
}

func (w *world) commit(ctx context.Context, from, end int, at int64) (err error) {
	a := w.store.Appender(ctx)
	for i := from; i < end; i++ {
		if w.refs[i], err = a.Append(w.refs[i], w.data.sets[i], at, w.data.value(i)); err != nil {
			return errors.Join(err, a.Rollback())
		}
	}
	return a.Commit()
}

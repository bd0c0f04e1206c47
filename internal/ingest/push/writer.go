package push

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// writer writes one batch of one group to history, all of it at one time. It is ended with end, after commit or without.
type writer struct {
	g    *Gateway
	app  storage.AppenderV2
	key  string // the group's
	t    int64  // Unix milliseconds
	n    int
	open bool
	// ending says that the batch is the group's last.
	ending bool
}

// begin starts a batch of the group of key at time now, or a little later: no two batches that may have a series in common
// have the same time, so that a second push within a millisecond, or a clock that is set back, does not collide with what
// was written before. Times are kept for each group: with one for all of them, stating many groups in a millisecond would
// run ahead of the clock, and samples from the future are not seen. g.mu must be held.
func (g *Gateway) begin(ctx context.Context, key string, now time.Time) *writer {
	t := max(now.UnixMilli(), g.last[key]+1, g.ended+1)
	return &writer{g: g, app: g.options.Appendable.AppenderV2(ctx), key: key, t: t, open: true}
}

// beginEnd starts the last batch of the group of key, as begin does; but that many groups end at once moves no time.
func (g *Gateway) beginEnd(ctx context.Context, key string, now time.Time) *writer {
	t := max(now.UnixMilli(), g.last[key]+1)
	return &writer{g: g, app: g.options.Appendable.AppenderV2(ctx), key: key, t: t, open: true, ending: true}
}

// used notes the batch's time, so that later batches come after it.
func (w *writer) used() {
	if w.ending {
		// The group's series may come back in another group: every later batch comes after its end.
		w.g.ended = max(w.g.ended, w.t)
		delete(w.g.last, w.key)
		return
	}
	w.g.last[w.key] = w.t
}

// state writes e's value. It returns an *invalidPush where history refuses the series for good. Refusals because of the
// time (somebody else writes the same series, or the clock was set back) are not the push's fault and are only counted.
func (w *writer) state(f *family, e *entry, exemplars bool) error {
	opts := storage.AppendV2Options{MetricFamilyName: f.name, Metadata: e.meta}
	if exemplars {
		opts.Exemplars = e.exemplars
	}
	ref, err := w.app.Append(e.ref, e.ls, e.st, w.t, e.v, e.h, e.fh, opts)
	var partial *storage.AppendPartialError
	if err == nil || errors.As(err, &partial) {
		e.ref = ref
		w.n++
		return nil
	}
	reason, permanent := body.Permanent(err)
	switch {
	case !permanent:
		return fmt.Errorf("appending to series %s: %w", body.Clip(e.ls.String(), 300), err)
	case body.OfTime(reason):
		w.g.metrics.refused.WithLabelValues(reason).Inc()
		return nil
	}
	w.g.metrics.refused.WithLabelValues(reason).Inc()
	return &invalidPush{err}
}

func (w *writer) stateAll(fs map[string]*family) error {
	for _, f := range fs {
		for _, e := range f.entries {
			if err := w.state(f, e, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// staleExcept writes staleness markers for those series of old that next (nil: nothing) does not have.
func (w *writer) staleExcept(old, next *pushedGroup) error {
	stay := map[uint64]struct{}{}
	if next != nil {
		for _, e := range next.all() {
			stay[e.hash] = struct{}{}
		}
	}
	for f, e := range old.all() {
		if _, ok := stay[e.hash]; ok {
			continue
		}
		_, err := w.app.Append(e.ref, e.ls, 0, w.t, math.Float64frombits(value.StaleNaN), nil, nil,
			storage.AppendV2Options{MetricFamilyName: f.name})
		if _, permanent := body.Permanent(err); err != nil && !permanent {
			return fmt.Errorf("marking series %s as stale: %w", body.Clip(e.ls.String(), 300), err)
		}
	}
	return nil
}

// commit makes the batch durable and visible.
func (w *writer) commit() error {
	w.open = false // also a failing Commit ends the appender
	w.used()
	if err := w.app.Commit(); err != nil {
		w.g.metrics.commitFailures.Inc()
		return err
	}
	w.g.samples.Add(uint64(w.n))
	w.g.metrics.written.Add(float64(w.n))
	return nil
}

// end rolls the batch back where it was not committed.
func (w *writer) end() {
	if !w.open {
		return
	}
	if err := w.app.Rollback(); err != nil {
		w.g.options.Logger.Error("Rolling a batch of pushed samples back failed", "err", err)
	}
}

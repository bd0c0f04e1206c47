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

// writer writes one batch to history, all of it at one time. It is ended with end, after commit or without.
type writer struct {
	g    *Gateway
	app  storage.AppenderV2
	t    int64 // Unix milliseconds
	n    int
	open bool
}

// begin starts a batch at time now, or a little later: no two batches have the same time, so that a second push within
// a millisecond, or a clock that is set back, does not collide with what was written before. g.mu must be held.
func (g *Gateway) begin(ctx context.Context, now time.Time) *writer {
	g.last = max(now.UnixMilli(), g.last+1)
	return &writer{g: g, app: g.options.Appendable.AppenderV2(ctx), t: g.last, open: true}
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

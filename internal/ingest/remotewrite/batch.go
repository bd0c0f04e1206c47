package remotewrite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/ingest/body"
	"github.com/tocsin/tocsin/internal/series"
)

// counts is what was written of each kind.
type counts struct{ samples, histograms, exemplars int }

// batch is one request on its way into history. The methods note what is refused for good and return an error only
// for what deserves a retry; after that the batch must be rolled back.
type batch struct {
	app     storage.AppenderV2
	maxTime int64 // Unix milliseconds
	// strictExemplars makes late exemplars count as refused, as 2.0 wants it.
	strictExemplars bool

	counts  counts
	refused body.Refusals
	// lone are exemplars that no sample of this request could carry; they are written after the samples.
	lone []loneExemplar

	// State of the series at hand.
	ls      labels.Labels
	ref     storage.SeriesRef
	meta    metadata.Metadata
	waiting []exemplar.Exemplar // ride on the series' first accepted sample
}

type loneExemplar struct {
	ls labels.Labels
	e  exemplar.Exemplar
}

// within runs fill on a new batch and commits it. Where fill returns an error (or panics) nothing is kept.
func (h *Handler) within(ctx context.Context, strictExemplars bool, fill func(*batch) error) (counts, body.Refusals, error) {
	b := &batch{
		app:             h.options.Appendable.AppenderV2(ctx),
		maxTime:         h.options.Now().Add(h.options.MaxAhead).UnixMilli(),
		strictExemplars: strictExemplars,
	}
	open := true
	defer func() {
		if open {
			if err := b.app.Rollback(); err != nil {
				h.options.Logger.Error("Rolling a remote write batch back failed", "err", err)
			}
		}
	}()
	if err := fill(b); err != nil {
		return counts{}, body.Refusals{}, err
	}
	open = false // also a failing Commit ends the appender
	if err := b.app.Commit(); err != nil {
		return counts{}, body.Refusals{}, fmt.Errorf("committing samples: %w", err)
	}
	h.writeLone(ctx, b)
	return b.counts, b.refused, nil
}

// begin turns to the next series and says whether its labels are fit to be stored; n is how many samples it has.
func (b *batch) begin(ls labels.Labels, n int) bool {
	b.ls, b.ref, b.meta, b.waiting = ls, 0, metadata.Metadata{}, b.waiting[:0]
	if !ls.Has(model.MetricNameLabel) || !ls.IsValid(model.UTF8Validation) {
		b.refused.Add(body.InvalidLabels, n, "invalid metric name or labels, got %s", ls)
		return false
	}
	if name, dup := ls.HasDuplicateLabelNames(); dup {
		b.refused.Add(body.InvalidLabels, n, "invalid labels for series %s: label %q stands there twice", ls, name)
		return false
	}
	return true
}

// carry gives the series at hand an exemplar. It must be called before the samples.
func (b *batch) carry(e exemplar.Exemplar) {
	if e.Ts > b.maxTime {
		b.refused.Count("exemplar_other", 1)
		return
	}
	b.waiting = append(b.waiting, e)
}

// append writes one sample of the series at hand: a histogram where h or fh is not nil, v otherwise. Times are Unix
// milliseconds; st is 0 where unknown.
func (b *batch) append(st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram) error {
	err := b.tryAppend(st, t, v, h, fh)
	var partial *storage.AppendPartialError
	switch {
	case err == nil:
	case errors.As(err, &partial):
		// The sample is in, some exemplars are not.
		b.exemplarsRefused(partial.ExemplarErrors)
	default:
		return b.refuse(err, t)
	}
	if h != nil || fh != nil {
		b.counts.histograms++
	} else {
		b.counts.samples++
	}
	n := len(b.waiting)
	if partial != nil {
		n -= len(partial.ExemplarErrors)
	}
	b.counts.exemplars += n
	b.waiting = b.waiting[:0]
	return nil
}

func (b *batch) tryAppend(st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram) error {
	if t > b.maxTime {
		return fmt.Errorf("%w: timestamp is too far in the future", storage.ErrOutOfBounds)
	}
	if err := reduce(h, fh); err != nil {
		return err
	}
	opts := storage.AppendV2Options{Metadata: b.meta}
	if len(b.waiting) > 0 {
		slices.SortStableFunc(b.waiting, func(x, y exemplar.Exemplar) int { return cmp.Compare(x.Ts, y.Ts) })
		opts.Exemplars = b.waiting
	}
	ref, err := b.app.Append(b.ref, b.ls, st, t, v, h, fh, opts)
	if ref != 0 {
		b.ref = ref
	}
	return err
}

// reduce brings exponential histograms of a finer schema than history keeps down to the finest that it does.
func reduce(h *histogram.Histogram, fh *histogram.FloatHistogram) error {
	const finest = histogram.ExponentialSchemaMax
	var err error
	if h != nil && h.Schema > finest && histogram.IsExponentialSchemaReserved(h.Schema) {
		err = h.ReduceResolution(finest)
	}
	if fh != nil && fh.Schema > finest && histogram.IsExponentialSchemaReserved(fh.Schema) {
		err = fh.ReduceResolution(finest)
	}
	return err
}

// refuse sorts err: what is refused for good is noted, the rest returned.
func (b *batch) refuse(err error, t int64) error {
	reason, permanent := body.Permanent(err)
	if !permanent {
		return fmt.Errorf("appending to series %s: %w", body.Clip(b.ls.String(), 300), err)
	}
	var limit *series.LimitError
	if errors.As(err, &limit) { // It names the series, and the labels may be huge.
		b.refused.Add(reason, 1, "%s", limit)
	} else {
		b.refused.Add(reason, 1, "%s for series %s, timestamp %s", err, b.ls, time.UnixMilli(t).UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// end leaves the series at hand. Exemplars that no sample took along are kept for later.
func (b *batch) end() {
	for _, e := range b.waiting {
		b.lone = append(b.lone, loneExemplar{b.ls, e})
	}
}

// exemplarsRefused notes exemplars that history did not take. As upstream has it, a late one is the sender's fault in
// 2.0; every other trouble with exemplars is only counted.
func (b *batch) exemplarsRefused(errs []error) {
	for _, err := range errs {
		if b.strictExemplars && errors.Is(err, storage.ErrOutOfOrderExemplar) {
			b.refused.Add("exemplar_"+body.OutOfOrder, 1, "%s for series %s", err, b.ls)
		} else {
			b.refused.Count("exemplar_other", 1)
		}
	}
}

// writeLone writes the exemplars that came without a sample. They are worth less than the samples, which are
// committed: trouble here is counted and never fails the request.
func (h *Handler) writeLone(ctx context.Context, b *batch) {
	if len(b.lone) == 0 {
		return
	}
	appendable, ok := h.options.Appendable.(storage.Appendable)
	if !ok {
		b.refused.Count("exemplar_without_sample", len(b.lone))
		return
	}
	app := appendable.Appender(ctx)
	n := 0
	for _, l := range b.lone {
		if _, err := app.AppendExemplar(0, l.ls, l.e); err != nil {
			b.ls = l.ls
			b.exemplarsRefused([]error{err})
			continue
		}
		n++
	}
	if err := app.Commit(); err != nil {
		h.options.Logger.Error("Committing exemplars of a remote write request failed; its samples are kept", "err", err)
		b.refused.Count("exemplar_other", n)
		return
	}
	b.counts.exemplars += n
}

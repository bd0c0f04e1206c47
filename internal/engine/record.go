package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
)

// Rules never write into the past of their own series, whatever window for late samples history has.
func appendOptions() storage.AppendV2Options { return storage.AppendV2Options{RejectOutOfOrder: true} }

func staleMarker() float64 { return math.Float64frombits(value.StaleNaN) }

// recording is one commit to history: the result of one rule. It opens no transaction before there is something to write.
type recording struct {
	ctx     context.Context
	into    storage.AppendableV2
	app     storage.AppenderV2
	logger  *slog.Logger
	metrics *groupMetrics
	at      int64 // of the samples, milliseconds
	// discarded counts samples that history refused, by reason; refused is the last such error.
	discarded [discardReasons]int
	refused   error
}

// record appends vector, whose timestamps count for nothing, as what the rule returned at the given time, marks the
// series stale that it returned before and not now, and commits. With changesOnly, samples that say what the series'
// last one says are left out. refused says that single samples were not taken, failed that none were.
func (g *Group) record(ctx context.Context, rs *ruleState, vector promql.Vector, at time.Time, changesOnly bool) (refused, failed error) {
	known := &rs.recorded
	if g.opts.Appendable == nil || len(vector) == 0 && known.idle() {
		return nil, nil
	}
	r := recording{ctx: ctx, into: g.opts.Appendable, logger: rs.logger, metrics: g.metrics, at: timestamp.FromTime(at)}
	committed := false
	defer func() {
		if committed {
			return
		}
		known.doubt()
		if r.app != nil { // A panic is on its way up.
			_ = r.app.Rollback()
		}
	}()
	known.begin()
	for i := range vector {
		s := &vector[i]
		place := known.place(s.Metric)
		if changesOnly && s.H == nil && known.has(place, s.F) || r.append(s, known, place) {
			known.mark(place)
		}
	}
	r.warn()
	for place := known.gone(0); place >= 0; place = known.gone(place + 1) {
		r.markStale(known.reference(place), known.series[place].labels)
	}
	committed = true // Commit rolls back by itself when it fails.
	if r.app != nil {
		if err := r.app.Commit(); err != nil {
			known.doubt()
			return r.refused, fmt.Errorf("recording the result: %w", err)
		}
	}
	known.keep()
	return r.refused, nil
}

// appender returns the transaction, which it opens when it is the first to ask.
func (r *recording) appender() storage.AppenderV2 {
	if r.app == nil {
		r.app = r.into.AppenderV2(r.ctx)
	}
	return r.app
}

// append reports whether history took the sample for the series at the given place.
func (r *recording) append(s *promql.Sample, known *recorded, place int) bool {
	series := &known.series[place]
	ref, err := r.appender().Append(known.reference(place), s.Metric, 0, r.at, s.F, nil, s.H, appendOptions())
	if err == nil {
		series.ref, series.value, series.plain = ref, s.F, s.H == nil
		return true
	}
	r.refused = err
	reason := discardReason(err)
	r.discarded[reason]++
	level := slog.LevelDebug
	if reason == discardOther {
		level = slog.LevelWarn
	}
	r.logger.Log(context.Background(), level, "Rule evaluation result discarded", "err", err, "series", s.Metric.String())
	return false
}

// markStale ends a series. That it has a later sample already is no trouble: another rule returns it now.
func (r *recording) markStale(ref storage.SeriesRef, ls labels.Labels) {
	_, err := r.appender().Append(ref, ls, 0, r.at, staleMarker(), nil, nil, appendOptions())
	if err != nil && discardReason(err) == discardOther {
		r.logger.Warn("Adding a stale marker failed", "series", ls.String(), "err", err)
	}
}

// warn says and counts how many samples were discarded.
func (r *recording) warn() {
	for reason, n := range r.discarded {
		if n == 0 {
			continue
		}
		r.metrics.discarded[reason].Add(float64(n))
		if reason != discardOther { // Those were warned of one by one.
			r.logger.Warn("History refused results of a rule evaluation", "reason", discardNames[reason], "num_dropped", n)
		}
	}
}

// markStale ends the given series in one commit.
func (g *Group) markStale(ctx context.Context, series []labels.Labels, at time.Time) error {
	if len(series) == 0 || g.opts.Appendable == nil {
		return nil
	}
	r := recording{ctx: ctx, into: g.opts.Appendable, logger: g.logger, at: timestamp.FromTime(at)}
	for _, ls := range series {
		r.markStale(0, ls)
	}
	if err := r.appender().Commit(); err != nil {
		return fmt.Errorf("marking %d series of the previous configuration stale: %w", len(series), err)
	}
	return nil
}

// Reasons for which history refuses a sample.
const (
	discardOutOfOrder = iota
	discardTooOld
	discardDuplicate
	discardOther
	discardReasons
)

// discardNames are the values of the metric's label.
var discardNames = [discardReasons]string{"out_of_order", "too_old", "duplicate_timestamp", "other"}

func discardReason(err error) int {
	switch {
	case errors.Is(err, storage.ErrOutOfOrderSample):
		return discardOutOfOrder
	case errors.Is(err, storage.ErrTooOldSample):
		return discardTooOld
	case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
		return discardDuplicate
	}
	return discardOther
}

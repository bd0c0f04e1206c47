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

// recording is one commit to history: the result of one rule.
type recording struct {
	app     storage.AppenderV2
	logger  *slog.Logger
	metrics *groupMetrics
	at      int64 // of the samples, milliseconds
	// discarded counts samples that history refused, by reason; refused is the last such error.
	discarded [discardReasons]int
	refused   error
}

// record appends vector, whose timestamps count for nothing, as what the rule returned at the given time, marks the
// series stale that it returned before and not now, and commits. refused says that single samples were not taken,
// failed that none were.
func (g *Group) record(ctx context.Context, rs *ruleState, vector promql.Vector, at time.Time) (refused, failed error) {
	if g.opts.Appendable == nil {
		return nil, nil
	}
	r := recording{
		app:     g.opts.Appendable.AppenderV2(ctx),
		logger:  rs.logger,
		metrics: g.metrics,
		at:      timestamp.FromTime(at),
	}
	committed := false
	defer func() {
		if !committed { // A panic is on its way up.
			_ = r.app.Rollback()
		}
	}()
	returned := &rs.spareSeen
	returned.reset()
	for i := range vector {
		if r.append(&vector[i]) {
			returned.add(vector[i].Metric)
		}
	}
	r.warn()
	for i := range rs.seen.list {
		m := &rs.seen.list[i]
		if !returned.has(m.hash, m.labels) {
			r.markStale(m.labels)
		}
	}
	committed = true // Commit rolls back by itself when it fails.
	if err := r.app.Commit(); err != nil {
		return r.refused, fmt.Errorf("recording the result: %w", err)
	}
	rs.seen, rs.spareSeen = rs.spareSeen, rs.seen
	return r.refused, nil
}

// append reports whether history took the sample.
func (r *recording) append(s *promql.Sample) bool {
	_, err := r.app.Append(0, s.Metric, 0, r.at, s.F, nil, s.H, appendOptions())
	if err == nil {
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
func (r *recording) markStale(ls labels.Labels) {
	_, err := r.app.Append(0, ls, 0, r.at, staleMarker(), nil, nil, appendOptions())
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
	r := recording{app: g.opts.Appendable.AppenderV2(ctx), logger: g.logger, at: timestamp.FromTime(at)}
	for _, ls := range series {
		r.markStale(ls)
	}
	if err := r.app.Commit(); err != nil {
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

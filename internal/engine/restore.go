package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/rule"
)

// AwaitRestore says that Restore will be called after some evaluations. Until then alerting rules do not record ALERTS
// and ALERTS_FOR_STATE, so that they do not overwrite what they are restored from.
func (g *Group) AwaitRestore() {
	g.turn.Lock()
	defer g.turn.Unlock()
	for _, rs := range g.rules {
		if rs.rule().Kind == rule.Alerting {
			rs.restored = false
			g.awaitsRestore = true
		}
	}
}

// Restore looks up in history since when the alerts that are active now were active before a restart, and lets them
// count from there (see alert.RestoredActiveAt). Alerts of rules whose `for` is shorter than the grace period are left
// as they are. Where history cannot be read, alerts start afresh and the error is logged: there is no second try.
//
// Call it after the second evaluation, as Prometheus does: by then scrapes and recording rules have brought back what
// alerts depend on.
func (g *Group) Restore(ctx context.Context, now time.Time) {
	g.turn.Lock()
	defer g.turn.Unlock()
	start := time.Now()
	if err := g.restore(g.context(ctx), now); err != nil {
		g.logger.Error("Restoring since when alerts were active failed; their `for` starts afresh", "err", err)
	}
	for _, rs := range g.rules {
		rs.restored = true
		g.watchDeadline(rs)
	}
	g.awaitsRestore = false
	g.metrics.lastRestore.Set(time.Since(start).Seconds())
}

func (g *Group) restore(ctx context.Context, now time.Time) error {
	if g.opts.Queryable == nil || g.opts.OutageTolerance <= 0 {
		return nil
	}
	q, err := g.opts.Queryable.Querier(timestamp.FromTime(now.Add(-g.opts.OutageTolerance)), timestamp.FromTime(now))
	if err != nil {
		return fmt.Errorf("opening history: %w", err)
	}
	defer func() {
		if err := q.Close(); err != nil {
			g.logger.Error("Closing a querier failed", "err", err)
		}
	}()
	for _, rs := range g.rules {
		if rs.restored || rs.rule().Kind != rule.Alerting || rs.rule().For < g.opts.ForGracePeriod {
			continue
		}
		if err := g.restoreRule(ctx, q, rs, now); err != nil {
			rs.logger.Error("Restoring since when a rule's alerts were active failed; their `for` starts afresh", "err", err)
		}
	}
	return nil
}

func (g *Group) restoreRule(ctx context.Context, q storage.Querier, rs *ruleState, now time.Time) error {
	next := rs.spare
	next.CopyFrom(rs.alerts)
	set := q.Select(ctx, false, nil, alert.ForStateMatchers(rs.rule().Name, rs.rule().Labels)...)
	var errs []error
	for set.Next() {
		s := set.At()
		remembered, ok, err := lastForState(s)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("reading %s: %w", s.Labels(), err))
		case ok:
			ls := labels.NewBuilder(s.Labels()).Del(model.MetricNameLabel).Labels()
			next.Restore(ls, remembered, rs.rule().For, g.opts.ForGracePeriod, now)
		}
	}
	if err := set.Err(); err != nil {
		errs = append(errs, fmt.Errorf("selecting %s series: %w", alert.ForStateMetricName, err))
	}
	g.put(rs, next, nil, moment{})
	g.publish(rs, next)
	return errors.Join(errs...)
}

// lastForState returns the last sample of an ALERTS_FOR_STATE series; ok is false when there is none or the alert had
// ended.
func lastForState(s storage.Series) (r alert.Remembered, ok bool, err error) {
	var t int64
	v := math.NaN()
	it := s.Iterator(nil)
	for it.Next() == chunkenc.ValFloat {
		t, v = it.At()
		ok = true
	}
	if err := it.Err(); err != nil {
		return alert.Remembered{}, false, err
	}
	if !ok || value.IsStaleNaN(v) {
		return alert.Remembered{}, false, nil
	}
	// Whole seconds, as the sample's value has.
	return alert.Remembered{At: time.Unix(t/1000, 0).UTC(), ActiveAt: time.Unix(int64(v), 0).UTC()}, true, nil
}

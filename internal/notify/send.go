package notify

import (
	"context"
	"errors"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
)

// Reasons why an alert was not taken.
const (
	dropInvalid    = "invalid"
	dropCancelled  = "cancelled"
	dropStopped    = "stopped"
	dropRelabelled = "relabelled"
)

// putBatch is how many alerts enter the provider under one hold of its lock.
const putBatch = 256

// Send hands alerts to the pipeline, with the same defaults as Alertmanager's API: StartsAt is now (or EndsAt, where only
// that is given), EndsAt is now plus the configuration's resolve_timeout. It returns when the dispatcher has been handed
// all of them; where that is slow, Send is. Before all that they are labelled as ApplyAlerting says, and those that ended,
// have no data or are flapping are annotated. Alerts that cannot be taken are counted, and invalid ones logged.
func (n *Notifier) Send(ctx context.Context, alerts []alert.Outgoing) {
	if n.stopped.Load() {
		n.metrics.dropped.WithLabelValues(dropStopped).Add(float64(len(alerts)))
		return
	}
	alerts, was := n.relabelled(alerts)
	now := time.Now()
	resolveTimeout := time.Duration(n.config().Global.ResolveTimeout)
	valid := make([]*amalert.Alert, 0, len(alerts))
	var firing, resolved int
	var invalid []error
	for i := range alerts {
		a := fromOutgoing(&alerts[i], now, resolveTimeout)
		if err := a.Validate(); err != nil {
			invalid = append(invalid, err)
			continue
		}
		recorded := alerts[i].Labels
		if was != nil {
			recorded = was[i]
		}
		if n.remember(a, &alerts[i], recorded, now) {
			resolved++
		} else {
			firing++
		}
		valid = append(valid, a)
	}
	n.metrics.alerts.WithLabelValues("firing").Add(float64(firing))
	n.metrics.alerts.WithLabelValues("resolved").Add(float64(resolved))
	if len(invalid) > 0 {
		n.metrics.dropped.WithLabelValues(dropInvalid).Add(float64(len(invalid)))
		n.logger.Error("Alerts were dropped because they are not valid", "dropped", len(invalid), "first", invalid[0])
	}
	if err := n.put(ctx, valid); err != nil {
		n.logger.Error("Alerts were dropped", "err", err)
	}
}

func (n *Notifier) put(ctx context.Context, alerts []*amalert.Alert) error {
	// All sources of the batch first: the batch may be split, and a target in an early part must not overtake its source
	// in a later one.
	n.store.announce(alerts)
	for len(alerts) > 0 {
		if ctx.Err() != nil {
			n.metrics.dropped.WithLabelValues(dropCancelled).Add(float64(len(alerts)))
			return context.Cause(ctx)
		}
		part := alerts[:min(putBatch, len(alerts))]
		alerts = alerts[len(part):]
		if err := n.store.Alerts.Put(ctx, part...); err != nil {
			return errors.Join(errors.New("the alert provider refused them"), err)
		}
	}
	return nil
}

// remember takes note of an alert before the pipeline sees it, and reports whether it ended. recorded are its labels as
// the rule engine recorded them.
func (n *Notifier) remember(a *amalert.Alert, o *alert.Outgoing, recorded labels.Labels, now time.Time) (ended bool) {
	fp := a.Fingerprint()
	if labels.Equal(o.Labels, recorded) {
		n.originals.drop(fp)
	} else {
		n.originals.put(fp, recorded)
	}
	n.flaps.set(fp, o.Flapping, o.StartsAt)
	ended = a.ResolvedAt(now)
	if ended {
		n.acks.ended(recorded)
	}
	return ended
}

func fromOutgoing(o *alert.Outgoing, now time.Time, resolveTimeout time.Duration) *amalert.Alert {
	a := &amalert.Alert{
		Alert: model.Alert{
			Labels: toLabelSet(o.Labels, false), Annotations: toLabelSet(annotated(o, now), true),
			StartsAt: o.StartsAt, EndsAt: o.EndsAt, GeneratorURL: o.GeneratorURL,
		},
		UpdatedAt: now,
	}
	if a.StartsAt.IsZero() {
		a.StartsAt = now
		if !a.EndsAt.IsZero() {
			a.StartsAt = a.EndsAt
		}
	}
	if a.EndsAt.IsZero() {
		a.Timeout = true
		a.EndsAt = now.Add(resolveTimeout)
	}
	return a
}

// toLabelSet converts; an empty label is no label, but an empty annotation may stay one.
func toLabelSet(ls labels.Labels, keepEmpty bool) model.LabelSet {
	set := make(model.LabelSet, ls.Len())
	ls.Range(func(l labels.Label) {
		if l.Value != "" || keepEmpty {
			set[model.LabelName(l.Name)] = model.LabelValue(l.Value)
		}
	})
	return set
}

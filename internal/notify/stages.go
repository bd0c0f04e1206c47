package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	amnotify "github.com/prometheus/alertmanager/notify"

	"github.com/tocsin/tocsin/internal/ledger"
)

// stages puts upstream's stages together as upstream's PipelineBuilder does for one that is alone, with ours between them:
// what is muted is recorded, repeats of what is acknowledged or flapping end, and what begins to flap is told.
func (p *pipeline) stages() amnotify.RoutingStage {
	n, m := p.n, p.n.stageMetrics
	muting := amnotify.MultiStage{
		&mutingStage{n, amnotify.NewMuteStage(p.inhibitor, m), n.whyInhibited},
		&mutingStage{n, amnotify.NewTimeActiveStage(p.intervener, n.groupMarker, m), whyInactive},
		&mutingStage{n, amnotify.NewTimeMuteStage(p.intervener, n.groupMarker, m), n.whyTimeMuted},
		&mutingStage{n, amnotify.NewMuteStage(n.silencer, m), n.whySilenced},
		amnotify.StageFunc(n.heardStage),
	}
	out := make(amnotify.RoutingStage, len(p.used))
	upstream := make(map[string][]amnotify.Integration, len(p.used))
	for name, attempters := range p.used {
		var all amnotify.FanoutStage
		for _, a := range attempters {
			in := a.integration()
			upstream[name] = append(upstream[name], in)
			recv := laneKey{target: a.target()}.receiver()
			all = append(all, amnotify.MultiStage{
				&newsStage{n, a.target(), amnotify.NewDedupStage(&in, n.told, recv)},
				&handStage{a, amnotify.NewRetryStage(in, name, m, n.events), n.upstreamMetrics},
				amnotify.StageFunc(n.toldStage(a.target())),
				amnotify.NewSetNotifiesStage(n.told, recv),
			})
		}
		out[name] = append(slices.Clone(muting), all)
	}
	m.InitializeFor(upstream)
	return out
}

// newsStage is upstream's dedup stage, which passes what is new or is to be repeated, with the exceptions of ours.
type newsStage struct {
	n     *Notifier
	to    target
	dedup *amnotify.DedupStage
}

// Exec implements upstream's Stage.
func (s *newsStage) Exec(ctx context.Context, l *slog.Logger, alerts ...*amalert.Alert) (context.Context, []*amalert.Alert, error) {
	ctx, out, err := s.dedup.Exec(ctx, l, alerts...)
	if err != nil {
		return ctx, nil, err
	}
	reason, _ := amnotify.NotificationReason(ctx)
	repeat := reason == amnotify.ReasonRepeatIntervalElapsed
	if len(out) > 0 && !repeat {
		return ctx, out, nil
	}
	group, _ := amnotify.GroupKey(ctx)
	key := laneKey{s.to, group}
	if s.n.flaps.news(key, alerts, s.n.told.at(key)) {
		return amnotify.WithNotificationReason(ctx, amnotify.ReasonNewAlertsInGroup), alerts, nil
	}
	if !repeat {
		return ctx, nil, nil
	}
	why := s.n.whyNotRepeated(alerts, time.Now())
	if s.n.mutes.muteRepeat(key, why) {
		s.n.recordMuted(ctx, key, alerts, why)
	}
	if why == "" {
		return ctx, out, nil
	}
	return ctx, nil, s.n.prolong(key)
}

// prolong keeps what a lane was told from being forgotten while its repeats are muted: it would be told anew otherwise.
func (n *Notifier) prolong(key laneKey) error {
	until, err := n.told.prolong(key, time.Now())
	if err != nil || until.IsZero() || n.opts.Ledger == nil {
		return err
	}
	if err := n.opts.Ledger.ProlongTold(key.String(), until); errors.Is(err, ledger.ErrNotDurable) {
		n.told.notProlonged(key) // There may be room the next time, which is long before the end.
	} else if err != nil {
		n.logger.Warn("A restart may repeat a notification whose repeats are muted", "receiver", key.Receiver, "err", err)
	}
	return nil
}

// handStage hands a message to the outbox. What the outbox does not take, and everything where there is none, upstream's
// retry stage delivers.
type handStage struct {
	via     *attempter
	retry   amnotify.Stage
	metrics *upstreamMetrics
}

// Exec implements upstream's Stage.
func (s *handStage) Exec(ctx context.Context, l *slog.Logger, alerts ...*amalert.Alert) (context.Context, []*amalert.Alert, error) {
	if s.via.accept == nil {
		return s.retry.Exec(ctx, l, alerts...)
	}
	sent := alerts
	if !s.via.inner.SendResolved() {
		// As upstream: of ends alone nobody is told, and the notification log says that everybody was.
		sent = slices.DeleteFunc(slices.Clone(alerts), func(a *amalert.Alert) bool { return a.Resolved() })
		if len(sent) == 0 {
			return ctx, alerts, nil
		}
	}
	integration := s.via.inner.Name()
	retry, err := s.via.accept(ctx, s.via.target(), sent)
	switch {
	case err == nil:
		s.metrics.notifications.WithLabelValues(integration).Inc()
		return ctx, alerts, nil
	case retry:
		return s.retry.Exec(ctx, l, alerts...)
	}
	s.metrics.notifications.WithLabelValues(integration).Inc()
	return ctx, nil, fmt.Errorf("%s: refused for good: %w", s.via.target(), err)
}

// toldStage stands behind the retry stage.
func (n *Notifier) toldStage(to target) amnotify.StageFunc {
	return func(ctx context.Context, _ *slog.Logger, alerts ...*amalert.Alert) (context.Context, []*amalert.Alert, error) {
		group, _ := amnotify.GroupKey(ctx)
		n.flaps.told(laneKey{to, group}, alerts)
		return ctx, alerts, nil
	}
}

// whyNotRepeated says why what was told is not repeated; "" where it is.
func (n *Notifier) whyNotRepeated(alerts []*amalert.Alert, now time.Time) string {
	var why []string
	for _, a := range alerts {
		if a.Resolved() {
			continue
		}
		reason := ""
		if n.flaps.is(a.Fingerprint()) {
			reason = "flapping"
		} else if ack, ok := n.acks.of(n.originals.of(a.Labels), a.StartsAt, now); ok {
			reason = "acknowledged by " + ack.Owner
		} else {
			return ""
		}
		if !slices.Contains(why, reason) {
			why = append(why, reason)
		}
	}
	slices.Sort(why)
	return strings.Join(why, "; ")
}

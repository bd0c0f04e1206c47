package notify

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/marker"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/common/model"

	"github.com/tocsin/tocsin/internal/ledger"
)

// mutesKept bounds how many muted alerts are remembered.
const mutesKept = 100_000

// mutedStates remembers why alerts are muted, so that it is recorded when that changes and not at every flush.
type mutedStates struct {
	forgotten func()

	mu     sync.Mutex
	alerts map[mutedAlert]string
	lanes  map[laneKey]string // whose repeats are
}

type mutedAlert struct {
	receiver, group string
	alert           model.Fingerprint
}

func newMutedStates(forgotten func()) *mutedStates {
	return &mutedStates{forgotten: forgotten, alerts: map[mutedAlert]string{}, lanes: map[laneKey]string{}}
}

// mute reports whether that an alert is muted for a reason is news.
func (m *mutedStates) mute(key mutedAlert, why string, ended bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, known := m.alerts[key]
	switch {
	case ended:
		delete(m.alerts, key)
		return false
	case known && was == why:
		return false
	case !known && len(m.alerts) >= mutesKept:
		clear(m.alerts)
		m.forgotten()
	}
	m.alerts[key] = why
	return true
}

// heard notes that alerts of a group are not muted.
func (m *mutedStates) heard(receiver, group string, alerts []*amalert.Alert) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.alerts) == 0 {
		return
	}
	for _, a := range alerts {
		delete(m.alerts, mutedAlert{receiver, group, a.Fingerprint()})
	}
}

// muteRepeat reports whether that a lane's repeats are muted for a reason is news; "" says that they are not.
func (m *mutedStates) muteRepeat(key laneKey, why string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case why == "":
		delete(m.lanes, key)
		return false
	case m.lanes[key] == why:
		return false
	case len(m.lanes) >= mutesKept:
		clear(m.lanes)
		m.forgotten()
	}
	m.lanes[key] = why
	return true
}

// mutingStage is one of upstream's stages that mute, watched.
type mutingStage struct {
	n     *Notifier
	inner amnotify.Stage
	why   func(ctx context.Context, a *amalert.Alert) string
}

// Exec implements upstream's Stage.
func (s *mutingStage) Exec(ctx context.Context, l *slog.Logger, alerts ...*amalert.Alert) (context.Context, []*amalert.Alert, error) {
	ctx, out, err := s.inner.Exec(ctx, l, alerts...)
	if err != nil || len(out) == len(alerts) || s.n.opts.Ledger == nil {
		return ctx, out, err
	}
	passed := make(map[*amalert.Alert]bool, len(out))
	for _, a := range out {
		passed[a] = true
	}
	receiver, _ := amnotify.ReceiverName(ctx)
	group, _ := amnotify.GroupKey(ctx)
	news := map[string][]*amalert.Alert{}
	for _, a := range alerts {
		if passed[a] {
			continue
		}
		why := s.why(ctx, a)
		if s.n.mutes.mute(mutedAlert{receiver, group, a.Fingerprint()}, why, a.Resolved()) {
			news[why] = append(news[why], a)
		}
	}
	for why, muted := range news {
		s.n.recordMuted(ctx, laneKey{target{Receiver: receiver}, group}, muted, why)
	}
	return ctx, out, err
}

// heardStage stands behind the stages that mute.
func (n *Notifier) heardStage(ctx context.Context, _ *slog.Logger, alerts ...*amalert.Alert) (context.Context, []*amalert.Alert, error) {
	receiver, _ := amnotify.ReceiverName(ctx)
	group, _ := amnotify.GroupKey(ctx)
	n.mutes.heard(receiver, group, alerts)
	return ctx, alerts, nil
}

// recordMuted records that nobody is told of alerts, and why.
func (n *Notifier) recordMuted(ctx context.Context, key laneKey, alerts []*amalert.Alert, why string) {
	if n.opts.Ledger == nil {
		return
	}
	d := ledger.Delivery{
		At: time.Now(), Receiver: key.Receiver, Integration: key.Integration, Index: key.Index, GroupKey: key.group,
		Outcome: ledger.Muted, Answer: why,
	}
	d.Route, _ = amnotify.RouteID(ctx)
	for _, a := range alerts {
		d.Alerts = append(d.Alerts, ledger.DeliveredAlert{Labels: n.originals.of(a.Labels), Resolved: a.Resolved()})
	}
	n.opts.Ledger.RecordDelivery(d)
}

// whyInhibited says by which alerts.
func (n *Notifier) whyInhibited(ctx context.Context, a *amalert.Alert) string {
	m, ok := marker.FromContext(ctx)
	if !ok {
		return "inhibited"
	}
	var by []string
	for _, id := range m.Status(a.Fingerprint()).InhibitedBy {
		by = append(by, n.nameOf(id))
	}
	return "inhibited by " + strings.Join(by, ", ")
}

// nameOf returns the labels of the alert with a fingerprint, or, where it is gone, the fingerprint.
func (n *Notifier) nameOf(id string) string {
	if fp, err := model.ParseFingerprint(id); err == nil {
		if source, err := n.store.Get(fp); err == nil {
			return source.Labels.String()
		}
	}
	return id
}

// whySilenced says by which silences, who made them and until when.
func (n *Notifier) whySilenced(ctx context.Context, a *amalert.Alert) string {
	m, ok := marker.FromContext(ctx)
	if !ok {
		return "silenced"
	}
	var by []string
	for _, id := range m.Status(a.Fingerprint()).SilencedBy {
		by = append(by, n.describeSilence(ctx, id))
	}
	return "silenced by " + strings.Join(by, ", ")
}

func (n *Notifier) describeSilence(ctx context.Context, id string) string {
	s, err := n.silences.QueryOne(ctx, silence.QIDs(id))
	if err != nil {
		return id // It ended just now.
	}
	return fmt.Sprintf("%s (%s: %s) until %s", id, s.CreatedBy, s.Comment, s.EndsAt.AsTime().UTC().Format(time.RFC3339))
}

func whyInactive(ctx context.Context, _ *amalert.Alert) string {
	names, _ := amnotify.ActiveTimeIntervalNames(ctx)
	return "outside of the time intervals " + strings.Join(names, ", ")
}

func (n *Notifier) whyTimeMuted(ctx context.Context, _ *amalert.Alert) string {
	route, _ := amnotify.RouteID(ctx)
	group, _ := amnotify.GroupKey(ctx)
	names, _ := n.groupMarker.Muted(route, group)
	return "within the time intervals " + strings.Join(names, ", ")
}

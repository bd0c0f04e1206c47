package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/nflog"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// messageVersion is the format of a message in the outbox.
const messageVersion = 1

// maxAttemptTime bounds one attempt, however long the group's flush may take.
const maxAttemptTime = 2 * time.Minute

// target names one integration of one receiver.
type target struct {
	Receiver    string `json:"receiver"`
	Integration string `json:"integration"`
	Index       int    `json:"index"`
}

// String returns the target as it is shown and logged.
func (t target) String() string { return fmt.Sprintf("%s/%s[%d]", t.Receiver, t.Integration, t.Index) }

// laneKey names the messages that are delivered one after the other.
type laneKey struct {
	target
	group string
}

// String returns the key as the ledger keeps it. The group comes last: it may hold anything.
func (k laneKey) String() string { return k.target.String() + " " + k.group }

// message is all that it takes to tell one integration about one group of alerts, now or after a restart. It is not
// changed once it is in the outbox.
type message struct {
	Version int `json:"version"`
	// Seq grows from message to message of a lane; it is about the Unix time in nanoseconds.
	Seq int64 `json:"seq"`
	target
	GroupKey    string         `json:"groupKey"`
	Route       string         `json:"route"`
	GroupLabels model.LabelSet `json:"groupLabels"`
	RouteLabels model.LabelSet `json:"routeLabels,omitempty"`
	// Reason is upstream's, why the group is told about.
	Reason         string         `json:"reason"`
	RepeatInterval time.Duration  `json:"repeatInterval"`
	Now            time.Time      `json:"now"`
	FlushID        uint64         `json:"flushID,omitempty"`
	GroupID        string         `json:"groupID,omitempty"`
	Timeout        time.Duration  `json:"timeout"`
	Firing         []uint64       `json:"firing"`
	Resolved       []uint64       `json:"resolved"`
	Alerts         []messageAlert `json:"alerts"`
	// FallbackFor names, in a message to the fallback receiver, whom it was for; FallbackSent says, in a message, that
	// there is such a one.
	FallbackFor  string `json:"fallbackFor,omitempty"`
	FallbackSent bool   `json:"fallbackSent,omitempty"`
}

// messageAlert is one alert of a message.
type messageAlert struct {
	model.Alert
	UpdatedAt time.Time `json:"updatedAt"`
	Timeout   bool      `json:"timeout,omitempty"`
	// Recorded are the labels with which the rule engine recorded it, where relabelling made others of them.
	Recorded model.LabelSet `json:"recorded,omitempty"`
}

// newMessage takes from a flush's context what integrations read. recorded returns an alert's labels before relabelling,
// nil where they are the same.
func newMessage(ctx context.Context, to target, alerts []*amalert.Alert, recorded func(model.Fingerprint) model.LabelSet) *message {
	m := &message{Version: messageVersion, target: to, Reason: amnotify.ReasonUnknown.String(), Timeout: amnotify.MinTimeout}
	m.GroupKey, _ = amnotify.GroupKey(ctx)
	m.Route, _ = amnotify.RouteID(ctx)
	m.GroupLabels, _ = amnotify.GroupLabels(ctx)
	m.RouteLabels, _ = amnotify.RouteLabels(ctx)
	if r, ok := amnotify.NotificationReason(ctx); ok {
		m.Reason = r.String()
	}
	m.RepeatInterval, _ = amnotify.RepeatInterval(ctx)
	m.Now, _ = amnotify.Now(ctx)
	m.FlushID, _ = amnotify.FlushID(ctx)
	m.GroupID, _ = amnotify.AggrGroupID(ctx)
	m.Firing, _ = amnotify.FiringAlerts(ctx)
	m.Resolved, _ = amnotify.ResolvedAlerts(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		m.Timeout = min(max(time.Until(deadline), amnotify.MinTimeout), maxAttemptTime)
	}
	m.Alerts = make([]messageAlert, len(alerts))
	for i, a := range alerts {
		m.Alerts[i] = messageAlert{Alert: a.Alert, UpdatedAt: a.UpdatedAt, Timeout: a.Timeout, Recorded: recorded(a.Fingerprint())}
	}
	return m
}

// lane returns the lane that m belongs to. What goes to the fallback receiver has its own.
func (m *message) lane() laneKey {
	if m.FallbackFor != "" {
		return laneKey{m.target, "in the place of " + m.FallbackFor + " " + m.GroupKey}
	}
	return laneKey{m.target, m.GroupKey}
}

func (m *message) encode() ([]byte, error) { return json.Marshal(m) }

// decodeMessage is the inverse of encode. What it returns can be delivered.
func decodeMessage(data []byte) (*message, error) {
	m := &message{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	switch {
	case m.Version != messageVersion:
		return nil, fmt.Errorf("it has version %d, this tocsin reads version %d", m.Version, messageVersion)
	case m.Receiver == "" || m.Integration == "" || len(m.Alerts) == 0 || m.Index < 0:
		return nil, fmt.Errorf("it names no receiver, or no alerts")
	}
	m.Timeout = min(max(m.Timeout, amnotify.MinTimeout), maxAttemptTime)
	return m, nil
}

// context is the one that a flush of the message's group would have, as far as integrations read it.
func (m *message) context(ctx context.Context, store *nflog.Store) context.Context {
	ctx = amnotify.WithReceiverName(ctx, m.Receiver)
	ctx = amnotify.WithGroupKey(ctx, m.GroupKey)
	ctx = amnotify.WithGroupLabels(ctx, m.GroupLabels)
	ctx = amnotify.WithRouteLabels(ctx, m.RouteLabels)
	ctx = amnotify.WithRouteID(ctx, m.Route)
	ctx = amnotify.WithNotificationReason(ctx, parseReason(m.Reason))
	ctx = amnotify.WithRepeatInterval(ctx, m.RepeatInterval)
	ctx = amnotify.WithNow(ctx, m.Now)
	ctx = amnotify.WithFlushID(ctx, m.FlushID)
	ctx = amnotify.WithAggrGroupID(ctx, m.GroupID)
	ctx = amnotify.WithFiringAlerts(ctx, m.Firing)
	ctx = amnotify.WithResolvedAlerts(ctx, m.Resolved)
	return amnotify.WithNflogStore(ctx, store)
}

func parseReason(s string) amnotify.NotifyReason {
	for r := amnotify.ReasonDoNotNotify; r < amnotify.ReasonUnknown; r++ {
		if r.String() == s {
			return r
		}
	}
	return amnotify.ReasonUnknown
}

// alerts returns new values for one attempt: integrations may keep or change them.
func (m *message) alerts() []*amalert.Alert {
	out := make([]*amalert.Alert, len(m.Alerts))
	for i, a := range m.Alerts {
		out[i] = &amalert.Alert{Alert: a.Alert, UpdatedAt: a.UpdatedAt, Timeout: a.Timeout}
	}
	return out
}

// recorded returns the labels of the alert as the rule engine recorded them.
func (a *messageAlert) recorded() labels.Labels {
	if a.Recorded != nil {
		return toLabels(a.Recorded)
	}
	return toLabels(a.Labels)
}

// repeats reports whether m says what older says: the same alerts fire, the same ended.
func (m *message) repeats(older *message) bool {
	return sameSet(m.Firing, older.Firing) && sameSet(m.Resolved, older.Resolved)
}

func sameSet(a, b []uint64) bool {
	if len(a) != len(b) {
		return false
	}
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

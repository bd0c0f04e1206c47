package web

import (
	"net/http"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Notifications is what people still have to be told, what they could not be told, and how their receivers are.
type Notifications struct {
	// Waiting are to be delivered, the one due first first.
	Waiting []QueuedNotification `json:"waiting"`
	// DeadLetters were given up after too long; they are kept to be sent again or discarded.
	DeadLetters []QueuedNotification `json:"deadLetters"`
	// Circuits are those of receivers that had trouble lately.
	Circuits []Circuit `json:"circuits"`
}

// QueuedNotification is one entry of the outbox.
type QueuedNotification struct {
	ID uint64 `json:"id"`
	// Receiver is the receiver's name, Integration its kind and Index its place among those of its kind.
	Receiver    string `json:"receiver"`
	Integration string `json:"integration"`
	Index       int    `json:"index"`
	// GroupKey names the aggregation group.
	GroupKey string `json:"groupKey,omitempty"`
	// Alerts are what it tells of; it may be cut short, AlertCount is not.
	Alerts     []QueuedAlert `json:"alerts,omitempty"`
	AlertCount int           `json:"alertCount"`
	CreatedAt  time.Time     `json:"createdAt"`
	// NextAt is when it is tried next; zero for a dead letter.
	NextAt time.Time `json:"nextAt,omitzero"`
	// Attempts counts those that failed.
	Attempts  int    `json:"attempts"`
	LastError string `json:"lastError,omitempty"`
}

// QueuedAlert is one alert of a notification.
type QueuedAlert struct {
	Labels   labels.Labels `json:"labels"`
	Resolved bool          `json:"resolved"`
}

// Circuit says whether a receiver is spared attempts because the last ones failed.
type Circuit struct {
	Receiver    string `json:"receiver"`
	Integration string `json:"integration"`
	Index       int    `json:"index"`
	// State is "closed" (attempts are made), "open" (none until Until) or "half_open" (one, to see).
	State string `json:"state"`
	// Failures counts those in a row.
	Failures int `json:"failures"`
	// Since is when it came to be in this state.
	Since     time.Time `json:"since,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	LastError string    `json:"lastError,omitempty"`
}

// serveNotifications is GET /api/v1/notifications/outbox. Its parent is Prometheus's: the banners of its pages.
func (t *Tenant) serveNotifications(w http.ResponseWriter, _ *http.Request) {
	if t.Notifications == nil {
		t.notOpen(w, "notifications")
		return
	}
	n, err := t.Notifications()
	if err != nil {
		failed(w, err)
		return
	}
	n.Waiting, n.DeadLetters, n.Circuits = orEmpty(n.Waiting), orEmpty(n.DeadLetters), orEmpty(n.Circuits)
	answerOwn(w, n)
}

// orEmpty makes a list that is JSON's [] rather than null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// serveNotification is what changes one entry of the outbox: POST …/{id}/resend and DELETE …/{id}.
func (t *Tenant) serveNotification(change func(id uint64) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if change == nil {
			t.notOpen(w, "notifications")
			return
		}
		id, err := pathID(r)
		if err != nil {
			badData(w, err)
			return
		}
		if err := change(id); err != nil {
			failed(w, err)
			return
		}
		answerOwn(w, map[string]any{"id": id})
	}
}

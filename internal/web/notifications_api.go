package web

import (
	"net/http"

	"github.com/tocsin/tocsin/internal/notify"
)

// Notifications is what people still have to be told, what they could not be told, and how their receivers are.
type Notifications struct {
	// Waiting are to be delivered, the one due first first.
	Waiting []notify.Pending `json:"waiting"`
	// DeadLetters were given up after too long; they are kept to be sent again or discarded.
	DeadLetters []notify.Pending `json:"deadLetters"`
	// Circuits are those of receivers that had trouble lately.
	Circuits []notify.Circuit `json:"circuits"`
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

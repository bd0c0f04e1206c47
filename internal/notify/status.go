package notify

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/ledger"
)

// Pending is a message that is not delivered.
type Pending struct {
	// ID is 0 for one that could not be kept: it is lost with the process, and told anew by the pipeline.
	ID          uint64 `json:"id"`
	Receiver    string `json:"receiver"`
	Integration string `json:"integration"`
	Index       int    `json:"index"`
	GroupKey    string `json:"groupKey"`
	// Route is the route that led there.
	Route     string         `json:"route"`
	CreatedAt time.Time      `json:"createdAt"`
	NextAt    time.Time      `json:"nextAt"`
	Attempts  int            `json:"attempts"`
	LastError string         `json:"lastError"`
	Alerts    []PendingAlert `json:"alerts"`
	// Delivering says that an attempt is under way.
	Delivering bool `json:"delivering"`
	// FallbackFor names, in a message to the fallback receiver, whom it was for; FallbackSent says that there is such a
	// message.
	FallbackFor  string `json:"fallbackFor,omitempty"`
	FallbackSent bool   `json:"fallbackSent,omitempty"`
}

// PendingAlert is an alert of a Pending.
type PendingAlert struct {
	// Labels are those that the receiver sees, Recorded those with which the rule engine recorded the alert.
	Labels   labels.Labels `json:"labels"`
	Recorded labels.Labels `json:"recorded"`
	StartsAt time.Time     `json:"startsAt"`
	Resolved bool          `json:"resolved"`
}

// Circuit is how an integration does.
type Circuit struct {
	Receiver    string `json:"receiver"`
	Integration string `json:"integration"`
	Index       int    `json:"index"`
	// State is closed, open (it failed again and again and is not asked until OpenUntil), or half_open.
	State     string    `json:"state"`
	OpenUntil time.Time `json:"openUntil,omitzero"`
	// PausedUntil is until when the receiver asked to be left alone; zero where it did not.
	PausedUntil time.Time `json:"pausedUntil,omitzero"`
	Failures    int       `json:"failures"`
	Waiting     int       `json:"waiting"`
	Delivering  int       `json:"delivering"`
	// Configured is false for one that the configuration in force does not have.
	Configured bool `json:"configured"`
}

// Waiting returns the messages that are to be delivered, the oldest first.
func (n *Notifier) Waiting() []Pending {
	out := []Pending{}
	o := n.outbox
	if o == nil {
		return out
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.ports {
		for _, l := range p.lanes {
			for i, it := range l.items {
				if it.discarded {
					continue
				}
				v := it.msg.pending()
				v.ID, v.CreatedAt, v.NextAt, v.Attempts, v.LastError = it.id, it.created, it.next, it.attempts, it.lastErr
				v.Delivering = i == 0 && l.flying
				out = append(out, v)
			}
		}
	}
	slices.SortFunc(out, func(a, b Pending) int { return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID)) })
	return out
}

// DeadLetters returns the messages that were given up and wait for a person to Resend or Discard them.
func (n *Notifier) DeadLetters() ([]Pending, error) {
	out := []Pending{}
	if n.opts.Ledger == nil {
		return out, nil
	}
	dead, err := n.opts.Ledger.Dead()
	for i := range dead {
		out = append(out, pendingOf(&dead[i]))
	}
	return out, err
}

// pendingOf shows a notification of the ledger; of one that cannot be read, what there is.
func pendingOf(n *ledger.Notification) Pending {
	v := Pending{}
	if m, err := decodeMessage(n.Payload); err == nil {
		v = m.pending()
	} else {
		v.GroupKey = n.Key
	}
	v.ID, v.CreatedAt, v.NextAt, v.Attempts, v.LastError = n.ID, n.CreatedAt, n.NextAt, n.Attempts, n.LastError
	return v
}

func (m *message) pending() Pending {
	v := Pending{
		Receiver: m.Receiver, Integration: m.Integration, Index: m.Index, GroupKey: m.GroupKey, Route: m.Route,
		FallbackFor: m.FallbackFor, FallbackSent: m.FallbackSent,
	}
	for i := range m.Alerts {
		a := &m.Alerts[i]
		v.Alerts = append(v.Alerts, PendingAlert{
			Labels: toLabels(a.Labels), Recorded: a.recorded(), StartsAt: a.StartsAt, Resolved: a.Resolved(),
		})
	}
	return v
}

// Circuits returns how each integration does, by receiver.
func (n *Notifier) Circuits() []Circuit {
	out := []Circuit{}
	if n.outbox == nil {
		return out
	}
	now := time.Now()
	o := n.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, p := range o.ports {
		c := Circuit{
			Receiver: key.Receiver, Integration: key.Integration, Index: key.Index, State: p.circuit.state.String(),
			Failures: p.circuit.failures, Delivering: p.flying, Configured: p.via != nil,
		}
		if p.circuit.state == circuitOpen {
			c.OpenUntil = p.circuit.until
		}
		if p.pausedUntil.After(now) {
			c.PausedUntil = p.pausedUntil
		}
		for _, l := range p.lanes {
			c.Waiting += len(l.items)
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Circuit) int {
		return cmp.Or(cmp.Compare(a.Receiver, b.Receiver), cmp.Compare(a.Integration, b.Integration), cmp.Compare(a.Index, b.Index))
	})
	return out
}

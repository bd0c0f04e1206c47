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
	GroupKey    string `json:"groupKey,omitempty"`
	// Route is the route that led there.
	Route     string    `json:"route,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	// NextAt is when it is tried next; zero for a dead letter.
	NextAt time.Time `json:"nextAt,omitzero"`
	// Attempts counts those that failed.
	Attempts  int    `json:"attempts"`
	LastError string `json:"lastError,omitempty"`
	// Alerts are what it tells of. Who shows it may cut them short, AlertCount stays.
	Alerts     []PendingAlert `json:"alerts,omitempty"`
	AlertCount int            `json:"alertCount"`
	// Delivering says that an attempt is under way.
	Delivering bool `json:"delivering,omitempty"`
	// FallbackFor names, in a message to the fallback receiver, whom it was for; FallbackSent says that there is such a
	// message.
	FallbackFor  string `json:"fallbackFor,omitempty"`
	FallbackSent bool   `json:"fallbackSent,omitempty"`
}

// PendingAlert is an alert of a Pending.
type PendingAlert struct {
	// Labels are those with which the rule engine recorded the alert.
	Labels   labels.Labels `json:"labels"`
	StartsAt time.Time     `json:"startsAt,omitzero"`
	Resolved bool          `json:"resolved"`
}

// Circuit is how an integration does.
type Circuit struct {
	Receiver    string `json:"receiver"`
	Integration string `json:"integration"`
	Index       int    `json:"index"`
	// State is closed, open (it failed again and again and is not asked), or half_open (one attempt finds out).
	State string `json:"state"`
	// Until is when it is asked again where its circuit is open, or where it wants to be left alone; zero elsewhere.
	Until time.Time `json:"until,omitzero"`
	// Failures counts those in a row. LastError is of what is tried next.
	Failures   int    `json:"failures"`
	LastError  string `json:"lastError,omitempty"`
	Waiting    int    `json:"waiting"`
	Delivering int    `json:"delivering"`
	// Configured is false for one that the configuration in force does not have.
	Configured bool `json:"configured"`
}

// Troubled reports whether attempts failed lately, or none are made.
func (c *Circuit) Troubled() bool {
	return c.State != circuitClosed.String() || c.Failures > 0 || !c.Until.IsZero()
}

// Waiting returns the messages that are to be delivered, the oldest first.
func (n *Notifier) Waiting() []Pending {
	out := []Pending{}
	o := n.outbox
	if o == nil {
		return out
	}
	now := time.Now()
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
				if until := p.leftAloneUntil(now); until.After(v.NextAt) {
					v.NextAt = until
				}
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
		p := pendingOf(&dead[i])
		p.NextAt = time.Time{}
		out = append(out, p)
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
		FallbackFor: m.FallbackFor, FallbackSent: m.FallbackSent, AlertCount: len(m.Alerts),
	}
	for i := range m.Alerts {
		a := &m.Alerts[i]
		v.Alerts = append(v.Alerts, PendingAlert{Labels: a.recorded(), StartsAt: a.StartsAt, Resolved: a.Resolved()})
	}
	return v
}

// leftAloneUntil returns until when nothing is sent to p, the zero time where something may be. The lock is held.
func (p *port) leftAloneUntil(now time.Time) (until time.Time) {
	if p.circuit.state == circuitOpen {
		until = p.circuit.until
	}
	if p.pausedUntil.After(now) && p.pausedUntil.After(until) {
		until = p.pausedUntil
	}
	return until
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
		c.Until = p.leftAloneUntil(now)
		var next time.Time
		for _, l := range p.lanes {
			c.Waiting += len(l.items)
			for _, it := range l.items[:min(len(l.items), 1)] {
				if it.lastErr != "" && (c.LastError == "" || it.next.Before(next)) {
					c.LastError, next = it.lastErr, it.next
				}
			}
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Circuit) int {
		return cmp.Or(cmp.Compare(a.Receiver, b.Receiver), cmp.Compare(a.Integration, b.Integration), cmp.Compare(a.Index, b.Index))
	})
	return out
}

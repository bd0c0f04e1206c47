package notify

import (
	"context"
	"fmt"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"

	"github.com/tocsin/tocsin/internal/ledger"
)

// openOutbox prepares what a ledger is needed for, and brings the notification log up to date from it.
func (n *Notifier) openOutbox() (err error) {
	n.mutes = newMutedStates(func() { n.metrics.outbox.forgotten.WithLabelValues("muted").Inc() })
	n.acks = newAcks(nil)
	if n.told, err = newToldLog(n.nflog, n.opts.Retention, func() { n.metrics.outbox.forgotten.WithLabelValues("receiver_data").Inc() }); err != nil {
		return fmt.Errorf("notify: cannot set up the notification log: %w", err)
	}
	l := n.opts.Ledger
	if l == nil {
		return nil
	}
	told, err := l.Told()
	if err != nil {
		return fmt.Errorf("notify: cannot read what receivers were told: %w", err)
	}
	last, err := n.told.merge(told)
	if err != nil {
		n.logger.Error("Part of what receivers were told cannot be read; they may be told again", "err", err)
	}
	n.toldLast = last
	held, err := l.Acks()
	if err != nil {
		return fmt.Errorf("notify: cannot read the acknowledgements: %w", err)
	}
	n.acks = newAcks(held)
	n.outbox = n.newOutbox()
	return nil
}

// startOutbox takes up what was not delivered before. What cannot be read is said, and is no reason not to notify.
func (n *Notifier) startOutbox() {
	if n.outbox == nil {
		return
	}
	n.work.Go(n.keepAcks)
	n.work.Go(n.keepRecurring)
	if err := n.outbox.start(n.toldLast); err != nil {
		n.logger.Error("Messages that were not delivered before cannot be read; they stay where they are", "err", err)
	}
	n.toldLast = nil
}

// accept puts what a flush tells one integration into the outbox.
func (n *Notifier) accept(ctx context.Context, to target, alerts []*amalert.Alert) (retry bool, err error) {
	now := time.Now()
	m := newMessage(ctx, to, alerts, n.originals.get)
	m.Seq = n.outbox.number(now)
	told, err := n.told.of(m, now)
	if err != nil {
		return true, fmt.Errorf("notify: the notification log's entry cannot be written: %w", err)
	}
	return n.outbox.accept(ctx, m, told)
}

// recordAttempt records an attempt, or that a message is given up.
func (n *Notifier) recordAttempt(m *message, id uint64, d Delivery, outcome ledger.Outcome, answer string) {
	r := ledger.Delivery{
		At: d.EndedAt, Receiver: m.Receiver, Integration: m.Integration, Index: m.Index, GroupKey: m.GroupKey, Route: m.Route,
		Attempt: d.Attempt, Latency: d.EndedAt.Sub(d.StartedAt), Outcome: outcome, Answer: answer, Notification: id,
	}
	if m.FallbackFor != "" {
		r.Answer = "in the place of " + m.FallbackFor + ": " + answer
	}
	for i := range m.Alerts {
		a := &m.Alerts[i]
		r.Alerts = append(r.Alerts, ledger.DeliveredAlert{Labels: a.recorded(), Resolved: a.Resolved()})
	}
	n.opts.Ledger.RecordDelivery(r)
}

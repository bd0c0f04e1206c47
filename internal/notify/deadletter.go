package notify

import (
	"errors"
	"fmt"
	"time"

	"github.com/tocsin/tocsin/internal/ledger"
)

// bury makes a dead letter of what the receiver refused for good. The attempt's record says so already.
func (o *outbox) bury(it *item, reason string) {
	o.metrics.dead.WithLabelValues(deadRefused).Inc()
	o.toDeadLetters(it, "refused: "+reason)
}

// giveUp makes a dead letter of what was not delivered in time, or cannot be.
func (o *outbox) giveUp(it *item, metric, reason string) {
	o.metrics.dead.WithLabelValues(metric).Inc()
	now := time.Now()
	o.record(it.msg, it.id, Delivery{
		Receiver: it.msg.Receiver, Integration: it.msg.Integration, Index: it.msg.Index, GroupKey: it.msg.GroupKey,
		Attempt: it.attempts, StartedAt: now, EndedAt: now,
	}, ledger.Dead, reason)
	o.toDeadLetters(it, reason)
}

func (o *outbox) toDeadLetters(it *item, reason string) {
	o.logger.Error("A message was not delivered and is a dead letter now", "receiver", it.msg.Receiver,
		"integration", it.msg.Integration, "index", it.msg.Index, "group", it.msg.GroupKey, "notification", it.id, "reason", reason)
	bury := ledger.Burial{ID: it.id, Error: reason, Attempts: it.attempts, InPlaceOf: o.dead.repeatedBy(it)}
	o.mu.Lock()
	to := o.claimFallback(it)
	o.mu.Unlock()
	err := o.sendFallback(it, to, &bury)
	if err == nil {
		o.dead.note(it)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone(1)
	if err != nil && !o.stopped { // It is in the ledger as it was, and so it is here: it is tried, and given up, again.
		it.out = false
		o.adopt(it, time.Now().Add(o.settings.Load().MaxBackoff))
	}
}

// claimFallback returns the integrations of the fallback receiver where it is to be sent there, which the caller then
// does. The lock is held.
func (o *outbox) claimFallback(it *item) []target {
	m := it.msg
	if len(o.fallback) == 0 || it.claimed || m.FallbackSent || m.FallbackFor != "" || m.Receiver == o.fallback[0].Receiver {
		return nil
	}
	it.claimed = true
	return o.fallback
}

// sendFallback puts a copy of it for each of to into the outbox, in one commit with the note that this was done and,
// where it is given, with its burial. So it is done once, whatever happens.
func (o *outbox) sendFallback(it *item, to []target, bury *ledger.Burial) error {
	it.words <- struct{}{}
	defer func() { <-it.words }()
	o.mu.Lock()
	marked, drops := *it.msg, it.drops
	o.mu.Unlock()
	marked.FallbackSent = marked.FallbackSent || len(to) > 0
	change, copies, err := o.fallbackChange(it, &marked, to)
	if bury != nil {
		change.Bury, change.Settle = []ledger.Burial{*bury}, drops
	}
	var ids []uint64
	if err == nil {
		ids, err = o.ledger.ChangeOutbox(change)
	}
	if err != nil {
		if len(to) > 0 {
			o.metrics.fallbacks.WithLabelValues("failed").Inc()
		}
		o.logger.Error("A message was not given up, or not sent to the fallback receiver; it is tried again", "notification", it.id, "err", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	it.claimed = false
	if err != nil {
		return err
	}
	newest := *it.msg // Its words may have changed meanwhile.
	newest.FallbackSent = marked.FallbackSent
	it.msg = &newest
	for i, c := range copies {
		c.id = ids[i]
		c.decide(false, nil)
		o.adopt(c, c.created)
		o.metrics.fallbacks.WithLabelValues("sent").Inc()
	}
	return nil
}

// fallbackChange is the change that puts copies of it into the outbox.
func (o *outbox) fallbackChange(it *item, marked *message, to []target) (change ledger.OutboxChange, copies []*item, err error) {
	if len(to) == 0 {
		return change, nil, nil
	}
	payload, err := marked.encode()
	if err != nil {
		return change, nil, err
	}
	change.Replace = []ledger.Replacement{{ID: it.id, Payload: payload}}
	now := time.Now()
	for _, t := range to {
		m := *marked
		m.target, m.FallbackFor, m.FallbackSent, m.Seq = t, it.msg.target.String(), false, o.number(now)
		payload, err := m.encode()
		if err != nil {
			return change, nil, err
		}
		told, err := toldData(m.Seq, nil)
		if err != nil {
			return change, nil, err
		}
		change.Enqueue = append(change.Enqueue, ledger.Notification{Key: m.lane().String(), Payload: payload, CreatedAt: now, NextAt: now})
		change.Told = append(change.Told, ledger.Told{Key: m.lane().String(), Data: told, Expires: now.Add(DefaultRetention)})
		copies = append(copies, newItem(&m, now, inLedger))
	}
	return change, copies, nil
}

// Resend lets a dead letter, or a message that waits, be tried at once.
func (n *Notifier) Resend(id uint64) error {
	if n.outbox == nil {
		return errNoLedger
	}
	return n.outbox.resend(id)
}

func (o *outbox) resend(id uint64) error {
	if err := o.ledger.Revive(id); err != nil {
		return err
	}
	now := time.Now()
	o.mu.Lock()
	if it := o.items[id]; it != nil {
		it.created, it.next = now, now
		p := o.port(it.msg.target)
		p.circuit, p.pausedUntil = p.circuit.due(now), time.Time{}
		p.allDue(now)
		o.pump(p)
		o.mu.Unlock()
		return nil
	}
	o.mu.Unlock()
	kept, err := o.ledger.Notification(id)
	if err != nil {
		return err
	}
	it, err := restored(kept)
	if err != nil {
		return errors.Join(fmt.Errorf("notification %d: %w", id, err), o.ledger.Bury(id, err.Error()))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.items[id] == nil {
		o.adopt(it, now)
	}
	return nil
}

// Discard forgets a dead letter, or a message that waits. One that is under way may be delivered all the same, but is not
// tried again.
func (n *Notifier) Discard(id uint64) error {
	if n.outbox == nil {
		return errNoLedger
	}
	return n.outbox.discard(id)
}

func (o *outbox) discard(id uint64) error {
	if _, err := o.ledger.Notification(id); err != nil {
		return err
	}
	o.mu.Lock()
	it := o.items[id]
	if it != nil {
		l := o.port(it.msg.target).lane(it.msg.lane().group)
		if l.flying && l.items[0] == it {
			it.discarded = true // What comes of the attempt ends it.
			it = nil
		} else {
			o.takeOut(l, it)
			o.settleLane(l)
			o.pump(l.port)
		}
	}
	o.mu.Unlock()
	err := o.ledger.Settle(id)
	if it != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.gone(1)
	}
	return err
}

package notify

import (
	"container/heap"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tocsin/tocsin/internal/ledger"
)

// attempt makes one attempt and writes down what came of it. It runs in a goroutine of its own.
func (o *outbox) attempt(l *lane, it *item, via *attempter) {
	o.mu.Lock()
	msg, number := it.msg, it.attempts+1
	o.mu.Unlock()
	ctx, cancel := context.WithTimeout(o.cut, msg.Timeout)
	defer cancel()
	store := o.receiverData.open(msg)
	v := via.attempt(msg.context(ctx, store), msg.alerts(), number)
	if v.err != nil && o.cut.Err() != nil {
		o.aborted(l, it)
		return
	}
	if v.err == nil {
		it.delivered.Store(true) // First of all: what is being written need not be, then.
		if err := o.receiverData.keep(msg, store); err != nil {
			o.logger.Error("What an integration keeps with its messages is lost; it may send a new one where it would update one",
				"receiver", msg.Receiver, "integration", msg.Integration, "err", err)
		}
	}
	o.mu.Lock()
	id, outcome := it.id, ledger.Delivered
	switch {
	case v.err != nil && (v.retry || o.mayWaitRefused(l, it, time.Now())):
		outcome = ledger.Failed
	case v.err != nil:
		outcome = ledger.GaveUp
	}
	o.mu.Unlock()
	o.metrics.attempts.WithLabelValues(string(outcome)).Inc()
	o.counted.attempt(msg.Integration, v.delivery.EndedAt.Sub(v.delivery.StartedAt), v.err != nil)
	o.record(msg, id, v.delivery, outcome, v.answer)
	o.finished(l, it, v, time.Now())
}

// aborted puts back what Stop cut off.
func (o *outbox) aborted(l *lane, it *item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.landed(l, it)
	l.port.circuit = l.port.circuit.aborted()
	o.settleLane(l)
	o.checkIdle()
}

// begins notes that an attempt begins. The lock is held.
func (it *item) begins() {
	if it.tried == nil {
		it.tried = make(chan struct{})
	}
}

// landed notes that nothing of l is under way any more, and that the attempt of it has ended.
func (o *outbox) landed(l *lane, it *item) {
	if !it.once {
		it.once = true
		close(it.tried)
	}
	l.flying = false
	l.port.flying--
	o.flying--
}

// checkIdle tells stop when nothing is under way.
func (o *outbox) checkIdle() {
	if o.stopped && o.flying == 0 {
		select {
		case <-o.idle:
		default:
			close(o.idle)
		}
	}
}

// finished goes on after an attempt.
func (o *outbox) finished(l *lane, it *item, v verdict, now time.Time) {
	o.mu.Lock()
	p := l.port
	o.landed(l, it)
	o.learn(p, v, now)
	var then func()
	switch {
	case v.err == nil:
		then = o.tookIt(l, it)
	case !v.retry && o.mayWaitRefused(l, it, now):
		o.counted.failure(it.msg.Integration, v.err)
		it.attempts, it.lastErr, it.refusals = it.attempts+1, v.err.Error(), it.refusals+1
		it.next = now.Add(o.settings.Load().MaxBackoff)
		l.due = it.next
		then = o.keepRefused(it)
	case !v.retry:
		o.counted.failure(it.msg.Integration, v.err)
		then = o.refusedIt(l, it, v.err)
		l.due = now
	default:
		it.attempts++
		it.lastErr = v.err.Error()
		if it.failedAt.IsZero() {
			it.failedAt = it.created
		}
		if now.Sub(it.failedAt) >= it.msg.Timeout { // As often as upstream's flushes would fail.
			it.failedAt = now
			o.counted.failure(it.msg.Integration, v.err)
		}
		it.next = now.Add(o.wait(it.attempts, v.limited))
		l.due = it.next
		then = o.failedIt(l, it, v.err)
	}
	if v.err == nil {
		l.due = now
	}
	o.settleLane(l)
	o.pump(p)
	o.checkIdle()
	o.mu.Unlock()
	if then != nil {
		then()
	}
}

// learn draws conclusions from an attempt for the whole integration.
func (o *outbox) learn(p *port, v verdict, now time.Time) {
	switch {
	case v.limited:
		p.limited++
		pause := v.after
		if !v.known {
			pause = o.wait(p.limited, true)
		}
		p.pausedUntil = now.Add(pause)
		o.setCircuit(p, p.circuit.succeeded()) // It answers.
	case v.err != nil && v.retry:
		o.setCircuit(p, p.circuit.failed(now, func(n int) time.Duration { return o.wait(n, false) }))
	default:
		p.limited = 0
		was := p.circuit.state
		o.setCircuit(p, p.circuit.succeeded())
		if was != circuitClosed {
			p.allDue(now)
		}
	}
}

// limitedFactor is how much longer the wait is for a receiver that says that it is asked too often, and not for how long
// to leave it alone.
const limitedFactor = 8

// wait is how long to wait after the n-th failure in a row.
func (o *outbox) wait(n int, limited bool) time.Duration {
	s := o.settings.Load()
	least := s.MinBackoff
	if limited {
		least = min(least*limitedFactor, s.MaxBackoff)
	}
	return backoff(n, least, s.MaxBackoff, o.rand)
}

// tookIt takes a delivered item out. What it returns is done without the lock.
func (o *outbox) tookIt(l *lane, it *item) func() {
	l.items, it.out = l.items[1:], true
	it.decide(false, nil)
	if it.stored == inLedger {
		delete(o.items, it.id)
		if it.unwritten {
			o.owe(it.told)
		}
		return func() { o.settle(it) }
	}
	if it.stored == notStored {
		o.owe(it.told)
		o.gone(1)
	}
	return nil // Where it is being written, that goes on in isStored.
}

// mayWaitRefused reports whether an item that the receiver refuses is tried again all the same: a token that is renewed or a
// path that is mended may let it through, and Alertmanager tries again with each flush. It does not hold up what comes
// after it in its lane. The lock is held.
func (o *outbox) mayWaitRefused(l *lane, it *item, now time.Time) bool {
	return it.stored != notStored && !it.discarded && len(l.items) == 1 && now.Sub(it.created) < o.settings.Load().DeadLetterAfter
}

// keepRefused leaves a refused item to be tried again; the fallback receiver hears of it at once.
func (o *outbox) keepRefused(it *item) func() {
	if it.stored != inLedger {
		return nil // The sweep does the rest.
	}
	to := o.claimFallback(it)
	return func() {
		o.postpone(it)
		if len(to) > 0 {
			_ = o.sendFallback(it, to, nil) // It is said, and swept again.
		}
	}
}

// makeWay takes the first item of a lane out where it was refused, so that one behind it is not held up, and returns it.
// The lock is held.
func (o *outbox) makeWay(l *lane) *item {
	if len(l.items) < 2 || l.flying || l.items[0].refusals == 0 || l.items[0].stored != inLedger {
		return nil
	}
	it := l.items[0]
	l.items, it.out = l.items[1:], true
	delete(o.items, it.id)
	l.due = time.Now()
	if l.place >= 0 {
		heap.Fix(&l.port.ready, l.place)
	}
	return it
}

// refusedIt takes out an item that the receiver refused for good.
func (o *outbox) refusedIt(l *lane, it *item, err error) func() {
	l.items, it.out = l.items[1:], true
	it.attempts++
	switch {
	case it.discarded:
		o.forget(it)
	case it.stored == inLedger:
		delete(o.items, it.id)
		return func() { o.bury(it, err.Error()) }
	case it.stored == notStored:
		o.gone(1)
		it.decide(false, err)
	default:
		it.refused = err
	}
	return nil
}

// failedIt leaves an item to be tried again, unless it is the pipeline that does so.
func (o *outbox) failedIt(l *lane, it *item, err error) func() {
	switch {
	case it.discarded:
		l.items, it.out = l.items[1:], true
		o.forget(it)
	case it.stored == inLedger:
		if len(l.items) > 1 && l.items[1].stored == inLedger && l.items[1].msg.repeats(it.msg) {
			return o.superseded(l, it)
		}
		return func() { o.postpone(it) }
	case it.stored == notStored:
		l.items, it.out = l.items[1:], true
		o.gone(1)
		it.decide(true, err)
	}
	return nil
}

// forget ends an item that a person discarded while it was under way, and that is in the ledger no more.
func (o *outbox) forget(it *item) {
	delete(o.items, it.id)
	o.gone(1)
}

// superseded gives the first item the words of the second, which says the same, and drops that.
func (o *outbox) superseded(l *lane, it *item) func() {
	next := l.items[1]
	l.items = append(l.items[:1:1], l.items[2:]...)
	next.out = true
	delete(o.items, next.id)
	it.say(next)
	return func() {
		_ = o.replace(it) // It is counted, and what was refused is owed.
		o.postpone(it)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.gone(1)
	}
}

// say gives it the words of a later one, which is dropped.
func (it *item) say(next *item) {
	m := *next.msg
	m.FallbackSent = m.FallbackSent || it.msg.FallbackSent
	it.msg = &m
	// What the notification log says of the repeat goes with the words: by itself it would make them look out of date.
	it.told, next.told = next.told, ledger.Told{}
	it.drops = slices.Concat(it.drops, next.drops, []uint64{next.id})
}

// settle takes out of the ledger what is delivered, with what it took the place of.
func (o *outbox) settle(it *item) {
	o.mu.Lock()
	rows := slices.Concat(it.drops, []uint64{it.id})
	o.mu.Unlock()
	for _, id := range rows {
		if id == 0 {
			continue // It never came to be there.
		}
		err := o.ledger.Settle(id)
		if err != nil && !errors.Is(err, ledger.ErrNotDurable) {
			o.logger.Error("A message that was delivered cannot be taken out of the outbox; a restart delivers it again",
				"receiver", it.msg.Receiver, "notification", id, "err", err)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone(1)
}

// postpone notes a failed attempt. Where that cannot be written, a restart tries again a bit earlier, nothing else.
func (o *outbox) postpone(it *item) {
	o.mu.Lock()
	id, next, lastErr := it.id, it.next, it.lastErr
	o.mu.Unlock()
	err := o.ledger.Postpone(id, next, lastErr)
	if err != nil && !errors.Is(err, ledger.ErrNotDurable) && !errors.Is(err, ledger.ErrNoSuchEntry) {
		o.logger.Error("A failed attempt was not noted", "receiver", it.msg.Receiver, "notification", id, "err", err)
	}
}

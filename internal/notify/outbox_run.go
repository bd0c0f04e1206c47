package notify

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin/tocsin/internal/ledger"
)

// start takes up what a process before left and lets attempts begin. last is the number of the last message of each lane
// that the ledger knows of.
func (o *outbox) start(last map[string]int64) error {
	dead, deadErr := o.ledger.Dead()
	o.dead.load(dead)
	kept, err := o.ledger.Waiting()
	resumed := o.resumable(kept, last)
	// Two that were refused may have been written in any order.
	slices.SortFunc(resumed, func(a, b *item) int { return cmp.Or(cmp.Compare(a.msg.Seq, b.msg.Seq), cmp.Compare(a.id, b.id)) })
	resumed = onceEach(resumed)
	now, most := time.Now(), o.settings.Load().MaxBackoff
	o.mu.Lock()
	o.fallBehind() // What was said twice is to be written once.
	for _, seq := range last {
		o.lastSeq = max(o.lastSeq, seq) // The clock may have been set back.
	}
	for _, it := range resumed {
		o.lastSeq = max(o.lastSeq, it.msg.Seq)
		o.adopt(it, now.Add(min(max(it.next.Sub(now), 0), most)))
	}
	o.running = true
	for _, p := range o.ports {
		o.pump(p)
	}
	o.mu.Unlock()
	if len(resumed) > 0 {
		o.logger.Info("Messages that were not delivered before are tried again", "messages", len(resumed))
	}
	o.work.Go(o.sweep)
	o.work.Go(o.catchUp)
	return errors.Join(err, deadErr)
}

// resumable returns what of kept is to be delivered. The rest is settled: a later message of the same lane left the
// outbox, so that this one was dealt with before, and to deliver it now would tell people of a state that is over.
func (o *outbox) resumable(kept []ledger.Notification, last map[string]int64) (out []*item) {
	var all []*item
	there := map[string]int64{} // the highest number of each lane
	for _, n := range kept {
		it, err := restored(n)
		if err != nil {
			o.logger.Error("A message that waited cannot be delivered", "notification", n.ID, "key", n.Key, "err", err)
			o.metrics.dead.WithLabelValues(deadDamaged).Inc()
			if err := o.ledger.Bury(n.ID, err.Error()); err != nil {
				o.logger.Error("It was not made a dead letter", "notification", n.ID, "err", err)
			}
			continue
		}
		key := it.msg.lane().String()
		there[key] = max(there[key], it.msg.Seq)
		all = append(all, it)
	}
	for _, it := range all {
		key := it.msg.lane().String()
		if it.msg.Seq < last[key] && there[key] < last[key] && !it.revived() {
			o.logger.Info("A message that waited is out of date: a later one was delivered", "notification", it.id, "receiver", it.msg.Receiver)
			if err := o.ledger.Settle(it.id); err != nil {
				o.logger.Error("It was not taken out of the outbox", "notification", it.id, "err", err)
			}
			continue
		}
		out = append(out, it)
	}
	return out
}

// onceEach makes one of messages that follow each other in a lane and say the same: a repeat that came while the one before
// it was under way.
func onceEach(all []*item) (out []*item) {
	last := map[laneKey]*item{}
	for _, it := range all {
		key := it.msg.lane()
		if before := last[key]; before != nil && it.msg.repeats(before.msg) {
			before.say(it)
			before.unwritten = true
			continue
		}
		last[key] = it
		out = append(out, it)
	}
	return out
}

// revived reports whether a person had it sent again.
func (it *item) revived() bool { return it.created.UnixNano() > it.msg.Seq+int64(time.Second) }

// restored is the item that the ledger keeps as n.
func restored(n ledger.Notification) (*item, error) {
	m, err := decodeMessage(n.Payload)
	if err != nil {
		return nil, err
	}
	it := newItem(m, n.CreatedAt, inLedger)
	it.id, it.attempts, it.lastErr, it.next = n.ID, n.Attempts, n.LastError, n.NextAt
	it.decide(false, nil)
	return it, nil
}

// adopt puts an item from the ledger at the end of its lane.
func (o *outbox) adopt(it *item, due time.Time) {
	o.count++
	o.metrics.waiting.Set(float64(o.count))
	o.items[it.id] = it
	p := o.port(it.msg.target)
	l := p.lane(it.msg.lane().group)
	l.items = append(l.items, it)
	if len(l.items) == 1 {
		l.due = due
	}
	o.settleLane(l)
	o.pump(p)
}

// configure makes the integrations of a new configuration the ones that deliver.
func (o *outbox) configure(all []*attempter, fallback []target) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.ports {
		p.via = nil
	}
	o.fallback = fallback
	for _, a := range all {
		p := o.port(a.target())
		p.via = a
		// Whoever changes a configuration may have mended what was wrong.
		p.circuit, p.pausedUntil, p.limited = p.circuit.due(now), time.Time{}, 0
		o.metrics.circuit(p.key, p.circuit.state)
		if p.circuit.state != circuitClosed {
			p.allDue(now)
		}
	}
	for key, p := range o.ports {
		if p.via == nil && len(p.lanes) == 0 && p.flying == 0 {
			delete(o.ports, key)
			o.metrics.forget(key)
			continue
		}
		o.pump(p)
	}
}

// receivers are those for which something waits. Before start, that is what is in the ledger.
func (o *outbox) receivers() map[string]bool {
	o.mu.Lock()
	running := o.running
	o.mu.Unlock()
	out := map[string]bool{}
	if !running {
		kept, err := o.ledger.Waiting()
		if err != nil {
			o.logger.Error("It is not known for which receivers messages wait", "err", err)
		}
		for i := range kept {
			if m, err := decodeMessage(kept[i].Payload); err == nil { // Otherwise start says it.
				out[m.Receiver] = true
			}
		}
		return out
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, p := range o.ports {
		if len(p.lanes) > 0 {
			out[key.Receiver] = true
		}
	}
	return out
}

// stop takes nothing more, goes on with what is due for at most patience, and leaves the rest in the ledger.
func (o *outbox) stop(patience time.Duration) {
	o.mu.Lock()
	if o.stopped {
		o.mu.Unlock()
		return
	}
	o.stopped = true
	o.checkIdle()
	o.mu.Unlock()
	close(o.sweeps)
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-o.idle:
	case <-limit.C:
	}
	o.mu.Lock()
	o.running = false
	for _, p := range o.ports {
		if p.alarm != nil {
			p.alarm.Stop()
		}
	}
	o.mu.Unlock()
	o.cutNow()
	o.work.Wait()
}

// sweep gives up, and hands to the fallback receiver, what waits for too long.
func (o *outbox) sweep() {
	for {
		wait := time.NewTimer(o.sweepInterval())
		select {
		case <-wait.C:
			o.sweepOnce(time.Now())
		case <-o.sweeps:
			wait.Stop()
			return
		}
	}
}

func (o *outbox) sweepInterval() time.Duration {
	s := o.settings.Load()
	least := s.DeadLetterAfter
	if s.FallbackAfter > 0 {
		least = min(least, s.FallbackAfter)
	}
	return min(max(least/20, 50*time.Millisecond), 5*time.Second)
}

func (o *outbox) sweepOnce(now time.Time) {
	s := o.settings.Load()
	type burial struct {
		it     *item
		reason string
		text   string
	}
	var dead []burial
	type lateItem struct {
		it *item
		to []target
	}
	var late []lateItem
	o.mu.Lock()
	for _, p := range o.ports {
		for _, l := range p.lanes {
			for i, it := range slices.Clone(l.items) {
				age := now.Sub(it.created)
				switch {
				case it.stored != inLedger || i == 0 && l.flying:
				case p.via == nil:
					text := fmt.Sprintf("the configuration has no integration %s any more", p.key)
					dead = append(dead, burial{it, deadGone, text})
					o.takeOut(l, it)
				case age >= s.DeadLetterAfter:
					text := fmt.Sprintf("not delivered for %s, after %d attempts; the last error: %s", s.DeadLetterAfter, it.attempts, it.lastErr)
					dead = append(dead, burial{it, deadTooOld, text})
					o.takeOut(l, it)
				case it.refusals > 0 || s.FallbackAfter > 0 && age >= s.FallbackAfter:
					if to := o.claimFallback(it); len(to) > 0 {
						late = append(late, lateItem{it, to})
					}
				}
			}
			o.settleLane(l)
		}
		o.pump(p)
	}
	o.mu.Unlock()
	for _, b := range dead {
		o.giveUp(b.it, b.reason, b.text)
	}
	for _, l := range late {
		_ = o.sendFallback(l.it, l.to, nil) // It is said, and swept again.
	}
}

// takeOut takes an item that is in the ledger and not under way out of its lane, for somebody who goes on with it and
// calls gone. The lock is held, and settleLane is called next.
func (o *outbox) takeOut(l *lane, it *item) {
	if i := slices.Index(l.items, it); i >= 0 {
		l.items = slices.Delete(slices.Clone(l.items), i, i+1)
	}
	it.out = true
	delete(o.items, it.id)
	if len(l.items) > 0 && l.place >= 0 {
		l.due = time.Now()
		heap.Fix(&l.port.ready, l.place)
	}
}

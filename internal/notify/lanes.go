package notify

import (
	"container/heap"
	"time"
)

// laneHeap has the lane that is due first on top.
type laneHeap []*lane

// Len implements heap.Interface.
func (h laneHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h laneHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

// Swap implements heap.Interface.
func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *laneHeap) Push(x any) {
	l := x.(*lane)
	l.place = len(*h)
	*h = append(*h, l)
}

// Pop implements heap.Interface.
func (h *laneHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.place = -1
	return l
}

// open reports whether attempts can begin at now, but for the bound on them.
func (p *port) open(now time.Time) bool {
	_, ok, _ := p.circuit.allow(now)
	return ok && p.via != nil && !now.Before(p.pausedUntil)
}

// pump begins all attempts whose time has come, and has itself called when the next one's comes. The lock is held.
func (o *outbox) pump(p *port) {
	now := time.Now()
	for o.running && p.via != nil && p.flying < maxConcurrent && len(p.ready) > 0 {
		l := p.ready[0]
		next, ok, until := p.circuit.allow(now)
		switch {
		case !ok && until.IsZero():
			return // The one attempt that is under way decides.
		case !ok:
			o.wake(p, until)
			return
		case now.Before(p.pausedUntil):
			o.wake(p, p.pausedUntil)
			return
		case now.Before(l.due):
			o.wake(p, l.due)
			return
		}
		o.setCircuit(p, next)
		heap.Pop(&p.ready)
		l.flying = true
		p.flying++
		o.flying++
		it, via := l.items[0], p.via
		it.begins()
		o.work.Go(func() { o.attempt(l, it, via) })
	}
}

// wake has p pumped at a time.
func (o *outbox) wake(p *port, at time.Time) {
	if p.alarm == nil {
		p.alarm = time.AfterFunc(time.Until(at), func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.pump(p)
		})
		return
	}
	p.alarm.Reset(time.Until(at))
}

func (o *outbox) setCircuit(p *port, c circuit) {
	if c.state != p.circuit.state {
		o.metrics.circuit(p.key, c.state)
		if c.state == circuitOpen && p.circuit.state == circuitClosed {
			o.logger.Warn("A receiver fails again and again and is asked less often; what is for it waits", "receiver", p.key.Receiver,
				"integration", p.key.Integration, "index", p.key.Index)
		}
		if c.state == circuitClosed {
			o.logger.Info("A receiver that failed works again", "receiver", p.key.Receiver, "integration", p.key.Integration,
				"index", p.key.Index)
		}
	}
	p.circuit = c
}

// allDue makes every lane of p due now: there is reason to believe that it works again.
func (p *port) allDue(now time.Time) {
	for _, l := range p.ready {
		if l.due.After(now) {
			l.due = now
		}
	}
	heap.Init(&p.ready)
}

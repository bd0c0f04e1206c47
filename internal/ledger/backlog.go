package ledger

import (
	"fmt"
	"slices"
)

// backlog is what the disk did not take, in bounded memory: transitions and deliveries in order, of each instance the
// latest state, and which entries of the outbox are settled.
type backlog struct {
	limit      int64
	bytes      int64
	entries    []Entry
	deliveries []storedDelivery
	// states holds a changed instance, or the key of one that is gone.
	states  map[hashedKey]keptState
	settled []uint64
}

type keptState struct {
	instance *Instance // nil where it is gone
	key      InstanceKey
	bytes    int64
}

// The reasons for which something that was not written is dropped.
const (
	dropQueueFull = "queue_full" // the backlog
	dropInboxFull = "inbox_full" // what waits for a disk that does not answer
	dropClosed    = "closed"     // the ledger was closed before the disk was back
)

// The kinds of what is dropped.
const (
	kindTransition = "transition"
	kindDelivery   = "delivery"
	kindInstance   = "instance"
)

func (b *backlog) empty() bool {
	return len(b.entries) == 0 && len(b.deliveries) == 0 && len(b.states) == 0 && len(b.settled) == 0
}

func (b *backlog) addBatch(v *batch) {
	for i := range v.entries {
		b.bytes += v.entries[i].size()
	}
	b.entries = append(b.entries, v.entries...)
	for i := range v.changed {
		in := v.changed[i]
		b.setState(in.Key(), &in)
	}
	for i := range v.gone {
		b.setState(v.gone[i], nil)
	}
}

func (b *backlog) setState(k InstanceKey, in *Instance) {
	if b.states == nil {
		b.states = map[hashedKey]keptState{}
	}
	h := k.hash()
	b.bytes -= b.states[h].bytes
	s := keptState{instance: in, key: k, bytes: k.size() + int64(len(h))}
	if in != nil {
		s.bytes += in.size()
	}
	b.states[h] = s
	b.bytes += s.bytes
}

func (b *backlog) addDelivery(d storedDelivery) {
	b.bytes += d.size()
	b.deliveries = append(b.deliveries, d)
}

// shrink drops what is too much: deliveries first, then transitions, the oldest first, then instances.
func (b *backlog) shrink(m *metrics) {
	n := 0
	for ; b.bytes > b.limit && n < len(b.deliveries); n++ {
		b.bytes -= b.deliveries[n].size()
	}
	b.deliveries = slices.Delete(b.deliveries, 0, n)
	m.dropped.WithLabelValues(kindDelivery, dropQueueFull).Add(float64(n))

	n = 0
	for ; b.bytes > b.limit && n < len(b.entries); n++ {
		b.bytes -= b.entries[n].size()
	}
	b.entries = slices.Delete(b.entries, 0, n)
	m.dropped.WithLabelValues(kindTransition, dropQueueFull).Add(float64(n))

	for k, s := range b.states {
		if b.bytes <= b.limit {
			break
		}
		b.bytes -= s.bytes
		delete(b.states, k)
		m.dropped.WithLabelValues(kindInstance, dropQueueFull).Inc()
	}
}

// pieceEntries is how much of the backlog a transaction takes: a disk that has only just room again must be able to.
const pieceEntries = 1024

// writeBacklog writes a piece of the backlog and takes it out. States go last, so that a crash in between leaves
// instances older than the last transition, never newer.
func (w *writer) writeBacklog() error {
	b := &w.backlog
	switch {
	case len(b.entries) > 0:
		n := min(len(b.entries), pieceEntries)
		var rows rowBuilder
		rows.add(&batch{entries: b.entries[:n]})
		if err := w.commitRows(rows.number(w.last+1), nothing); err != nil {
			return err
		}
		for i := range b.entries[:n] {
			b.bytes -= b.entries[i].size()
		}
		b.entries = slices.Delete(b.entries, 0, n)
	case len(b.deliveries) > 0:
		n := min(len(b.deliveries), pieceEntries)
		var rows rowBuilder
		rows.addDeliveries(slices.Clone(b.deliveries[:n]))
		if err := w.commitRows(rows.number(w.last+1), nothing); err != nil {
			return err
		}
		for i := range b.deliveries[:n] {
			b.bytes -= b.deliveries[i].size()
		}
		b.deliveries = slices.Delete(b.deliveries, 0, n)
	default:
		return w.writeKeptStates()
	}
	return nil
}

func (w *writer) writeKeptStates() error {
	b := &w.backlog
	var piece batch
	taken := make([]hashedKey, 0, pieceEntries)
	for k, s := range b.states {
		if len(taken) == pieceEntries {
			break
		}
		taken = append(taken, k)
		if s.instance != nil {
			piece.changed = append(piece.changed, *s.instance)
		} else {
			piece.gone = append(piece.gone, s.key)
		}
	}
	var rows rowBuilder
	rows.add(&piece)
	err := w.commitRows(rows.number(w.last+1), func() error {
		for _, id := range b.settled {
			if _, err := w.db.write.exec(settleQuery, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.settled = nil
	for _, k := range taken {
		b.bytes -= b.states[k].bytes
		delete(b.states, k)
	}
	return nil
}

func nothing() error { return nil }

// drop counts what is lost when the ledger closes, and says so.
func (b *backlog) drop(m *metrics) error {
	if b.empty() {
		return nil
	}
	m.dropped.WithLabelValues(kindTransition, dropClosed).Add(float64(len(b.entries)))
	m.dropped.WithLabelValues(kindDelivery, dropClosed).Add(float64(len(b.deliveries)))
	m.dropped.WithLabelValues(kindInstance, dropClosed).Add(float64(len(b.states)))
	return fmt.Errorf("%w: closed with %d transitions, %d deliveries and the state of %d instances that the disk did not take",
		ErrNotDurable, len(b.entries), len(b.deliveries), len(b.states))
}

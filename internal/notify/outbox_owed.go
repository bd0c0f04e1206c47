package notify

import (
	"bytes"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/tocsin/tocsin/internal/ledger"
)

// What the ledger refuses (a full disk) goes out from memory, as from an Alertmanager. It is written as soon as the ledger
// takes commits again, as it is at that moment: a message that is under way is put into the outbox; one that was delivered
// meanwhile leaves what the notification log says of it, and only its newest for each lane. So a crash after that neither
// tells it twice nor loses a "resolved".

const (
	// owedBytes bounds what is kept of what lanes were told.
	owedBytes = 32 << 20
	// owedPiece is how much of it one commit takes: a disk that has only just room again must be able to.
	owedPiece = 256
	// A ledger that says it can write and cannot is asked less and less often.
	firstCatchUp, lastCatchUp = 100 * time.Millisecond, 10 * time.Second
)

// owed is what lanes were told that the ledger does not know, the newest of each, in bounded memory.
type owed struct {
	told  map[string]ledger.Told
	bytes int
	limit int
}

// add keeps t unless something newer of its lane is kept, and returns how many others had to be forgotten for that.
func (o *owed) add(t ledger.Told) (forgotten int) {
	old, known := o.told[t.Key]
	if known && bytes.Compare(old.Data, t.Data) >= 0 {
		return 0
	}
	o.remove(old)
	if o.told == nil {
		o.told = map[string]ledger.Told{}
	}
	o.told[t.Key] = t
	o.bytes += sizeOf(t)
	for key, other := range o.told {
		if o.bytes <= o.limit {
			break
		}
		if key != t.Key {
			o.remove(other)
			forgotten++
		}
	}
	return forgotten
}

func (o *owed) remove(t ledger.Told) {
	if _, there := o.told[t.Key]; there {
		o.bytes -= sizeOf(t)
		delete(o.told, t.Key)
	}
}

// some returns at most n.
func (o *owed) some(n int) (out []ledger.Told) {
	for t := range maps.Values(o.told) {
		if len(out) == n {
			break
		}
		out = append(out, t)
	}
	return out
}

// written forgets what is in the ledger, unless there is something newer to write.
func (o *owed) written(all []ledger.Told) {
	for _, t := range all {
		if bytes.Equal(o.told[t.Key].Data, t.Data) {
			o.remove(t)
		}
	}
}

func sizeOf(t ledger.Told) int { return len(t.Key) + len(t.Data) }

// owe has what a lane was told written when the ledger takes it. The lock is held.
func (o *outbox) owe(t ledger.Told) {
	if t.Key == "" {
		return
	}
	for range o.owed.add(t) {
		o.metrics.forgotten.WithLabelValues("told").Inc()
	}
	o.metrics.unwritten.Set(float64(len(o.owed.told)))
	o.fallBehind()
}

// fallBehind notes that the ledger lacks something.
func (o *outbox) fallBehind() {
	select {
	case o.behind <- struct{}{}:
	default: // It is noted.
	}
}

// catchUp writes what the ledger refused, when it takes commits again. It ends with stop.
func (o *outbox) catchUp() {
	for wait := time.Duration(0); ; {
		if !o.awaitRoom(wait) {
			return
		}
		switch err := o.writeOwed(); {
		case err == nil:
			wait = 0
		case errors.Is(err, ledger.ErrClosed):
			return
		default:
			wait = min(max(2*wait, firstCatchUp), lastCatchUp)
		}
	}
}

// awaitRoom waits until something is owed, or, where writing it failed, for a while, and then until the ledger can write. It
// returns false when stop was called.
func (o *outbox) awaitRoom(wait time.Duration) bool {
	var due <-chan time.Time
	behind := o.behind
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due, behind = timer.C, nil
	}
	select {
	case <-behind:
	case <-due:
	case <-o.sweeps:
		return false
	}
	select {
	case <-o.ledger.Writable():
		return true
	case <-o.sweeps:
		return false
	}
}

// writeOwed writes all that the ledger lacks at this moment. What it refuses again is owed as before.
func (o *outbox) writeOwed() error {
	store, replace := o.lacking()
	var writes sync.WaitGroup
	failures := make(chan error, len(store)+len(replace))
	for _, it := range store {
		writes.Go(func() { failures <- o.store(it) })
	}
	for _, it := range replace {
		writes.Go(func() { failures <- o.replace(it) })
	}
	err := o.writeTold()
	writes.Wait()
	close(failures)
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	return err
}

// lacking returns the messages that are not in the ledger, which are being written from now on, and those of which it has
// older words.
func (o *outbox) lacking() (store, replace []*item) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.ports {
		for _, l := range p.lanes {
			for _, it := range l.items {
				switch {
				case it.stored == notStored:
					it.stored = storing
					store = append(store, it)
				case it.unwritten:
					replace = append(replace, it)
				}
			}
		}
	}
	return store, replace
}

// writeTold writes what lanes were told of which no message is left.
func (o *outbox) writeTold() error {
	for {
		o.mu.Lock()
		piece := o.owed.some(owedPiece)
		o.mu.Unlock()
		if len(piece) == 0 {
			return nil
		}
		if _, err := o.ledger.ChangeOutbox(ledger.OutboxChange{Told: piece}); err != nil {
			return err
		}
		o.mu.Lock()
		o.owed.written(piece)
		o.metrics.unwritten.Set(float64(len(o.owed.told)))
		o.mu.Unlock()
	}
}

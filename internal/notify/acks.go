package notify

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/ledger"
)

// Somebody who acknowledges an alert stops its repeats: a flush that says nothing new, and whose firing alerts are all
// acknowledged (or flapping), tells nobody. New alerts of the group and ends are told as always. An acknowledgement is
// of one episode: it ends when the alert does, and does not cover one that began after it.

// acks is the index of the acknowledgements that hold.
type acks struct {
	mu     sync.RWMutex
	byHash map[uint64][]ledger.Ack
	ending map[uint64]bool // ended with their alerts, and not written yet
	wake   chan struct{}
}

func newAcks(all []ledger.Ack) *acks {
	a := &acks{byHash: map[uint64][]ledger.Ack{}, ending: map[uint64]bool{}, wake: make(chan struct{}, 1)}
	for _, ack := range all {
		a.add(ack)
	}
	return a
}

// add puts ack in the place of an earlier one of the same alert.
func (a *acks) add(ack ledger.Ack) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := ack.Labels.Hash()
	rest := slices.DeleteFunc(slices.Clone(a.byHash[h]), func(o ledger.Ack) bool { return labels.Equal(o.Labels, ack.Labels) })
	a.byHash[h] = append(rest, ack)
}

func (a *acks) remove(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for h, all := range a.byHash {
		a.set(h, slices.DeleteFunc(slices.Clone(all), func(o ledger.Ack) bool { return o.ID == id }))
	}
}

func (a *acks) set(h uint64, all []ledger.Ack) {
	if len(all) == 0 {
		delete(a.byHash, h)
		return
	}
	a.byHash[h] = all
}

// of returns the acknowledgement that holds at now for an alert with these labels, as the rule engine recorded them,
// that began at a time.
func (a *acks) of(ls labels.Labels, began, now time.Time) (ledger.Ack, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(a.byHash) == 0 {
		return ledger.Ack{}, false
	}
	for _, ack := range a.byHash[ls.Hash()] {
		if labels.Equal(ack.Labels, ls) && !expired(&ack, now) && !began.After(ack.At) {
			return ack, true
		}
	}
	return ledger.Ack{}, false
}

// prune lets go of acknowledgements that ended by themselves.
func (a *acks) prune(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for h, all := range a.byHash {
		if slices.ContainsFunc(all, func(o ledger.Ack) bool { return expired(&o, now) }) {
			a.set(h, slices.DeleteFunc(slices.Clone(all), func(o ledger.Ack) bool { return expired(&o, now) }))
		}
	}
}

func expired(a *ledger.Ack, now time.Time) bool { return !a.Until.IsZero() && !a.Until.After(now) }

// ended ends the acknowledgement of an alert that ended; keep writes it down.
func (a *acks) ended(ls labels.Labels) {
	a.mu.RLock()
	none := len(a.byHash) == 0
	a.mu.RUnlock()
	if none {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	h := ls.Hash()
	kept := slices.DeleteFunc(slices.Clone(a.byHash[h]), func(o ledger.Ack) bool {
		same := labels.Equal(o.Labels, ls)
		if same {
			a.ending[o.ID] = true
		}
		return same
	})
	a.set(h, kept)
	if len(a.ending) > 0 {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

// keepAcks writes down that acknowledgements ended with their alerts.
func (n *Notifier) keepAcks() {
	again := time.NewTicker(10 * time.Second)
	defer again.Stop()
	for {
		select {
		case <-n.acks.wake:
		case now := <-again.C:
			n.acks.prune(now)
		case <-n.stop:
			n.writeEnded()
			return
		}
		n.writeEnded()
	}
}

func (n *Notifier) writeEnded() {
	n.acks.mu.RLock()
	var ids []uint64
	for id := range n.acks.ending {
		ids = append(ids, id)
	}
	n.acks.mu.RUnlock()
	for _, id := range ids {
		err := n.opts.Ledger.Unacknowledge(id)
		if err != nil && !errors.Is(err, ledger.ErrNoSuchEntry) {
			if !errors.Is(err, ledger.ErrNotDurable) { // The ledger says so itself, and it is tried again.
				n.logger.Error("That an acknowledgement ended was not written down", "id", id, "err", err)
			}
			continue
		}
		n.acks.mu.Lock()
		delete(n.acks.ending, id)
		n.acks.mu.Unlock()
	}
}

// Acknowledge records that somebody looks after an alert, whose repeats end, and returns it with its ID. Its labels are
// those with which the rule engine recorded the alert. An earlier one of the same alert ends.
func (n *Notifier) Acknowledge(a ledger.Ack) (ledger.Ack, error) {
	switch {
	case n.opts.Ledger == nil:
		return ledger.Ack{}, errNoLedger
	case a.Labels.IsEmpty():
		return ledger.Ack{}, errors.New("an acknowledgement needs the alert's labels")
	case a.Owner == "":
		return ledger.Ack{}, errors.New("an acknowledgement needs an owner: who looks after the alert")
	case expired(&a, time.Now()):
		return ledger.Ack{}, errors.New("the acknowledgement would be over already: until must be in the future")
	}
	a, err := n.opts.Ledger.Acknowledge(a)
	if err == nil {
		n.acks.add(a)
	}
	return a, err
}

// Unacknowledge ends an acknowledgement; where it is time, the alert is repeated at the next flush.
func (n *Notifier) Unacknowledge(id uint64) error {
	if n.opts.Ledger == nil {
		return errNoLedger
	}
	err := n.opts.Ledger.Unacknowledge(id)
	if err == nil || errors.Is(err, ledger.ErrNoSuchEntry) {
		n.acks.remove(id)
	}
	return err
}

// Acks returns the acknowledgements that hold now, oldest first.
func (n *Notifier) Acks() []ledger.Ack {
	out := []ledger.Ack{}
	if n.opts.Ledger == nil {
		return out
	}
	now := time.Now()
	n.acks.mu.RLock()
	defer n.acks.mu.RUnlock()
	for _, all := range n.acks.byHash {
		for _, a := range all {
			if !expired(&a, now) {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, func(a, b ledger.Ack) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

package ledger

import (
	"sync"
)

// batch is what one Record brought.
type batch struct {
	entries []Entry
	changed []Instance
	gone    []InstanceKey
}

// request is one thing for the writer to put on disk. Exactly one of batch, delivery and change is set.
type request struct {
	batch    *batch
	delivery *storedDelivery
	// change works on the tables within the commit's transaction. An error of its own it keeps to itself: what it
	// returns undoes the whole commit.
	change func(*session) error
	// settles is the outbox's entry that change takes out, 0 if none: that is done later where it cannot be done now.
	settles uint64
	// done takes the outcome; it has room for it. Nil where nobody waits.
	done  chan error
	bytes int64
}

// inbox holds what waits for the writer, in order.
type inbox struct {
	wake chan struct{} // has room for one

	mu       sync.Mutex
	requests []request
	bytes    int64
	closed   bool
}

// put appends r. It reports false, and does not take r, when that would be more than most bytes.
func (b *inbox) put(r request, most int64) (bool, error) {
	b.mu.Lock()
	switch {
	case b.closed:
		b.mu.Unlock()
		return false, ErrClosed
	case b.bytes+r.bytes > most && len(b.requests) > 0:
		b.mu.Unlock()
		return false, nil
	}
	b.requests = append(b.requests, r)
	b.bytes += r.bytes
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default: // The writer has been woken and did not look yet.
	}
	return true, nil
}

// take empties the inbox. What it returns belongs to the caller.
func (b *inbox) take() []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.requests
	b.requests, b.bytes = nil, 0
	return taken
}

// close lets nothing more in. It reports false when it was closed before.
func (b *inbox) close() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.closed
	b.closed = true
	return !was
}

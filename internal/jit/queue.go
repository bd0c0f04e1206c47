package jit

import "sync"

// queue is what waits to be compiled, first come first served. Every kernel is in it once at most, and all together are no
// more than Options.MaxKernels.
type queue struct {
	wake chan struct{} // holds one token where the worker may have something to do

	mu    sync.Mutex
	items []*shared
	next  int // items before it were taken
	// unfinished counts what was pushed and is not done: what waits, and what is being compiled.
	unfinished int
	idle       chan struct{} // closed when unfinished becomes 0; nil where nobody waits for that
	// starved are kernels that are refused until there is room.
	starved map[*shared]struct{}
}

func newQueue() queue {
	return queue{wake: make(chan struct{}, 1), starved: map[*shared]struct{}{}}
}

func (q *queue) push(k *shared) {
	q.mu.Lock()
	q.items = append(q.items, k)
	q.unfinished++
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pop returns the next kernel, nil where none waits. The caller calls done once it is through with it.
func (q *queue) pop() *shared {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == len(q.items) {
		q.items, q.next = nil, 0
		return nil
	}
	k := q.items[q.next]
	q.items[q.next] = nil
	q.next++
	return k
}

func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.unfinished--
	if q.unfinished == 0 && q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
}

// waiting returns how many kernels are unfinished, and what is closed when none is any more.
func (q *queue) waiting() (int, <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.idle == nil && q.unfinished > 0 {
		q.idle = make(chan struct{})
	}
	return q.unfinished, q.idle
}

// starve keeps k until there is room.
func (q *queue) starve(k *shared) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.starved[k] = struct{}{}
}

// feed returns one kernel that was starving, any one, nil where there is none.
func (q *queue) feed() *shared {
	q.mu.Lock()
	defer q.mu.Unlock()
	for k := range q.starved {
		delete(q.starved, k)
		return k
	}
	return nil
}

// drop forgets that k starves.
func (q *queue) drop(k *shared) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.starved, k)
}

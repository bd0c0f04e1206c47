package sim

import (
	"context"
	"fmt"
	"sync"
)

// log is a list that grows and can be waited for.
type log[T any] struct {
	mu      sync.Mutex
	items   []T
	changed chan struct{} // Closed and replaced when items grows.
}

func newLog[T any]() *log[T] { return &log[T]{changed: make(chan struct{})} }

func (l *log[T]) add(item T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, item)
	close(l.changed)
	l.changed = make(chan struct{})
}

// all returns a copy of the list.
func (l *log[T]) all() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]T(nil), l.items...)
}

// wait returns a copy of the list once it has at least n items or, with an error that says how far it got, once ctx has
// ended.
func (l *log[T]) wait(ctx context.Context, n int) ([]T, error) {
	for {
		l.mu.Lock()
		items, changed := append([]T(nil), l.items...), l.changed
		l.mu.Unlock()
		if len(items) >= n {
			return items, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return items, fmt.Errorf("got %d of %d: %w", len(items), n, context.Cause(ctx))
		}
	}
}

// forget empties the list.
func (l *log[T]) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = nil
}

package web

import (
	"sync"

	"github.com/tocsin/tocsin/internal/notify"
)

// deliveriesKept is how many attempts a DeliveryLog remembers.
const deliveriesKept = 64

// DeliveryLog remembers the last attempts to deliver, for the status page. The zero value is ready to use.
type DeliveryLog struct {
	mu   sync.Mutex
	kept []notify.Delivery // oldest first
}

// Observe takes note of an attempt; it is quick enough for notify's OnDelivery.
func (l *DeliveryLog) Observe(d notify.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) == deliveriesKept {
		l.kept = append(l.kept[:0], l.kept[1:]...)
	}
	l.kept = append(l.kept, d)
}

// Recent returns the attempts that are remembered, newest first.
func (l *DeliveryLog) Recent() []notify.Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]notify.Delivery, 0, len(l.kept))
	for i := len(l.kept) - 1; i >= 0; i-- {
		out = append(out, l.kept[i])
	}
	return out
}

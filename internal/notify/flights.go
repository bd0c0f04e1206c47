package notify

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	amnotify "github.com/prometheus/alertmanager/notify"
)

// errDraining is what a flush gets that comes after its pipeline was replaced. Its alerts are in the provider, from where
// the next pipeline takes them.
var errDraining = errors.New("notify: this pipeline is being replaced")

// flights lets one flush a group and receiver run at a time. Within one dispatcher that is so by itself; across a reload
// it keeps the new dispatcher from repeating a notification that the old one is just delivering, because the notification
// log knows of it only afterwards.
type flights struct {
	mu   sync.Mutex
	busy map[flightKey]chan struct{}
}

type flightKey struct{ receiver, group string }

// enter waits until no other flush of key runs. leave must be called once err is nil.
func (f *flights) enter(ctx context.Context, key flightKey) (leave func(), err error) {
	for {
		f.mu.Lock()
		other, ok := f.busy[key]
		if !ok {
			mine := make(chan struct{})
			f.busy[key] = mine
			f.mu.Unlock()
			return func() {
				f.mu.Lock()
				delete(f.busy, key)
				f.mu.Unlock()
				close(mine)
			}, nil
		}
		f.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// drainStage runs flushes so that they outlive their dispatcher: stopping a dispatcher cancels its flushes, which would
// cut off deliveries half-way. drain ends them in an orderly way instead.
type drainStage struct {
	next    amnotify.Stage
	flights *flights
	cut     context.Context // ends deliveries that outstay drain's patience
	cutNow  context.CancelFunc

	mu      sync.Mutex
	running int
	closed  bool
	idle    chan struct{} // closed when closed and nothing runs
}

func newDrainStage(next amnotify.Stage, f *flights) *drainStage {
	s := &drainStage{next: next, flights: f, idle: make(chan struct{})}
	s.cut, s.cutNow = context.WithCancel(context.Background())
	return s
}

// Exec implements upstream's Stage.
func (s *drainStage) Exec(ctx context.Context, l *slog.Logger, alerts ...*amalert.Alert) (context.Context, []*amalert.Alert, error) {
	if !s.begin() {
		return ctx, nil, errDraining
	}
	defer s.end()
	receiver, _ := amnotify.ReceiverName(ctx)
	group, _ := amnotify.GroupKey(ctx)
	leave, err := s.flights.enter(ctx, flightKey{receiver, group})
	if err != nil {
		return ctx, nil, err
	}
	defer leave()

	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok {
		var expire context.CancelFunc
		own, expire = context.WithDeadline(own, deadline)
		defer expire()
	}
	defer context.AfterFunc(s.cut, cancel)()
	_, out, err := s.next.Exec(withAttempts(own), l, alerts...)
	return ctx, out, err
}

func (s *drainStage) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running++
	return true
}

func (s *drainStage) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if s.closed && s.running == 0 {
		close(s.idle)
	}
}

// close refuses new flushes from now on.
func (s *drainStage) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	if s.running == 0 {
		close(s.idle)
	}
}

// drain, after close, waits for the running flushes, at most for patience; then it cancels them and gives them as long
// as attempts take to notice. It reports whether all ended by themselves.
func (s *drainStage) drain(patience time.Duration) bool {
	defer s.cutNow()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-s.idle:
		return true
	case <-t.C:
	}
	s.cutNow()
	t.Reset(2 * abandonGrace)
	select {
	case <-s.idle:
	case <-t.C:
	}
	return false
}

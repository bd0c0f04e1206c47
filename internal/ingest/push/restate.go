package push

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// Start states all groups and then runs the loop that restates them and lets them go stale. It fails where the gateway
// runs or ran already.
func (g *Gateway) Start() error {
	g.lifecycle.Lock()
	defer g.lifecycle.Unlock()
	if g.done != nil {
		return errors.New("push: the gateway was started before")
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel, g.done = cancel, make(chan struct{})
	go g.run(ctx)
	return nil
}

// Stop ends the loop and waits for it and for pushes under way; later pushes are refused with 503. Groups get no
// staleness markers: they are there again after the next start. It may be called at any time, more than once.
func (g *Gateway) Stop() {
	g.lifecycle.Lock()
	defer g.lifecycle.Unlock()
	g.mu.Lock()
	g.stopped.Store(true)
	g.mu.Unlock()
	if g.done != nil {
		g.cancel()
		<-g.done
	}
}

func (g *Gateway) run(ctx context.Context) {
	defer close(g.done)
	next := time.Now()
	for {
		now := time.Now()
		g.expire(ctx, now)
		if !now.Before(next) {
			g.restate(ctx)
			if next = next.Add(g.options.Interval); !next.After(now) {
				next = now.Add(g.options.Interval) // behind by more than an interval: do not make up for it
			}
		}
		at := next
		if d := g.nearest(now); !d.IsZero() && d.Before(at) {
			at = d
		}
		timer := time.NewTimer(time.Until(at))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-g.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// nudge tells the loop that a deadline may have come nearer.
func (g *Gateway) nudge() {
	select {
	case g.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// nearest returns the next deadline of any group after now; the zero time where there is none. Deadlines that have
// passed are expire's business; one that it could not deal with is tried again at the next restatement.
func (g *Gateway) nearest(now time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	var at time.Time
	for _, p := range g.groups {
		if d := p.deadline(); d.After(now) && (at.IsZero() || d.Before(at)) {
			at = d
		}
	}
	return at
}

// expire lets groups go whose time to live has run out.
func (g *Gateway) expire(ctx context.Context, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for key, p := range g.groups {
		if !p.expired(now) {
			continue
		}
		if err := g.forget(ctx, p, now); err != nil {
			g.options.Logger.Error("A pushed group's time to live ran out, but it could not be ended cleanly", "group", p.labels, "err", err)
		}
		if g.groups[key] == nil {
			g.metrics.expired.Inc()
		}
	}
}

// restate states all groups, one batch a group, so that trouble with one is no trouble for another and pushes come
// between.
func (g *Gateway) restate(ctx context.Context) {
	g.mu.Lock()
	keys := slices.Sorted(maps.Keys(g.groups))
	g.mu.Unlock()
	for _, key := range keys {
		if ctx.Err() != nil {
			return
		}
		g.restateGroup(ctx, key)
	}
}

func (g *Gateway) restateGroup(ctx context.Context, key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.groups[key]
	if !ok || p.expired(time.Now()) {
		return
	}
	w := g.begin(ctx, key, time.Now())
	defer w.end()
	for f, e := range p.all() {
		var invalid *invalidPush // counted; limits may have become narrower since the push
		if err := w.state(f, e, false); err != nil && !errors.As(err, &invalid) {
			g.options.Logger.Error("Restating a pushed group failed; it is tried again", "group", p.labels, "err", err)
			return
		}
	}
	if err := w.commit(); err != nil && !body.Unavailable(err) {
		g.options.Logger.Error("Restating a pushed group failed; it is tried again", "group", p.labels, "err", err)
	}
}

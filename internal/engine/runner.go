package engine

import (
	"context"
	"time"
)

// runner evaluates one group at its times.
type runner struct {
	group *Group
	// stopCtx ends with the engine's or by stop.
	stopCtx context.Context
	stop    context.CancelFunc
	// ended is closed when the goroutine has ended; nil while there was none.
	ended chan struct{}
}

func (e *Engine) newRunner(g *Group) *runner {
	r := &runner{group: g}
	r.stopCtx, r.stop = context.WithCancel(e.stopCtx)
	return r
}

// launch starts r's goroutine. The caller holds applying and has seen that the engine is not stopped.
func (e *Engine) launch(r *runner) {
	r.ended = make(chan struct{})
	e.goroutines.Go(func() {
		defer close(r.ended)
		r.run(e.evalCtx)
	})
}

// wait returns when r's goroutine, if there is one, has ended.
func (r *runner) wait() {
	if r.ended != nil {
		<-r.ended
	}
}

// run evaluates the group in the goroutine of the caller until r is stopped: at its slots and, in between, those of its
// rules that arrivals wake. An evaluation that takes longer than the interval delays the next one; the slots in between
// are counted as missed.
func (r *runner) run(ctx context.Context) {
	ctx = r.group.context(ctx)
	schedule := r.group.Schedule()
	due := schedule.First(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for evaluations := 0; ; {
		d := schedule.Decide(due, time.Now())
		if d.Wait > 0 {
			due = d.Due
			timer.Reset(d.Wait)
			select {
			case <-r.stopCtx.Done():
				return
			case <-timer.C:
			case <-r.group.arrivals.woken():
				r.group.evalArrivals(ctx, due, r.stopCtx.Done())
			}
			continue
		}
		if r.stopCtx.Err() != nil {
			return
		}
		r.group.missed(d.Missed)
		r.group.eval(ctx, d.Due, r.stopCtx.Done())
		due = d.Due.Add(schedule.Interval)
		if evaluations++; evaluations == 2 && r.stopCtx.Err() == nil && r.group.isAwaitingRestore() {
			r.group.Restore(ctx, time.Now())
		}
		r.group.evalArrivals(ctx, due, r.stopCtx.Done()) // Those that had to let the slot pass.
	}
}

// missed counts slots that went by without an evaluation.
func (g *Group) missed(n int) {
	g.metrics.iterationsMissed.Add(float64(n))
	g.metrics.iterations.Add(float64(n))
}

func (g *Group) isAwaitingRestore() bool {
	g.turn.Lock()
	defer g.turn.Unlock()
	return g.awaitsRestore
}
